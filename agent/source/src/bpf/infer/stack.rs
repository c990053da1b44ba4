//! Where a task's kernel stack keeps the registers of the user program: they tell 32-bit system calls
//! from 64-bit ones, whose numbers differ.
//!
//! In: the task that is reading its own memory, by `close(-1)`. Out: an optional field. Never: a frame
//! that is not that system call's.

use super::super::relocate::Offsets;
use super::{Memory, addresses, u32_at};

/// Sizes that kernels give a stack (THREAD_SIZE), 64 KiB with such pages on arm64.
const SIZES: [usize; 4] = [8 << 10, 16 << 10, 32 << 10, 64 << 10];
const PAGE_BYTES: u64 = 4096;
/// The registers lie in so many bytes at the top.
const TOP_BYTES: usize = 512;

pub fn find(memory: &impl Memory, task: &[u8], offsets: &mut Offsets) {
    // The task's state, or its thread_info and state, stand before the stack.
    for (at, stack) in addresses(task, 0, 72).filter(|(_, stack)| stack % PAGE_BYTES == 0) {
        for size in SIZES {
            let from = size - TOP_BYTES;
            let top = memory.read(stack + from as u64, TOP_BYTES);
            if let Some(mode) = mode_of_close(&top) {
                offsets.set("task_struct", "stack", at);
                offsets.set("kernel_stack", "mode", from + mode);
                return;
            }
        }
    }
}

/// Where the code segment is in the top of a stack: `struct pt_regs` ends with the argument, the
/// number of the call, the instruction, segment, flags, stack, segment.
#[cfg(target_arch = "x86_64")]
fn mode_of_close(top: &[u8]) -> Option<usize> {
    const CODE_64: u32 = 0x33;
    const DATA: u32 = 0x2b;
    // From 7.0 on, processors with FRED keep 16 bytes above the registers.
    (top.len().checked_sub(72)?..top.len().checked_sub(47)?).step_by(8).find_map(|number| {
        let argument = u32_at(top, number.checked_sub(8)?)?;
        let is_close = super::u64_at(top, number) == u64::try_from(libc::SYS_close).ok();
        let (code, data) = (u32_at(top, number + 16)? & 0xff, u32_at(top, number + 40)? & 0xff);
        let is_frame = argument == u32::MAX && is_close && code == CODE_64 && data == DATA;
        is_frame.then_some(number + 16)
    })
}

/// Where pstate is in the top of a stack: `struct pt_regs` has 31 registers, stack, instruction,
/// pstate, the argument as it was, the number of the call.
#[cfg(target_arch = "aarch64")]
fn mode_of_close(top: &[u8]) -> Option<usize> {
    const NUMBER_REGISTER: usize = 8;
    const PSTATE: usize = 33;
    let close = u32::try_from(libc::SYS_close).ok()?;
    (0..top.len().checked_sub((PSTATE + 3) * 8)?).step_by(8).rev().find_map(|first| {
        let word = |n: usize| u32_at(top, first + n * 8);
        let is_call = word(NUMBER_REGISTER)? == close && word(PSTATE + 2)? == close;
        let is_frame = is_call && word(PSTATE + 1)? == u32::MAX && word(PSTATE)? & 0x1f == 0;
        is_frame.then_some(first + PSTATE * 8)
    })
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    fn stack(words: &[u64], above: usize) -> Vec<u8> {
        let mut top = vec![0; TOP_BYTES - words.len() * 8 - above];
        top.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        top.resize(TOP_BYTES, 0);
        top
    }

    #[test]
    fn the_frame_of_close_is_found_at_the_top_only() {
        let frame = [u64::from(u32::MAX), 3, 0x1000, 0x33, 0x246, 0x7fff_0000, 0x2b];
        assert_eq!(mode_of_close(&stack(&frame, 0)), Some(TOP_BYTES - 32));
        assert_eq!(mode_of_close(&stack(&frame, 16)), Some(TOP_BYTES - 48));
        assert_eq!(mode_of_close(&stack(&frame, 64)), None);
        let other = [5, 3, 0x1000, 0x33, 0x246, 0x7fff_0000, 0x2b];
        assert_eq!(mode_of_close(&stack(&other, 0)), None);
        assert_eq!(mode_of_close(&[]), None);
    }
}
