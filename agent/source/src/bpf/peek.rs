//! Reads kernel memory by a BPF program, for finding out where fields are.
//!
//! In: addresses. Out: bytes there. The program answers the thread that opened it, by a system call
//! without effect, and is detached when this is dropped. Never: a write.

use std::cell::RefCell;
use std::sync::Arc;

use aya::maps::{Array, MapData};
use aya::programs::TracePoint;
use aya::{Ebpf, EbpfLoader};

use super::chain;
use super::infer::Memory;
use super::relocate::{Offsets, relocate};
use super::tracefs::TraceFs;
use super::{hooks, sys};

/// Bytes of one answer (`PEEK_BYTES` of bpf/peek.bpf.c).
const BYTES: usize = 512;
/// Layout of `struct peek` of bpf/peek.bpf.c.
const ADDRESS: usize = 8;
const ANSWERED: usize = 16;
const RESULT: usize = 20;
const ANSWER: usize = 24;
const PEEK: usize = ANSWER + BYTES;

/// Kernel memory, readable by the thread that opened this.
pub struct Peek {
    // Dropped in this order: the hook first.
    _hook: hooks::Attachment,
    map: RefCell<Array<MapData, [u8; PEEK]>>,
    _object: Ebpf,
}

impl Peek {
    /// Loads and attaches the program `object`.
    pub fn open(object: &[u8]) -> Result<Self, String> {
        let bytes = relocate(object, &Offsets::default(), &[])?;
        let mut object = EbpfLoader::new().btf(None).load(&bytes).map_err(|error| chain(&error))?;
        let tracefs = TraceFs::open().map_err(|error| format!("tracefs: {error}"))?;
        let tracefs = Arc::new(tracefs);
        let hook = attach(&mut object, &tracefs)?;
        let map = object.take_map("peeks").ok_or("the object has no map peeks")?;
        let map = Array::try_from(map).map_err(|error| chain(&error))?;
        Ok(Self { _hook: hook, map: RefCell::new(map), _object: object })
    }

    /// Asks for `BYTES` at an address; 0: of the task. Gives the address too.
    fn ask(&self, address: u64) -> Option<(u64, [u8; BYTES])> {
        let pid_tgid = u64::from(std::process::id()) << 32 | u64::from(sys::thread_id());
        let mut question = [0; PEEK];
        question[..8].copy_from_slice(&pid_tgid.to_ne_bytes());
        question[ADDRESS..ADDRESS + 8].copy_from_slice(&address.to_ne_bytes());
        let mut map = self.map.borrow_mut();
        map.set(0, question, 0).ok()?;
        sys::close_nothing();
        let answer = map.get(&0, 0).ok()?;
        let word = |at: usize| answer[at..].first_chunk().copied().map(u32::from_ne_bytes);
        if word(ANSWERED) != Some(1) || word(RESULT) != Some(0) {
            return None;
        }
        let address = answer[ADDRESS..].first_chunk().copied().map(u64::from_ne_bytes)?;
        Some((address, *answer[ANSWER..].first_chunk()?))
    }
}

/// By the tracepoint of the call, by that of all calls, or at its function: up to 4.14 another program
/// may hold a tracepoint.
fn attach(object: &mut Ebpf, tracefs: &Arc<TraceFs>) -> Result<hooks::Attachment, String> {
    let program: &mut TracePoint = object
        .program_mut("peek_close")
        .ok_or("the object has no program peek_close")?
        .try_into()
        .map_err(|error| format!("{error}"))?;
    let own = ("peek_close", "syscalls", "sys_enter_close");
    let of_all = ("peek_close", "raw_syscalls", "sys_enter");
    hooks::attach_tracepoint(program, tracefs, &own)
        .or_else(|why| {
            let attached = hooks::attach_tracepoint(program, tracefs, &of_all);
            attached.map_err(|also| format!("{why}; {also}"))
        })
        .or_else(|why| {
            let attached = hooks::attach_at_call(object, tracefs, "peek_kprobe", "close");
            attached.map(hooks::Attachment::Function).map_err(|also| format!("{why}; {also}"))
        })
}

impl Memory for Peek {
    fn task(&self) -> Option<u64> {
        self.ask(0).map(|(address, _)| address)
    }

    fn read(&self, address: u64, bytes: usize) -> Vec<u8> {
        let mut read = Vec::with_capacity(bytes.next_multiple_of(BYTES));
        while read.len() < bytes {
            match self.ask(address + read.len() as u64) {
                Some((_, part)) => read.extend_from_slice(&part),
                None => break,
            }
        }
        read.truncate(bytes);
        read
    }
}
