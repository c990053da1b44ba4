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

/// Places in `struct pt_regs` of what a function of Go from 1.17 on is given and gives, and of the
/// goroutine (struct go_called_regs of bpf/tls/go_regs.bpf.h): cmd/compile/abi-internal.md.
#[cfg(target_arch = "x86_64")]
pub const GO_CALLED_REGS: [(&str, usize); 4] =
    [("conn", 80), ("buf", 40), ("g", 8), ("stack", 152)];
/// Places in `struct pt_regs` of what a function of Go from 1.18 on is given and gives, and of the
/// goroutine (struct go_called_regs of bpf/tls/go_regs.bpf.h): cmd/compile/abi-internal.md.
#[cfg(target_arch = "aarch64")]
pub const GO_CALLED_REGS: [(&str, usize); 4] =
    [("conn", 0), ("buf", 8), ("g", 224), ("stack", 248)];
