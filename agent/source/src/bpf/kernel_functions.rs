//! Functions of the kernel that programs call where it has them.
//!
//! In: the object, the kernel's BTF. Out: the object with its marked calls made calls of these
//! functions. Object files cannot name them for aya 0.14: `bpf/lib/kernel.bpf.h` marks each call by
//! an impossible helper number. Never: a call of what the kernel lacks; a constant keeps the verifier
//! from seeing marks that stay.

use std::fs;
use std::sync::OnceLock;

use aya::Btf;
use aya_obj::btf::BtfKind;

/// `bpf_rdonly_cast` (6.2): its mark and name.
const CAST: (u32, &str) = (0x0df0_ca57, "bpf_rdonly_cast");
/// `bpf_preempt_disable` and `bpf_preempt_enable` (6.10).
const UNINTERRUPTED: [(u32, &str); 2] =
    [(0x0df0_ca58, "bpf_preempt_disable"), (0x0df0_ca59, "bpf_preempt_enable")];
/// BPF_JMP | BPF_CALL, and BPF_PSEUDO_KFUNC_CALL as source register.
const CALL_OPCODE: u8 = 0x85;
const KERNEL_FUNCTION: u8 = 0x20;

/// Whether a helper's number is a mark.
#[cfg(test)]
pub fn is_mark(helper: i32) -> bool {
    let marks = [CAST.0, UNINTERRUPTED[0].0, UNINTERRUPTED[1].0];
    u32::try_from(helper).is_ok_and(|helper| marks.contains(&helper))
}

/// Which functions the programs call on this kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelFunctions {
    /// They read through addresses; else by a helper for each field.
    pub cast: bool,
    /// They keep the CPU to themselves; wanted where they could be interrupted.
    pub uninterrupted: bool,
}

impl KernelFunctions {
    /// Finds those of this kernel and has `object` call them.
    pub fn link(object: &mut [u8], btf: &Btf) -> Self {
        let cast = link(object, btf, &[CAST]);
        let uninterrupted = are_interrupted() && link(object, btf, &UNINTERRUPTED);
        Self { cast, uninterrupted }
    }
}

/// Whether raw tracepoints do what they promise: every call is told, and nobody else uses what is kept
/// a CPU. On a preemptible kernel from 7.0 on that takes the functions that switch this off.
pub fn raw_tracepoints(btf: &Btf) -> Result<(), String> {
    if !are_interrupted() || UNINTERRUPTED.iter().all(|(_, name)| id_of(btf, name).is_some()) {
        return Ok(());
    }
    Err("programs on raw tracepoints can be interrupted by another task in this kernel, and it lacks \
         the function bpf_preempt_disable"
        .to_owned())
}

/// Makes the marked calls calls of these functions, if the kernel has all of them.
fn link(object: &mut [u8], btf: &Btf, functions: &[(u32, &str)]) -> bool {
    let ids: Option<Vec<(u32, u32)>> =
        functions.iter().map(|(mark, name)| Some((*mark, id_of(btf, name)?))).collect();
    let Some(ids) = ids else { return false };
    for (mark, id) in ids {
        let marked = marked_call(mark);
        let (instructions, _) = object.as_chunks_mut::<8>();
        for instruction in instructions.iter_mut().filter(|instruction| **instruction == marked) {
            instruction[1] = KERNEL_FUNCTION;
            instruction[4..].copy_from_slice(&id.to_le_bytes());
        }
    }
    true
}

/// The instruction by which a call is marked.
fn marked_call(mark: u32) -> [u8; 8] {
    let mut instruction = [0; 8];
    instruction[0] = CALL_OPCODE;
    instruction[4..].copy_from_slice(&mark.to_le_bytes());
    instruction
}

fn id_of(btf: &Btf, name: &str) -> Option<u32> {
    btf.id_by_type_name_kind(name, BtfKind::Func).ok()
}

/// Whether a program can be interrupted by another task, which would find what is kept a CPU in use,
/// and for whose own calls the kernel would not run the same program meanwhile. Raw tracepoints: from
/// 7.0 on, commit f7d327654b88. The tracepoints of each call: seen in the code of Debian's 7.2
/// (`perf_syscall_exit` runs programs before it switches preemption off), no others.
pub fn are_interrupted() -> bool {
    // The kernel does not change while this program runs.
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let read =
            |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
        is_interrupting(&read("osrelease"), &read("version"))
    })
}

fn is_interrupting(release: &str, version: &str) -> bool {
    let series = release.split('.').next().and_then(|number| number.parse::<u32>().ok());
    series.is_some_and(|series| series >= 7) && version.contains("PREEMPT")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::load::OBJECT_V510;

    #[test]
    fn preemptible_kernels_from_7_on_interrupt() {
        let debian = "#1 SMP PREEMPT_DYNAMIC Debian 7.2.13-1 (2026-11-14)";
        assert!(is_interrupting("7.2.13+deb14-amd64\n", debian));
        assert!(!is_interrupting("7.2.13\n", "#1 SMP Sat Nov 14"));
        assert!(!is_interrupting("6.12.117+deb13-amd64\n", debian));
        assert!(!is_interrupting("", ""));
    }

    #[test]
    fn the_object_has_each_mark_and_balanced() {
        let count = |mark: u32| {
            let (instructions, _) = OBJECT_V510.0.as_chunks::<8>();
            instructions.iter().filter(|one| **one == marked_call(mark)).count()
        };
        assert!(count(CAST.0) > 0);
        assert!(count(UNINTERRUPTED[0].0) > 0);
        assert!(count(UNINTERRUPTED[1].0) >= count(UNINTERRUPTED[0].0));
    }
}
