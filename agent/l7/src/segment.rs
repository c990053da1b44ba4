//! What a conversation is fed with: segments and the context they belong to.
//!
//! Filled by the agent's pipelines from packets or from BPF socket events. Never holds payload:
//! a segment borrows it.

use schema::SignalSource;

/// Which end sent the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the end that opened the conversation.
    ClientToServer,
    /// From the end that was called.
    ServerToClient,
}

impl Direction {
    /// The other one.
    pub fn opposite(self) -> Self {
        match self {
            Self::ClientToServer => Self::ServerToClient,
            Self::ServerToClient => Self::ClientToServer,
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::ClientToServer => 0,
            Self::ServerToClient => 1,
        }
    }
}

/// What carries the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A byte stream; segments are put in order.
    Tcp,
    /// Datagrams; each is read by itself.
    Udp,
}

/// Who made the bytes pass, where that is known (system calls). All zero for packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Thread id (tid); 0 = not known.
    pub thread: u32,
    /// Coroutine id; 0 = none.
    pub coroutine: u64,
    /// Id that links system calls of one thread; 0 = none.
    pub trace_id: u64,
    /// Number of the system call on its socket; 0 = a packet.
    pub cap_seq: u32,
    /// TCP sequence number of what the payload was encrypted to; 0 = it was not, or not known. It
    /// says nothing of the order of the payload.
    pub encrypted_seq: u32,
}

/// One piece of payload: a TCP segment, a datagram, or the data of a system call.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// When it was seen. unit ns since the Unix epoch
    pub time_ns: u64,
    /// Who sent it.
    pub direction: Direction,
    /// TCP sequence number of `payload[0]` (of the SYN itself where `syn`). `None`: segments
    /// come in the order of the stream, as system calls without a sequence do.
    pub seq: Option<u32>,
    /// The bytes that were captured.
    pub payload: &'a [u8],
    /// Length on the wire or of the system call; at least `payload.len()`, the difference being
    /// bytes cut off at the end.
    pub wire_bytes: u32,
    /// The segment opens the stream: `seq + 1` is the first byte's number.
    pub syn: bool,
    /// Nothing follows in this direction.
    pub fin: bool,
    /// Who made it pass.
    pub origin: Origin,
}

/// What is known of a conversation before its first byte.
#[derive(Clone, Copy, Debug)]
pub struct ConversationContext {
    /// What carries it.
    pub transport: Transport,
    /// Port of the client. A hint for nothing but ties.
    pub client_port: u16,
    /// Port of the server. A hint for nothing but ties.
    pub server_port: u16,
    /// Hash of the server's address and port (and process): key of the inference cache.
    pub server_key: u64,
    /// Packets or system calls.
    pub signal_source: SignalSource,
    /// Client and server are certain (a SYN, accept or connect was seen). Otherwise the first
    /// request may swap them: see [`crate::Output::reversed`].
    pub direction_known: bool,
    /// The payload was encrypted on the wire and was taken before or after that.
    pub is_tls: bool,
}
