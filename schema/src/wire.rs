//! Messages between agent and server.
//!
//! In: values. Out: bytes on a QUIC stream, and back. Never: panics, or allocations larger than
//! the bounds stated here, whatever the bytes.
//!
//! ```text
//! frame := [body_bytes: u32 le][kind: u8][body: body_bytes]      body_bytes ≤ MESSAGE_BYTES_MAX
//! batch := frame(BatchHeader) [payload: header.payload_bytes]
//! ```
//! Fields that a later version adds stand at the end of a body; a reader ignores what follows the
//! last field it knows. What cannot be read that way raises [`PROTOCOL_VERSION`].
//!
//! ALPN `deepflow-enrol/1`: one stream, `EnrolRequest` → `EnrolReply`.
//! ALPN `deepflow/1`: the agent's first stream is the control stream (`Hello` → `HelloAck`, later
//! `Statistics` up and `Configuration` down); each further stream opens with `Open` and carries
//! batches up, in rising sequence, and `Ack`s down.

pub(crate) mod bytes;
mod host;
mod message;
mod session;
mod token;

pub use bytes::WireError;
pub use host::{AgentStatistics, HostFacts, NetworkInterface, ProcessEvent, ProcessEventKind};
pub use message::{FRAME_HEADER_BYTES, FrameHeader, Message};
pub use session::{
    Ack, AckOutcome, AgentUuid, BatchHeader, CloseCode, Configuration, EnrolReply, EnrolRequest,
    Hello, HelloAck, Rejection, Signal, StreamState,
};
pub use token::EnrolmentToken;

/// ALPN of data connections; the client must show a certificate of the server's authority.
pub const ALPN_DATA: &[u8] = b"deepflow/1";
/// ALPN of enrolment; the client shows the token instead.
pub const ALPN_ENROL: &[u8] = b"deepflow-enrol/1";
/// Name in the server's certificate; agents ask for it whatever address they dial.
pub const SERVER_NAME: &str = "server.deepflow.internal";
/// Suffix of the name in an agent's certificate: `<uuid>.agent.deepflow.internal`.
pub const AGENT_NAME_SUFFIX: &str = ".agent.deepflow.internal";
/// UDP port of ingest unless configured.
pub const INGEST_PORT: u16 = 20033;
/// Version of these messages. Another one is refused.
pub const PROTOCOL_VERSION: u16 = 1;
/// Version of `schema/`: raised when a column's meaning changes (new columns do not need it).
pub const SCHEMA_VERSION: u16 = 1;
/// Oldest version of `schema/` that the server still understands; an older one is refused.
pub const SCHEMA_VERSION_OLDEST: u16 = 1;
/// Bytes of a message's body; a longer frame is refused.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a single text or byte string in a message.
pub const TEXT_BYTES_MAX: usize = 1 << 19;
/// Entries of a list in a message.
pub const LIST_ENTRIES_MAX: usize = 65_536;

#[cfg(test)]
mod tests;
