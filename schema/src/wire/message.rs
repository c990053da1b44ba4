//! The frame round a message.

use super::bytes::{Reader, Writer};
use super::{
    Ack, AgentStatistics, BatchHeader, Configuration, EnrolReply, EnrolRequest, Hello, HelloAck,
    MESSAGE_BYTES_MAX, Signal, WireError,
};

/// Bytes of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 5;

/// Header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the body; ≤ `MESSAGE_BYTES_MAX`.
    pub body_bytes: usize,
    /// Kind of message.
    pub kind: u8,
}

impl FrameHeader {
    /// Reads a header; refuses bodies that are too long.
    pub fn decode(bytes: [u8; FRAME_HEADER_BYTES]) -> Result<Self, WireError> {
        let [a, b, c, d, kind] = bytes;
        let body_bytes = u32::from_le_bytes([a, b, c, d]) as usize;
        if body_bytes > MESSAGE_BYTES_MAX {
            return Err(WireError::TooLong {
                field: "message",
                length: body_bytes as u64,
                limit: MESSAGE_BYTES_MAX as u64,
            });
        }
        Ok(Self { body_bytes, kind })
    }
}

/// Every message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Agent → server, enrolment.
    EnrolRequest(EnrolRequest),
    /// Server → agent, enrolment.
    EnrolReply(EnrolReply),
    /// Agent → server, first on the control stream.
    Hello(Hello),
    /// Server → agent, its answer.
    HelloAck(HelloAck),
    /// Agent → server, on the control stream.
    Statistics(AgentStatistics),
    /// Server → agent, on the control stream.
    Configuration(Configuration),
    /// Agent → server, first on a data stream.
    Open(Signal),
    /// Agent → server, before a payload.
    Batch(BatchHeader),
    /// Server → agent, on a data stream.
    Ack(Ack),
}

impl Message {
    /// Number of the kind on the wire; never reused.
    pub fn kind(&self) -> u8 {
        match self {
            Self::EnrolRequest(_) => 1,
            Self::EnrolReply(_) => 2,
            Self::Hello(_) => 3,
            Self::HelloAck(_) => 4,
            Self::Statistics(_) => 5,
            Self::Configuration(_) => 6,
            Self::Open(_) => 7,
            Self::Batch(_) => 8,
            Self::Ack(_) => 9,
        }
    }

    /// The whole frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(vec![0, 0, 0, 0, self.kind()]);
        match self {
            Self::EnrolRequest(message) => message.put(&mut out),
            Self::EnrolReply(message) => message.put(&mut out),
            Self::Hello(message) => message.put(&mut out),
            Self::HelloAck(message) => message.put(&mut out),
            Self::Statistics(message) => message.put(&mut out),
            Self::Configuration(message) => message.put(&mut out),
            Self::Open(signal) => out.u8(signal.id()),
            Self::Batch(message) => message.put(&mut out),
            Self::Ack(message) => message.put(&mut out),
        }
        let body_bytes = (out.0.len() - FRAME_HEADER_BYTES) as u32;
        out.0[..4].copy_from_slice(&body_bytes.to_le_bytes());
        out.0
    }

    /// A message from the body of a frame.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, WireError> {
        let reader = &mut Reader(body);
        Ok(match kind {
            1 => Self::EnrolRequest(EnrolRequest::take(reader)?),
            2 => Self::EnrolReply(EnrolReply::take(reader)?),
            3 => Self::Hello(Hello::take(reader)?),
            4 => Self::HelloAck(HelloAck::take(reader)?),
            5 => Self::Statistics(AgentStatistics::take(reader)?),
            6 => Self::Configuration(Configuration::take(reader)?),
            7 => {
                let id = reader.u8("open.signal")?;
                Self::Open(Signal::from_id(id).ok_or(WireError::OutOfRange("open.signal"))?)
            }
            8 => Self::Batch(BatchHeader::take(reader)?),
            9 => Self::Ack(Ack::take(reader)?),
            _ => return Err(WireError::UnknownKind(kind)),
        })
    }
}
