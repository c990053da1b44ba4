//! Ring records as Rust values.
//!
//! In: the bytes of one record. Out: an `Event` that borrows its payload from them.
//! Never: a panic or a read outside the record, whatever the bytes are.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::abi;

mod file;

pub use file::{FileEvent, FilePath};

/// The place in the kernel where an event was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum Hook {
    Read = 1,
    Write = 2,
    Readv = 3,
    Writev = 4,
    Sendto = 5,
    Recvfrom = 6,
    Sendmsg = 7,
    Recvmsg = 8,
    Sendmmsg = 9,
    Recvmmsg = 10,
    Connect = 11,
    Accept = 12,
    Accept4 = 13,
    Close = 14,
    Exec = 15,
    Exit = 16,
    Fork = 17,
    TlsRead = 18,
    TlsWrite = 19,
    Pread64 = 20,
    Pwrite64 = 21,
    Preadv = 22,
    Pwritev = 23,
    Preadv2 = 24,
    Pwritev2 = 25,
    Sendfile64 = 26,
    Splice = 27,
    IoUringEnter = 28,
    Fsync = 29,
    Fdatasync = 30,
}

impl Hook {
    /// Every hook, in the order of the ids.
    pub const ALL: [Self; 30] = [
        Self::Read,
        Self::Write,
        Self::Readv,
        Self::Writev,
        Self::Sendto,
        Self::Recvfrom,
        Self::Sendmsg,
        Self::Recvmsg,
        Self::Sendmmsg,
        Self::Recvmmsg,
        Self::Connect,
        Self::Accept,
        Self::Accept4,
        Self::Close,
        Self::Exec,
        Self::Exit,
        Self::Fork,
        Self::TlsRead,
        Self::TlsWrite,
        Self::Pread64,
        Self::Pwrite64,
        Self::Preadv,
        Self::Pwritev,
        Self::Preadv2,
        Self::Pwritev2,
        Self::Sendfile64,
        Self::Splice,
        Self::IoUringEnter,
        Self::Fsync,
        Self::Fdatasync,
    ];

    /// Number of the hook in records.
    #[must_use]
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The hook of a number.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id).checked_sub(1)?).copied()
    }

    /// Whether it is in TLS libraries and not in the kernel: its data is plaintext.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::TlsRead | Self::TlsWrite)
    }

    /// Whether it is of calls that are made on files alone.
    #[must_use]
    pub const fn is_of_files(self) -> bool {
        matches!(
            self,
            Self::Pread64
                | Self::Pwrite64
                | Self::Preadv
                | Self::Pwritev
                | Self::Preadv2
                | Self::Pwritev2
                | Self::Fsync
                | Self::Fdatasync
        )
    }

    /// Name of the system call, or `exec`, `exit` and `fork`, `tls_read` and `tls_write`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Readv => "readv",
            Self::Writev => "writev",
            Self::Sendto => "sendto",
            Self::Recvfrom => "recvfrom",
            Self::Sendmsg => "sendmsg",
            Self::Recvmsg => "recvmsg",
            Self::Sendmmsg => "sendmmsg",
            Self::Recvmmsg => "recvmmsg",
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::Accept4 => "accept4",
            Self::Close => "close",
            Self::Exec => "exec",
            Self::Exit => "exit",
            Self::Fork => "fork",
            Self::TlsRead => "tls_read",
            Self::TlsWrite => "tls_write",
            Self::Pread64 => "pread64",
            Self::Pwrite64 => "pwrite64",
            Self::Preadv => "preadv",
            Self::Pwritev => "pwritev",
            Self::Preadv2 => "preadv2",
            Self::Pwritev2 => "pwritev2",
            Self::Sendfile64 => "sendfile64",
            Self::Splice => "splice",
            Self::IoUringEnter => "io_uring_enter",
            Self::Fsync => "fsync",
            Self::Fdatasync => "fdatasync",
        }
    }
}

/// Which way the data went, seen from the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The process received.
    Ingress,
    /// The process sent.
    Egress,
}

/// How the process got its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SocketRole {
    /// It was there before the agent, was inherited unseen, or is an unconnected UDP socket.
    Unknown,
    /// By `connect`: a client.
    Connect,
    /// By `accept`: a server.
    Accept,
}

/// Transport protocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Transport {
    Tcp,
    Udp,
}

/// Name of a process, at most 15 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Comm([u8; abi::COMM_BYTES]);

impl Comm {
    /// The bytes up to the first zero; mostly, not always, UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// The name; empty if it is not UTF-8 from its first byte on, else up to where it is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.as_bytes();
        match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// Who made an event, where and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Hook that saw it.
    pub hook: Hook,
    /// Process, in the first pid namespace.
    pub tgid: u32,
    /// Thread, in the first pid namespace.
    pub tid: u32,
    /// Descriptor of the call, -1: none.
    pub fd: i32,
    /// Nanoseconds of CLOCK_MONOTONIC: entry of sends, connects and closes, exit of the others.
    pub mono_ns: u64,
    /// The same moment as nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Name of the process: that of its main thread.
    pub comm: Comm,
}

/// The two ends of a socket, seen from the process. IPv4 mapped into IPv6 is given as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Our address; unspecified (0.0.0.0 or ::) for a UDP socket bound to no single address.
    pub local_ip: IpAddr,
    /// The peer's address; unspecified if the socket has no peer.
    pub remote_ip: IpAddr,
    /// Our port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
    /// TCP or UDP.
    pub transport: Transport,
    /// How the process got the socket.
    pub role: SocketRole,
}

/// Data of one system call, or a part of it in order.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// Who, where, when.
    pub caller: Caller,
    /// The two ends.
    pub tuple: Tuple,
    /// The socket, unique while the agent runs.
    pub socket_id: u64,
    /// Links a request received to the requests that its thread then sends; 0: none.
    pub trace_id: u64,
    /// Coroutine; 0: not known.
    pub coroutine_id: u64,
    /// Data calls on this socket so far, this one included.
    pub cap_seq: u32,
    /// It was encrypted on the wire: a TLS library took it or gave it.
    pub is_tls: bool,
    /// TCP sequence number of the first byte of `payload`; `None` where it has none. Where `is_tls`:
    /// of the first byte that the call moved encrypted, the same for all parts.
    pub tcp_seq: Option<u32>,
    /// Threads raced on the socket: `tcp_seq` may be off by another's bytes.
    pub seq_unsure: bool,
    /// Received or sent.
    pub direction: Direction,
    /// Bytes that the system call (or this message of it) moved.
    pub message_bytes: u32,
    /// Where in them `payload` begins.
    pub offset_bytes: u32,
    /// Last part of the message.
    pub last: bool,
    /// The copy ended early: user memory could not be read.
    pub unreadable: bool,
    /// What was copied; the rest of the message is not told after `last`.
    pub payload: &'a [u8],
}

impl Data<'_> {
    /// Bytes of the stream that this event stands for: its payload, and in the last part also what
    /// was not copied.
    #[must_use]
    pub fn wire_bytes(&self) -> u32 {
        if self.last {
            self.message_bytes.saturating_sub(self.offset_bytes)
        } else {
            u32::try_from(self.payload.len()).unwrap_or(u32::MAX)
        }
    }
}

/// What happened to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SocketChange {
    /// `connect` ended with this result: 0, or -errno (`-EINPROGRESS`: under way).
    Connect(i32),
    /// It came out of `accept`.
    Accept,
    /// Its last descriptor is being closed by a call; not told when a process ends.
    Close,
}

/// A socket began or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketEvent {
    /// Who, where, when.
    pub caller: Caller,
    /// The two ends.
    pub tuple: Tuple,
    /// The socket, unique while the agent runs.
    pub socket_id: u64,
    /// What happened.
    pub change: SocketChange,
    /// Inode number of the socket's network namespace; 0: not known.
    pub netns: u32,
}

/// What happened to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessChange<'a> {
    /// It runs this executable now; the path is as it was given to `exec`.
    Exec {
        /// At most 255 bytes.
        path: &'a [u8],
        /// Name of its cgroup, or of the one above, where it may hold a container's id; else empty.
        /// `None`: this kernel's programs cannot tell.
        cgroup: Option<&'a [u8]>,
        /// Inode number of its network namespace; 0: not known.
        netns: u32,
    },
    /// It began as a copy of `parent_tgid`. The caller is the child, with the parent's name.
    Fork,
    /// Its last thread ended, with a status as of `wait(2)`.
    Exit {
        /// Status word.
        status: i32,
    },
}

/// A process began, began to run a program, or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessEvent<'a> {
    /// Who, when.
    pub caller: Caller,
    /// Process that started it.
    pub parent_tgid: u32,
    /// What happened.
    pub change: ProcessChange<'a>,
}

/// One record of the kernel.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Bytes sent or received.
    Data(Data<'a>),
    /// A socket began or ended.
    Socket(SocketEvent),
    /// A process began or ended.
    Process(ProcessEvent<'a>),
    /// A call on a file took long.
    File(FileEvent<'a>),
}

impl<'a> Event<'a> {
    /// Who made it, where and when.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        match self {
            Self::Data(data) => &data.caller,
            Self::Socket(socket) => &socket.caller,
            Self::Process(process) => &process.caller,
            Self::File(file) => &file.caller,
        }
    }

    /// Reads one record. `clock_offset_ns` is what is added to CLOCK_MONOTONIC to get time since
    /// the epoch. `None`: the record is too short, of another version or of an unknown kind.
    #[must_use]
    pub fn decode(record: &'a [u8], clock_offset_ns: i64) -> Option<Self> {
        let fields = Fields(record);
        if fields.u8(abi::event::VERSION)? != abi::VERSION {
            return None;
        }
        let caller = fields.caller(clock_offset_ns)?;
        match fields.u8(abi::event::KIND)? {
            abi::kind::DATA => fields.data(caller).map(Self::Data),
            abi::kind::CONNECT => {
                let result = fields.u32(abi::socket::RESULT)?.cast_signed();
                fields.socket(caller, SocketChange::Connect(result)).map(Self::Socket)
            }
            abi::kind::ACCEPT => fields.socket(caller, SocketChange::Accept).map(Self::Socket),
            abi::kind::CLOSE => fields.socket(caller, SocketChange::Close).map(Self::Socket),
            abi::kind::EXEC => {
                let bytes = fields.u32(abi::process::PATH_BYTES)? as usize;
                let path = record.get(abi::exec::BYTES..)?.get(..bytes)?;
                let cgroup = record.get(abi::exec::CGROUP..)?.get(..abi::CGROUP_BYTES)?;
                let cgroup = cgroup.split(|&byte| byte == 0).next().unwrap_or_default();
                let can_tell = fields.u8(abi::event::FLAGS)? & abi::flag::NO_CGROUP == 0;
                let cgroup = can_tell.then_some(cgroup);
                let netns = fields.u32(abi::process::NETNS)?;
                let change = ProcessChange::Exec { path, cgroup, netns };
                fields.process(caller, change).map(Self::Process)
            }
            abi::kind::FORK => fields.process(caller, ProcessChange::Fork).map(Self::Process),
            abi::kind::EXIT => {
                let status = fields.u32(abi::process::EXIT_CODE)?.cast_signed();
                fields.process(caller, ProcessChange::Exit { status }).map(Self::Process)
            }
            abi::kind::FILE => file::decode(fields, caller).map(Self::File),
            _ => None,
        }
    }

    /// CLOCK_MONOTONIC nanoseconds of a record, without the rest. `None`: too short.
    #[must_use]
    pub fn mono_ns(record: &[u8]) -> Option<u64> {
        Fields(record).u64(abi::event::MONO_NS)
    }
}

/// Checked reads from a record.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk::<N>().copied()
    }

    fn u8(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_ne_bytes)
    }

    fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_ne_bytes)
    }

    fn u64(self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_ne_bytes)
    }

    fn caller(self, clock_offset_ns: i64) -> Option<Caller> {
        let mono_ns = self.u64(abi::event::MONO_NS)?;
        Some(Caller {
            hook: Hook::from_id(self.u8(abi::event::HOOK)?)?,
            tgid: self.u32(abi::event::TGID)?,
            tid: self.u32(abi::event::TID)?,
            fd: self.u32(abi::event::FD)?.cast_signed(),
            mono_ns,
            time_ns: mono_ns.saturating_add_signed(clock_offset_ns),
            comm: Comm(self.array(abi::event::COMM)?),
        })
    }

    fn address(self, at: usize, ip_version: u8) -> Option<IpAddr> {
        match ip_version {
            4 => self.array::<4>(at).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
            6 => self.array::<16>(at).map(|bytes| Ipv6Addr::from(bytes).to_canonical()),
            _ => None,
        }
    }

    fn tuple(self, at: usize) -> Option<Tuple> {
        let ip_version = self.u8(at + abi::tuple::IP_VERSION)?;
        Some(Tuple {
            local_ip: self.address(at + abi::tuple::LOCAL_ADDR, ip_version)?,
            remote_ip: self.address(at + abi::tuple::REMOTE_ADDR, ip_version)?,
            local_port: self.u16(at + abi::tuple::LOCAL_PORT)?,
            remote_port: self.u16(at + abi::tuple::REMOTE_PORT)?,
            transport: match i32::from(self.u8(at + abi::tuple::PROTOCOL)?) {
                libc::IPPROTO_TCP => Transport::Tcp,
                libc::IPPROTO_UDP => Transport::Udp,
                _ => return None,
            },
            role: match self.u8(at + abi::tuple::ROLE)? {
                abi::role::CONNECT => SocketRole::Connect,
                abi::role::ACCEPT => SocketRole::Accept,
                _ => SocketRole::Unknown,
            },
        })
    }

    fn data(self, caller: Caller) -> Option<Data<'a>> {
        let flags = self.u8(abi::event::FLAGS)?;
        let payload_bytes = self.u32(abi::data::PAYLOAD_BYTES)?;
        let offset_bytes = self.u32(abi::data::OFFSET_BYTES)?;
        let message_bytes = self.u32(abi::data::MESSAGE_BYTES)?;
        let is_tls = caller.hook.is_tls();
        let seq = self.u32(abi::data::TCP_SEQ)?;
        let seq = if is_tls { seq } else { seq.wrapping_add(offset_bytes) };
        if message_bytes.checked_sub(offset_bytes)? < payload_bytes {
            return None;
        }
        Some(Data {
            caller,
            tuple: self.tuple(abi::data::TUPLE)?,
            socket_id: self.u64(abi::data::SOCKET_ID)?,
            trace_id: self.u64(abi::data::TRACE_ID)?,
            coroutine_id: self.u64(abi::data::COROUTINE_ID)?,
            cap_seq: self.u32(abi::data::CAP_SEQ)?,
            is_tls,
            tcp_seq: (flags & abi::flag::NO_SEQ == 0).then_some(seq),
            seq_unsure: flags & abi::flag::SEQ_UNSURE != 0,
            direction: match self.u8(abi::data::DIRECTION)? {
                abi::direction::INGRESS => Direction::Ingress,
                abi::direction::EGRESS => Direction::Egress,
                _ => return None,
            },
            message_bytes,
            offset_bytes,
            last: flags & abi::flag::LAST != 0,
            unreadable: flags & abi::flag::UNREADABLE != 0,
            payload: self.0.get(abi::data::BYTES..)?.get(..payload_bytes as usize)?,
        })
    }

    fn socket(self, caller: Caller, change: SocketChange) -> Option<SocketEvent> {
        Some(SocketEvent {
            caller,
            tuple: self.tuple(abi::socket::TUPLE)?,
            socket_id: self.u64(abi::socket::SOCKET_ID)?,
            change,
            netns: self.u32(abi::socket::NETNS)?,
        })
    }

    fn process(self, caller: Caller, change: ProcessChange<'a>) -> Option<ProcessEvent<'a>> {
        Some(ProcessEvent { caller, parent_tgid: self.u32(abi::process::PARENT_TGID)?, change })
    }
}

#[cfg(test)]
mod tests;
