//! The packet socket and its ring of blocks shared with the kernel.
//!
//! ```text
//! ring   := block * ring_blocks              block := [tpacket_block_desc] frame*
//! frame  := [tpacket3_hdr][sockaddr_ll]..[packet at tp_mac]..[next frame at tp_next_offset]
//! ```
//! A block belongs to the kernel until its status says TP_STATUS_USER, then to us until we write
//! TP_STATUS_KERNEL.

#![expect(unsafe_code, reason = "system calls, and memory that the kernel writes")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use libc::{sock_filter, tpacket3_hdr};

use super::PacketError;

/// Size of a block; a frame never crosses one, so it bounds the largest frame, and three of the
/// largest fit. Not larger: blocks that are handed over nearly empty are what a ring runs out of
/// when the reader has to wait under little load.
const BLOCK_BYTES: usize = 256 << 10;
const BLOCKS_A_MIB: usize = (1 << 20) / BLOCK_BYTES;
/// Only for the kernel's sanity checks; frames in TPACKET_V3 have the size they need.
const FRAME_BYTES: usize = 1 << 11;
/// After this time the kernel hands over a block that is not full.
pub(super) const RETIRE_MS: u32 = 40;

/// The protocol of DEC's tests of Ethernet, which does not occur. (Up to 5.11 a socket cannot be bound to
/// none: packet_bind() in net/packet/af_packet.c.)
const ETH_P_LOOPBACK: u16 = 0x9000;

/// Offset of the first frame and number of frames within a block's descriptor.
const BLOCK_STATUS: usize = 8;
const BLOCK_PACKETS: usize = 12;
const BLOCK_FIRST: usize = 16;

/// A frame as it lies in the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct RingFrame<'a> {
    pub(super) time_ns: u64,
    pub(super) nic: u32,
    pub(super) hardware: u16,
    pub(super) packet_type: u8,
    pub(super) vlan: Option<u16>,
    pub(super) wire_bytes: u32,
    pub(super) bytes: &'a [u8],
}

/// Counts of the kernel since they were last read.
pub(super) struct Statistics {
    pub(super) packets: u64,
    pub(super) drops: u64,
    pub(super) freezes: u64,
}

/// A packet socket with its ring.
#[derive(Debug)]
pub(super) struct Ring {
    socket: OwnedFd,
    map: Map,
    next_block: usize,
    blocks: usize,
}

/// Memory mapped from the socket.
#[derive(Debug)]
struct Map {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: the mapping belongs to this value alone, and may be used from any one thread.
unsafe impl Send for Map {}

impl Ring {
    /// A socket that captures nothing yet, with a ring of this size.
    pub(super) fn open(mib: u32) -> Result<Self, PacketError> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            let source = io::Error::last_os_error();
            return Err(match source.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => PacketError::Permission,
                _ => PacketError::Call { call: "socket", source },
            });
        }
        // SAFETY: the descriptor was just opened and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let version = libc::tpacket_versions::TPACKET_V3 as i32;
        set_option(&socket, libc::PACKET_VERSION, &version, "PACKET_VERSION")?;
        let blocks = mib.clamp(2, 4096) as usize * BLOCKS_A_MIB;
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK_BYTES as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: FRAME_BYTES as u32,
            tp_frame_nr: (blocks * BLOCK_BYTES / FRAME_BYTES) as u32,
            tp_retire_blk_tov: RETIRE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set_option(&socket, libc::PACKET_RX_RING, &request, "PACKET_RX_RING")?;
        let map = Map::new(&socket, blocks * BLOCK_BYTES)?;
        Ok(Self { socket, map, next_block: 0, blocks })
    }

    /// Number of blocks.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Begins to capture on all interfaces.
    pub(super) fn start(&self) -> Result<(), PacketError> {
        self.bind(libc::ETH_P_ALL as u16)
    }

    /// Ends it until the next start, so that packets do not pass by this socket at all. A member of a
    /// group cannot.
    pub(super) fn pause(&self) -> Result<(), PacketError> {
        self.bind(ETH_P_LOOPBACK)
    }

    fn bind(&self, protocol: u16) -> Result<(), PacketError> {
        // SAFETY: the type consists of numbers, for which zeros are valid.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol.to_be();
        let length = size_of::<libc::sockaddr_ll>() as u32;
        let pointer = (&raw const address).cast();
        // SAFETY: pointer and length describe `address`, which lives until the call returns.
        if unsafe { libc::bind(self.socket.as_raw_fd(), pointer, length) } != 0 {
            return Err(PacketError::last("bind"));
        }
        Ok(())
    }

    /// Makes a group of this socket alone, whose packets `program` shares out; its number.
    pub(super) fn found_group(&self, program: &[sock_filter]) -> Result<u16, PacketError> {
        let kind = libc::PACKET_FANOUT_CBPF;
        let value = (kind | libc::PACKET_FANOUT_FLAG_UNIQUEID) << 16;
        set_option(&self.socket, libc::PACKET_FANOUT, &value, "PACKET_FANOUT")?;
        let mut group = 0u32;
        let name = libc::PACKET_FANOUT;
        get_option(&self.socket, libc::SOL_PACKET, name, &mut group, "PACKET_FANOUT")?;
        let program = program_of(program);
        set_option(&self.socket, libc::PACKET_FANOUT_DATA, &program, "PACKET_FANOUT_DATA")?;
        Ok(group as u16)
    }

    /// Becomes a member of a group.
    pub(super) fn join_group(&self, group: u16) -> Result<(), PacketError> {
        let value = u32::from(group) | libc::PACKET_FANOUT_CBPF << 16;
        set_option(&self.socket, libc::PACKET_FANOUT, &value, "PACKET_FANOUT")
    }

    /// Replaces the filter of the socket.
    pub(super) fn set_filter(&self, program: &[sock_filter]) -> Result<(), PacketError> {
        let program = program_of(program);
        let fd = self.socket.as_raw_fd();
        let (pointer, length) = ((&raw const program).cast(), size_of_val(&program) as u32);
        // SAFETY: the kernel copies the program, which outlives the call; it does not write to it.
        let done = unsafe {
            libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, pointer, length)
        };
        if done == 0 { Ok(()) } else { Err(PacketError::last("SO_ATTACH_FILTER")) }
    }

    /// Waits until a block is ready; false when the time is over or a signal came.
    pub(super) fn wait(&self, timeout: Duration) -> Result<bool, PacketError> {
        if self.is_ready() {
            return Ok(true);
        }
        let mut poll =
            libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout_ms = timeout.as_millis().min(i32::MAX as u128) as i32;
        // SAFETY: pointer and count describe the one entry.
        if unsafe { libc::poll(&mut poll, 1, timeout_ms) } < 0 {
            let source = io::Error::last_os_error();
            if source.kind() != io::ErrorKind::Interrupted {
                return Err(PacketError::Call { call: "poll", source });
            }
        } else if poll.revents & libc::POLLERR != 0 {
            // An interface went down; reading the error clears it.
            let mut error = 0i32;
            get_option(&self.socket, libc::SOL_SOCKET, libc::SO_ERROR, &mut error, "SO_ERROR")?;
        }
        Ok(self.is_ready())
    }

    /// Hands out the frames of the next block and gives it back; false when it is not ready.
    pub(super) fn read_block(&mut self, mut on_frame: impl FnMut(RingFrame<'_>)) -> bool {
        if !self.is_ready() {
            return false;
        }
        let block = self.map.block(self.next_block);
        let mut at = read_u32(block, BLOCK_FIRST) as usize;
        for _ in 0..read_u32(block, BLOCK_PACKETS) {
            let Some((frame, next)) = read_frame(block, at) else { break };
            on_frame(frame);
            at += next;
        }
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next_block = (self.next_block + 1) % self.blocks;
        true
    }

    /// Counts since the last call; the kernel starts them anew.
    pub(super) fn statistics(&self) -> Result<Statistics, PacketError> {
        let mut value = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        let name = libc::PACKET_STATISTICS;
        get_option(&self.socket, libc::SOL_PACKET, name, &mut value, "PACKET_STATISTICS")?;
        Ok(Statistics {
            packets: value.tp_packets.into(),
            drops: value.tp_drops.into(),
            freezes: value.tp_freeze_q_cnt.into(),
        })
    }

    fn is_ready(&self) -> bool {
        self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    fn status(&self) -> &AtomicU32 {
        let at = self.next_block * BLOCK_BYTES + BLOCK_STATUS;
        // SAFETY: the offset lies in the mapping, which lives as long as `self`.
        let status = unsafe { self.map.start.add(at) };
        // SAFETY: the word is aligned (blocks are pages), and the kernel writes it atomically.
        unsafe { AtomicU32::from_ptr(status.cast()) }
    }
}

impl Map {
    fn new(socket: &OwnedFd, bytes: usize) -> Result<Self, PacketError> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let fd = socket.as_raw_fd();
        // SAFETY: the kernel chooses the address; nothing that exists is replaced.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(PacketError::last("mmap"));
        }
        Ok(Self { start: start.cast(), bytes })
    }

    /// The bytes of a block that belongs to us.
    fn block(&self, index: usize) -> &[u8] {
        let at = index * BLOCK_BYTES;
        assert!(at + BLOCK_BYTES <= self.bytes, "blocks lie in the mapping");
        // SAFETY: the offset lies in the mapping, as was just checked.
        let start = unsafe { self.start.add(at) };
        // SAFETY: the block is mapped, and the kernel does not write to it while it is ours.
        unsafe { std::slice::from_raw_parts(start, BLOCK_BYTES) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `new`; no reference into it can outlive `self`.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}

/// The frame at an offset of a block, and the distance to the next one.
fn read_frame(block: &[u8], at: usize) -> Option<(RingFrame<'_>, usize)> {
    const LINK_AT: usize = size_of::<tpacket3_hdr>().next_multiple_of(16);
    let head = block.get(at..at + LINK_AT + size_of::<libc::sockaddr_ll>())?;
    // SAFETY: the slice has the size of the header, which consists of numbers.
    let frame: tpacket3_hdr = unsafe { std::ptr::read_unaligned(head.as_ptr().cast()) };
    let link = head[LINK_AT..].as_ptr();
    // SAFETY: the slice has the size of the address, which consists of numbers.
    let link: libc::sockaddr_ll = unsafe { std::ptr::read_unaligned(link.cast()) };
    let start = at + usize::from(frame.tp_mac);
    let vlan = frame.tp_status & libc::TP_STATUS_VLAN_VALID != 0;
    let out = RingFrame {
        time_ns: u64::from(frame.tp_sec) * 1_000_000_000 + u64::from(frame.tp_nsec),
        nic: link.sll_ifindex as u32,
        hardware: link.sll_hatype,
        packet_type: link.sll_pkttype,
        vlan: vlan.then_some((frame.hv1.tp_vlan_tci & 0x0fff) as u16),
        wire_bytes: frame.tp_len,
        bytes: block.get(start..start + frame.tp_snaplen as usize)?,
    };
    Some((out, frame.tp_next_offset as usize))
}

fn read_u32(block: &[u8], at: usize) -> u32 {
    block[at..].first_chunk().map_or(0, |four| u32::from_ne_bytes(*four))
}

fn set_option<T>(
    socket: &OwnedFd,
    name: i32,
    value: &T,
    call: &'static str,
) -> Result<(), PacketError> {
    let fd = socket.as_raw_fd();
    let (pointer, length) = ((&raw const *value).cast(), size_of::<T>() as u32);
    // SAFETY: pointer and length describe `value`, which lives until the call returns.
    let done = unsafe { libc::setsockopt(fd, libc::SOL_PACKET, name, pointer, length) };
    if done == 0 { Ok(()) } else { Err(PacketError::last(call)) }
}

fn get_option<T>(
    socket: &OwnedFd,
    level: i32,
    name: i32,
    value: &mut T,
    call: &'static str,
) -> Result<(), PacketError> {
    let fd = socket.as_raw_fd();
    let mut length = size_of::<T>() as u32;
    let pointer = (&raw mut *value).cast();
    // SAFETY: pointer and length describe `value`, a plain structure of numbers.
    let done = unsafe { libc::getsockopt(fd, level, name, pointer, &mut length) };
    if done == 0 { Ok(()) } else { Err(PacketError::last(call)) }
}

/// A program as system calls take it, which copy it.
fn program_of(program: &[sock_filter]) -> libc::sock_fprog {
    libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() }
}
