//! The reading end of a BPF ring buffer.
//!
//! In: the ring that kernel programs write. Out: its records in order, each lent for the length of
//! one call. Never: a copy of a record that does not wrap, a second mapping of the data.
//!
//! Why not aya's reader: it tells the kernel of each record read, so that reader and traced programs
//! pull one cache line to and fro; and it maps the data twice, which doubles its share of the RSS.
//! Here the kernel is told once in `GIVE_BACK_BYTES`.
//!
//! ```text
//! map    := [consumer page][producer page][data: ring_bytes]
//! record := [len: u32, bit 31 busy, bit 30 discarded][page: u32][bytes: len][pad to 8]
//! ```
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use aya::maps::MapData;

use super::reorder::Round;

const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
const HEADER_BYTES: usize = 8;
/// Bytes read after which the kernel may write over them.
const GIVE_BACK_BYTES: usize = 64 << 10;

/// A ring, mapped; the only reader of it.
pub struct Ring {
    consumer: Mapping,
    producer: Mapping,
    map: MapData,
    page_bytes: usize,
    ring_bytes: usize,
    position: usize,
    wrapped: Vec<u8>,
    /// Newest stamp of what was read.
    newest_ns: u64,
}

impl Ring {
    /// Maps the ring of `ring_bytes`, a power of two.
    pub fn new(map: MapData, ring_bytes: usize) -> io::Result<Self> {
        let page_bytes = super::sys::page_bytes();
        let fd = map.fd().as_fd();
        let consumer = Mapping::new(fd, 0, page_bytes, libc::PROT_READ | libc::PROT_WRITE)?;
        let producer = Mapping::new(fd, page_bytes, page_bytes + ring_bytes, libc::PROT_READ)?;
        let position = consumer.position().load(Ordering::Relaxed);
        let (wrapped, newest_ns) = (Vec::new(), 0);
        Ok(Self { consumer, producer, map, page_bytes, ring_bytes, position, wrapped, newest_ns })
    }

    /// Gives up to `records_max` records to `on_record`, which tells their stamps. A record that is
    /// still being written ends the round.
    pub fn read(
        &mut self,
        records_max: usize,
        mut round: Round,
        mut on_record: impl FnMut(&[u8]) -> u64,
    ) -> Round {
        let mut read = 0;
        let mut given_back = self.position;
        let end = self.producer.position().load(Ordering::Acquire);
        while read < records_max && self.position != end {
            let header = self.header().load(Ordering::Acquire);
            if header & BUSY != 0 {
                break;
            }
            let bytes = (header & !(BUSY | DISCARDED)) as usize;
            if header & DISCARDED == 0 {
                let stamp_ns = on_record(self.record(bytes));
                self.newest_ns = self.newest_ns.max(stamp_ns);
                read += 1;
            }
            self.position = self.position.wrapping_add((HEADER_BYTES + bytes).next_multiple_of(8));
            if self.position.wrapping_sub(given_back) >= GIVE_BACK_BYTES {
                given_back = self.position;
                self.consumer.position().store(given_back, Ordering::Release);
            }
        }
        self.consumer.position().store(self.position, Ordering::Release);
        round.add(read, self.position == end, self.newest_ns);
        round
    }

    /// Length word of the record at the reading position.
    fn header(&self) -> &AtomicU32 {
        let at = self.page_bytes + (self.position & (self.ring_bytes - 1));
        // SAFETY: positions lie within the data, which is mapped after the first page.
        let start = unsafe { self.producer.start.byte_add(at) };
        // SAFETY: positions are multiples of 8; the kernel writes this word atomically.
        unsafe { start.cast::<AtomicU32>().as_ref() }
    }

    /// Bytes of the record at the reading position, put together if it wraps.
    fn record(&mut self, bytes: usize) -> &[u8] {
        let first = (self.position + HEADER_BYTES) & (self.ring_bytes - 1);
        let before_end = self.ring_bytes - first;
        if bytes <= before_end {
            return self.data(first, bytes);
        }
        let mut wrapped = std::mem::take(&mut self.wrapped);
        wrapped.clear();
        wrapped.extend_from_slice(self.data(first, before_end));
        wrapped.extend_from_slice(self.data(0, bytes - before_end));
        self.wrapped = wrapped;
        &self.wrapped
    }

    /// Data bytes, which the kernel leaves alone until the consumer's position has passed them.
    fn data(&self, at: usize, bytes: usize) -> &[u8] {
        assert!(at + bytes <= self.ring_bytes, "records lie in the ring");
        // SAFETY: in the mapping by the line above, and not written to meanwhile.
        let start = unsafe { self.producer.start.byte_add(self.page_bytes + at) };
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), bytes) }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.fd().as_fd()
    }
}

/// Memory shared with the kernel, whose first word is a position.
struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, offset: usize, bytes: usize, access: i32) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        let none = std::ptr::null_mut();
        // SAFETY: asks for a new mapping at a place of the kernel's choice.
        let start =
            unsafe { libc::mmap(none, bytes, access, libc::MAP_SHARED, fd.as_raw_fd(), offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { start, bytes })
    }

    fn position(&self) -> &AtomicUsize {
        // SAFETY: the page begins with an aligned word that the kernel reads and writes atomically.
        unsafe { self.start.cast::<AtomicUsize>().as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our own mapping; borrows of it end with the `Ring`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

// SAFETY: the mappings belong to this value alone and are not tied to a thread.
unsafe impl Send for Mapping {}
