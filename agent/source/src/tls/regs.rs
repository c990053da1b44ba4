//! Where the kernel keeps the registers of a user's function, for programs that cannot ask its BTF.
//!
//! In: the kernel's ABI. Out: places, by architecture. Never: a place that a kernel could move.

/// Places in `struct pt_regs` of what a user's function is given and gives (struct called_regs of
/// bpf/tls/regs.bpf.h), by the kernel's uapi/asm/ptrace.h.
#[cfg(target_arch = "x86_64")]
pub const CALLED_REGS: [(&str, usize); 7] = [
    ("a0", 112),
    ("a1", 104),
    ("a2", 96),
    ("a3", 88),
    ("result", 80),
    ("stack", 152),
    ("return_bytes", 8),
];
/// Places in `struct pt_regs` of what a user's function is given and gives (struct called_regs of
/// bpf/tls/regs.bpf.h), by the kernel's uapi/asm/ptrace.h.
#[cfg(target_arch = "aarch64")]
pub const CALLED_REGS: [(&str, usize); 7] = [
    ("a0", 0),
    ("a1", 8),
    ("a2", 16),
    ("a3", 24),
    ("result", 0),
    ("stack", 248),
    ("return_bytes", 0),
];
