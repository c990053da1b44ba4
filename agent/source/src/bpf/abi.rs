//! The layout of ring records, as `bpf/abi/event.h` has it.
//!
//! In: the numbers of the C header. Out: offsets by which `event` reads a record's bytes.
//! Never: a cast of shared memory to a struct. A test has clang compare every number here with the
//! header, so that the two cannot part.

/// Version of the layout; a record of another one is counted and left.
pub const VERSION: u8 = 3;
/// Bytes of a process name, filled with zeros.
pub const COMM_BYTES: usize = 16;
/// Bytes of a cgroup's name, filled with zeros.
pub const CGROUP_BYTES: usize = 96;
/// Bytes of the name of what is mounted, filled with zeros.
pub const MOUNT_SOURCE_BYTES: usize = 64;
/// Payload bytes of one record at most.
pub const CHUNK_BYTES: usize = 16384;
/// Payload bytes of one system call at most.
pub const PAYLOAD_BYTES_MAX: usize = 131_072;

/// Kinds of records.
pub mod kind {
    pub(crate) const DATA: u8 = 1;
    pub(crate) const CONNECT: u8 = 2;
    pub(crate) const ACCEPT: u8 = 3;
    pub(crate) const CLOSE: u8 = 4;
    pub(crate) const EXEC: u8 = 5;
    pub(crate) const EXIT: u8 = 6;
    pub(crate) const FORK: u8 = 7;
    pub(crate) const FILE: u8 = 8;
}

/// Bits of `event.flags`.
pub mod flag {
    pub(crate) const LAST: u8 = 1;
    pub(crate) const UNREADABLE: u8 = 2;
    pub(crate) const SEQ_UNSURE: u8 = 4;
    pub(crate) const NO_SEQ: u8 = 8;
    #[cfg(test)]
    pub(crate) const NO_COPY: u8 = 16;
    pub(crate) const NO_CGROUP: u8 = 32;
}

/// Bits of `event.flags` of a file.
pub mod file_flag {
    pub(crate) const PATH_CUT: u8 = 1;
    pub(crate) const NO_MOUNT: u8 = 2;
    pub(crate) const VIRTUAL: u8 = 4;
}

/// `enum df_direction`.
pub mod direction {
    pub(crate) const INGRESS: u8 = 1;
    pub(crate) const EGRESS: u8 = 2;
}

/// `enum df_role`.
pub mod role {
    pub(crate) const CONNECT: u8 = 1;
    pub(crate) const ACCEPT: u8 = 2;
}

/// Offsets in `struct df_event`, which opens every record.
pub mod event {
    #[cfg(test)]
    pub(crate) const BYTES: usize = 40;
    pub(crate) const KIND: usize = 0;
    pub(crate) const VERSION: usize = 1;
    pub(crate) const HOOK: usize = 2;
    pub(crate) const FLAGS: usize = 3;
    pub(crate) const TGID: usize = 4;
    pub(crate) const TID: usize = 8;
    pub(crate) const FD: usize = 12;
    pub(crate) const MONO_NS: usize = 16;
    pub(crate) const COMM: usize = 24;
}

/// Offsets in `struct df_tuple`.
pub mod tuple {
    #[cfg(test)]
    pub(crate) const BYTES: usize = 40;
    pub(crate) const LOCAL_ADDR: usize = 0;
    pub(crate) const REMOTE_ADDR: usize = 16;
    pub(crate) const LOCAL_PORT: usize = 32;
    pub(crate) const REMOTE_PORT: usize = 34;
    pub(crate) const IP_VERSION: usize = 36;
    pub(crate) const PROTOCOL: usize = 37;
    pub(crate) const ROLE: usize = 38;
}

/// Offsets in `struct df_data`.
pub mod data {
    pub(crate) const BYTES: usize = 128;
    pub(crate) const TUPLE: usize = 40;
    pub(crate) const SOCKET_ID: usize = 80;
    pub(crate) const TRACE_ID: usize = 88;
    pub(crate) const COROUTINE_ID: usize = 96;
    pub(crate) const CAP_SEQ: usize = 104;
    pub(crate) const TCP_SEQ: usize = 108;
    pub(crate) const MESSAGE_BYTES: usize = 112;
    pub(crate) const OFFSET_BYTES: usize = 116;
    pub(crate) const PAYLOAD_BYTES: usize = 120;
    pub(crate) const DIRECTION: usize = 124;
}

/// Offsets in `struct df_socket`.
pub mod socket {
    #[cfg(test)]
    pub(crate) const BYTES: usize = 96;
    pub(crate) const TUPLE: usize = 40;
    pub(crate) const SOCKET_ID: usize = 80;
    pub(crate) const RESULT: usize = 88;
    pub(crate) const NETNS: usize = 92;
}

/// Offsets in `struct df_process`.
pub mod process {
    #[cfg(test)]
    pub(crate) const BYTES: usize = 56;
    pub(crate) const PARENT_TGID: usize = 40;
    pub(crate) const EXIT_CODE: usize = 44;
    pub(crate) const NETNS: usize = 48;
    pub(crate) const PATH_BYTES: usize = 52;
}

/// Offsets in `struct df_exec`.
pub mod exec {
    pub(crate) const BYTES: usize = 152;
    pub(crate) const CGROUP: usize = 56;
}

/// Offsets in `struct df_file`.
pub mod file {
    pub(crate) const BYTES: usize = 176;
    pub(crate) const TRACE_ID: usize = 40;
    pub(crate) const COROUTINE_ID: usize = 48;
    pub(crate) const DURATION_NS: usize = 56;
    pub(crate) const OFFSET_BYTES: usize = 64;
    pub(crate) const ASKED_BYTES: usize = 72;
    pub(crate) const RESULT: usize = 80;
    pub(crate) const INODE: usize = 88;
    pub(crate) const DEVICE: usize = 96;
    pub(crate) const MAGIC: usize = 100;
    pub(crate) const PATH_BYTES: usize = 104;
    pub(crate) const MOUNT_BYTES: usize = 108;
    pub(crate) const SOURCE: usize = 112;
}

#[cfg(test)]
mod tests;
