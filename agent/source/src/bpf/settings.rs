//! Settings of programs without global data: put in by the loader as if they were places of fields.
//!
//! In: the configuration, the processor's calling conventions. Out: entries of `Offsets` (struct
//! settings of bpf/lib/config.bpf.h, registers of bpf/lib/kernel.bpf.h). Never: a fact of the kernel
//! that is found out.

use super::BpfConfig;
use super::load::{id_base, thread_slots};
use super::relocate::Offsets;
use super::sys;

/// Puts them in. `wrapped`: see `hooks::Told`.
pub fn put(config: &BpfConfig, wrapped: bool, offsets: &mut Offsets) {
    let id_base = id_base();
    let own = if config.trace_self { 0 } else { std::process::id() };
    for (name, value) in [
        ("self_tgid", u64::from(own)),
        ("payload_bytes_max", config.payload_bytes_valid().into()),
        ("thread_mask", (thread_slots() - 1).into()),
        ("ports_allowed_on", (!config.ports_allowed.is_empty()).into()),
        ("ports_denied_on", (!config.ports_denied.is_empty()).into()),
        ("id_base_low", id_base & 0x7fff_ffff),
        ("id_base_high", id_base >> 31),
        ("file_mode", config.files.mode_number().into()),
        ("file_min_ns", config.files.min_ns().into()),
        ("file_virtual", config.files.virtual_files.into()),
        ("id_stride", sys::possible_cpus().into()),
        ("args_in_memory", wrapped.into()),
        ("mode_native", if cfg!(target_arch = "x86_64") { 0x10 } else { 0 }),
    ] {
        offsets.set("settings", name, usize::try_from(value).unwrap_or(usize::MAX));
    }
    for (name, place) in crate::tls::CALLED_REGS {
        offsets.set("called_regs", name, place);
    }
    for (name, place) in crate::tls::GO_CALLED_REGS {
        offsets.set("go_called_regs", name, place);
    }
    for (name, at) in FUNCTION_REGISTERS {
        offsets.set("function_regs", name, at);
    }
    for (name, at) in CALL_REGISTERS {
        offsets.set("syscall_regs", name, at);
    }
}

/// Places in `struct pt_regs` of uapi/asm/ptrace.h by the calling convention of functions.
#[cfg(target_arch = "x86_64")]
const FUNCTION_REGISTERS: [(&str, usize); 6] =
    [("a0", 112), ("a1", 104), ("a2", 96), ("a3", 88), ("a4", 72), ("result", 80)];
#[cfg(target_arch = "aarch64")]
const FUNCTION_REGISTERS: [(&str, usize); 6] =
    [("a0", 0), ("a1", 8), ("a2", 16), ("a3", 24), ("a4", 32), ("result", 0)];

/// The same by that of system calls.
#[cfg(target_arch = "x86_64")]
const CALL_REGISTERS: [(&str, usize); 5] =
    [("a0", 112), ("a1", 104), ("a2", 96), ("a3", 56), ("a4", 72)];
#[cfg(target_arch = "aarch64")]
const CALL_REGISTERS: [(&str, usize); 5] =
    [("a0", 0), ("a1", 8), ("a2", 16), ("a3", 24), ("a4", 32)];
