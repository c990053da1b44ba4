//! The reading ends of a perf event array: a ring for each CPU.
//!
//! In: the rings that kernel programs write by `bpf_perf_event_output`. Out: their records, those of
//! one CPU in order, each lent for the length of one call. Never: a copy of a record that does not
//! wrap.
//!
//! ```text
//! ring   := [page of positions][data: 2^n bytes]
//! record := [type: u32][misc: u16][size: u16], then of a sample [bytes: u32][record][pad to 8],
//!           of a loss [id: u64][lost: u64]
//! ```
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::MapData;

use super::reorder::Round;
use super::sys;
use crate::perf_event;

const HEADER_BYTES: usize = 8;
const RECORD_LOST: u32 = 2;
const RECORD_SAMPLE: u32 = 9;
/// Places of the positions in the first page (struct perf_event_mmap_page).
const HEAD: usize = 1024;
const TAIL: usize = 1032;
/// A ring must hold a few of the longest records.
const RING_BYTES_MIN: usize = 128 << 10;

/// The rings of all CPUs that are online.
pub struct PerfRings {
    rings: Vec<PerfRing>,
    next: usize,
    wrapped: Vec<u8>,
    /// Records that the kernel could not write, as it says in the rings. The programs count the
    /// same in `drops`.
    pub lost: u64,
    _map: MapData,
}

struct PerfRing {
    event: OwnedFd,
    start: NonNull<u8>,
    page_bytes: usize,
    ring_bytes: usize,
    /// Newest stamp of what was read.
    newest_ns: u64,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl Send for PerfRing {}

impl PerfRings {
    /// Opens a ring on each CPU, all together about `bytes`, and puts them into `map`.
    pub fn new(map: MapData, bytes: usize) -> io::Result<Self> {
        let cpus = sys::online_cpus();
        let each = (bytes / cpus.len().max(1)).max(RING_BYTES_MIN);
        let ring_bytes = if each.is_power_of_two() { each } else { each.next_power_of_two() / 2 };
        let mut rings = Vec::new();
        for cpu in cpus {
            let ring = PerfRing::new(cpu, ring_bytes)?;
            let event = u32::try_from(ring.event.as_raw_fd()).map_err(io::Error::other)?;
            sys::map_set_u32(map.fd().as_fd(), cpu, event)?;
            perf_event::enable(ring.event.as_fd())?;
            rings.push(ring);
        }
        Ok(Self { rings, next: 0, wrapped: Vec::new(), lost: 0, _map: map })
    }

    /// Descriptors that tell that much waits.
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.rings.iter().map(|ring| ring.event.as_fd()).collect()
    }

    /// Gives up to `records_max` records of each ring to `on_record`, which tells their stamps.
    pub fn read(
        &mut self,
        records_max: usize,
        mut round: Round,
        mut on_record: impl FnMut(&[u8]) -> u64,
    ) -> Round {
        let rings = self.rings.len();
        for _ in 0..rings {
            let ring = &mut self.rings[self.next];
            self.next = (self.next + 1) % rings;
            let (taken, lost) = ring.read(records_max, &mut self.wrapped, &mut on_record);
            round.add(taken, taken < records_max, ring.newest_ns);
            self.lost += lost;
        }
        round
    }
}

impl PerfRing {
    fn new(cpu: u32, ring_bytes: usize) -> io::Result<Self> {
        let page_bytes = sys::page_bytes();
        let watermark = u32::try_from(ring_bytes / 8).unwrap_or(u32::MAX);
        let event = perf_event::bpf_output(cpu, watermark)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let (none, bytes) = (std::ptr::null_mut(), page_bytes + ring_bytes);
        // SAFETY: asks for a new mapping at a place of the kernel's choice.
        let start =
            unsafe { libc::mmap(none, bytes, access, libc::MAP_SHARED, event.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { event, start, page_bytes, ring_bytes, newest_ns: 0 })
    }

    /// Returns records read, and records lost as the kernel says.
    fn read(
        &mut self,
        records_max: usize,
        wrapped: &mut Vec<u8>,
        on_record: &mut impl FnMut(&[u8]) -> u64,
    ) -> (usize, u64) {
        let head = self.position(HEAD).load(Ordering::Acquire);
        let mut tail = self.position(TAIL).load(Ordering::Relaxed);
        let (mut read, mut lost, mut newest_ns) = (0, 0, self.newest_ns);
        while tail < head && read < records_max {
            let header = self.bytes(tail, HEADER_BYTES, wrapped);
            let (kind, size) = (u32_of(header, 0), usize::from(u16_of(header, 6)));
            if size < HEADER_BYTES || size > self.ring_bytes {
                // The kernel does not write this; go to where it will write next.
                tail = head;
                break;
            }
            let record = self.bytes(tail, size, wrapped);
            match kind {
                RECORD_SAMPLE => {
                    let bytes = u32_of(record, HEADER_BYTES) as usize;
                    if let Some(record) = record.get(HEADER_BYTES + 4..HEADER_BYTES + 4 + bytes) {
                        newest_ns = newest_ns.max(on_record(record));
                        read += 1;
                    }
                }
                RECORD_LOST => {
                    lost += record
                        .get(16..)
                        .and_then(|r| r.first_chunk())
                        .copied()
                        .map_or(0, u64::from_ne_bytes);
                }
                _ => {}
            }
            tail += size as u64;
        }
        self.position(TAIL).store(tail, Ordering::Release);
        self.newest_ns = newest_ns;
        (read, lost)
    }

    fn position(&self, at: usize) -> &AtomicU64 {
        // SAFETY: the place lies in the first page of the mapping.
        let start = unsafe { self.start.byte_add(at) };
        // SAFETY: an aligned word that the kernel reads and writes atomically.
        unsafe { start.cast::<AtomicU64>().as_ref() }
    }

    /// Bytes of the ring from a position on, put together in `wrapped` if they wrap.
    fn bytes<'a>(&'a self, position: u64, bytes: usize, wrapped: &'a mut Vec<u8>) -> &'a [u8] {
        let at = (position & (self.ring_bytes as u64 - 1)) as usize;
        let before_end = self.ring_bytes - at;
        if bytes <= before_end {
            return self.data(at, bytes);
        }
        wrapped.clear();
        wrapped.extend_from_slice(self.data(at, before_end));
        wrapped.extend_from_slice(self.data(0, bytes - before_end));
        wrapped
    }

    /// Data that the kernel leaves alone until the tail has passed it.
    fn data(&self, at: usize, bytes: usize) -> &[u8] {
        assert!(at + bytes <= self.ring_bytes, "records lie in the ring");
        // SAFETY: in the mapping by the line above.
        let start = unsafe { self.start.byte_add(self.page_bytes + at) };
        // SAFETY: as above, and not written to meanwhile.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), bytes) }
    }
}

impl Drop for PerfRing {
    fn drop(&mut self) {
        let bytes = self.page_bytes + self.ring_bytes;
        // SAFETY: our own mapping; borrows of it end with this value.
        unsafe { libc::munmap(self.start.as_ptr().cast(), bytes) };
    }
}

fn u32_of(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u32::from_ne_bytes)
}

fn u16_of(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u16::from_ne_bytes)
}
