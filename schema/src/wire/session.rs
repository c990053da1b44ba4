//! Enrolment, the start of a session, batches and their acknowledgements.

use std::fmt;
use std::str::FromStr;

use super::bytes::{Reader, Writer};
use super::{HostFacts, PROTOCOL_VERSION, WireError};
use crate::Table;

/// Id of an agent, made by the agent at its first start and kept with its certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentUuid(pub [u8; 16]);

impl fmt::Display for AgentUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for AgentUuid {
    type Err = WireError;

    fn from_str(text: &str) -> Result<Self, WireError> {
        let error = WireError::OutOfRange("agent_uuid");
        let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
        if digits.len() != 32 {
            return Err(error);
        }
        let mut uuid = [0; 16];
        for (byte, pair) in uuid.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
                return Err(error);
            };
            *byte = high << 4 | low;
        }
        Ok(Self(uuid))
    }
}

/// What a stream carries. Each has its own sequence of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Processes that started and ended: `ProcessEvent`s.
    Processes,
    /// The agent's own counters.
    Telemetry,
    /// Metrics of one minute.
    MinuteMetrics,
    /// Metrics of one second.
    SecondMetrics,
    /// Flow logs.
    FlowLogs,
    /// Request logs.
    RequestLogs,
}

impl Signal {
    /// All, the most valuable first: what is dropped first when there is no room stands last.
    pub const ALL: [Self; 6] = [
        Self::Processes,
        Self::Telemetry,
        Self::MinuteMetrics,
        Self::SecondMetrics,
        Self::FlowLogs,
        Self::RequestLogs,
    ];

    /// Number on the wire; never reused.
    pub fn id(self) -> u8 {
        match self {
            Self::Processes => 1,
            Self::Telemetry => 2,
            Self::MinuteMetrics => 3,
            Self::SecondMetrics => 4,
            Self::FlowLogs => 5,
            Self::RequestLogs => 6,
        }
    }

    /// The signal of a number.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.id() == id)
    }

    /// Name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Telemetry => "telemetry",
            Self::MinuteMetrics => "minute_metrics",
            Self::SecondMetrics => "second_metrics",
            Self::FlowLogs => "flow_logs",
            Self::RequestLogs => "request_logs",
        }
    }

    /// The signal that carries a table.
    pub fn of(table: Table) -> Self {
        match table {
            Table::L7FlowLog => Self::RequestLogs,
            Table::L4FlowLog | Table::FileEvent => Self::FlowLogs,
            Table::Network1s
            | Table::NetworkMap1s
            | Table::Application1s
            | Table::ApplicationMap1s => Self::SecondMetrics,
            Table::Network1m
            | Table::NetworkMap1m
            | Table::Application1m
            | Table::ApplicationMap1m => Self::MinuteMetrics,
            Table::DeepflowCollector => Self::Telemetry,
        }
    }
}

/// An agent asks for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolRequest {
    /// Secret part of the enrolment token.
    pub token_secret: String,
    /// Id that the agent made for itself.
    pub agent_uuid: AgentUuid,
    /// Name of its host, for the server's log.
    pub hostname: String,
    /// PKCS #10 certificate signing request, DER.
    pub csr_der: Vec<u8>,
}

/// The server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnrolReply {
    /// Enrolled.
    Issued {
        /// The agent's certificate, DER.
        certificate_der: Vec<u8>,
        /// The authority's certificate, DER.
        authority_der: Vec<u8>,
    },
    /// Refused, and why, in words for the user.
    Refused(String),
}

/// First message of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Version of the messages; `PROTOCOL_VERSION` of the sender.
    pub protocol_version: u16,
    /// Version of `schema/`; `SCHEMA_VERSION` of the sender.
    pub schema_version: u16,
    /// Id of the agent; must be the one in its certificate.
    pub agent_uuid: AgentUuid,
    /// Version of the agent's program.
    pub agent_version: String,
    /// Version of the configuration that the agent has; 0 = none.
    pub configuration_version: u64,
    /// The host.
    pub host: HostFacts,
    /// Lowest sequence a stream that the agent has not settled; the server may forget which
    /// batches below it were rejected.
    pub oldest_unsettled: Vec<(Signal, u64)>,
}

/// Answer to `Hello`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloAck {
    /// Number of the agent in rows.
    pub agent_id: u16,
    /// Version of the server's program.
    pub server_version: String,
    /// The server's clock. unit µs since the Unix epoch.
    pub server_time_us: i64,
    /// What the server has of each stream; a stream that is missing has nothing.
    pub streams: Vec<StreamState>,
    /// Configuration for the agent.
    pub configuration: Configuration,
}

/// What the server has of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// The stream.
    pub signal: Signal,
    /// Every batch up to this sequence that was ever sent is settled; 0 = none.
    pub watermark: u64,
    /// Those of them that were rejected, not stored.
    pub rejected: Vec<u64>,
}

/// Configuration of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Rises with each change; 0 = none.
    pub version: u64,
    /// YAML with DeepFlow's keys; opaque here.
    pub yaml: String,
}

/// Announces a batch; its payload follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The stream it belongs to.
    pub signal: Signal,
    /// Its number in the stream; from 1, strictly rising, with gaps where the agent dropped.
    pub sequence: u64,
    /// Number of its table; 0 for `Signal::Processes`.
    pub table_id: u16,
    /// Rows in it.
    pub rows: u32,
    /// Bytes of the payload that follows.
    pub payload_bytes: u32,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Number of the batch in the stream.
    pub sequence: u64,
    /// What became of it.
    pub outcome: AckOutcome,
}

/// Outcome of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckOutcome {
    /// It is durable.
    Stored,
    /// It was durable before.
    Duplicate,
    /// It will never be taken.
    Rejected(Rejection),
}

/// Why a batch will never be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// More bytes than the server allows.
    TooManyBytes,
    /// More rows than the server allows.
    TooManyRows,
    /// A table the server does not have, or of another stream.
    UnknownTable,
    /// The payload is not a block of that table.
    Damaged,
    /// Written with a version of the block format that the server does not read.
    BlockVersion,
}

/// Why a connection was closed: the QUIC application error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// Nothing wrong; the peer stops.
    Done,
    /// A message could not be read.
    Garbage,
    /// The peer's protocol or schema version is not supported.
    Version,
    /// No certificate of our authority, or one of another agent.
    Certificate,
    /// The enrolment token is wrong.
    Token,
    /// Too many connections.
    TooManyConnections,
    /// The same agent opened a newer connection.
    Replaced,
    /// The server could not do its work; try again later.
    Unavailable,
}

impl CloseCode {
    /// All codes.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Garbage,
        Self::Version,
        Self::Certificate,
        Self::Token,
        Self::TooManyConnections,
        Self::Replaced,
        Self::Unavailable,
    ];

    /// Number on the wire; never reused.
    pub fn id(self) -> u32 {
        match self {
            Self::Done => 0,
            Self::Garbage => 1,
            Self::Version => 2,
            Self::Certificate => 3,
            Self::Token => 4,
            Self::TooManyConnections => 5,
            Self::Replaced => 6,
            Self::Unavailable => 7,
        }
    }

    /// The code of a number.
    pub fn from_id(id: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|code| u64::from(code.id()) == id)
    }
}

impl Rejection {
    const ALL: [(u8, Self); 5] = [
        (1, Self::TooManyBytes),
        (2, Self::TooManyRows),
        (3, Self::UnknownTable),
        (4, Self::Damaged),
        (5, Self::BlockVersion),
    ];

    fn id(self) -> u8 {
        Self::ALL.iter().find(|(_, reason)| *reason == self).map_or(0, |(id, _)| *id)
    }
}

fn take_signal(reader: &mut Reader) -> Result<Signal, WireError> {
    Signal::from_id(reader.u8("signal")?).ok_or(WireError::OutOfRange("signal"))
}

impl EnrolRequest {
    pub(super) fn put(&self, out: &mut Writer) {
        out.uint(PROTOCOL_VERSION.into());
        out.raw(&self.agent_uuid.0);
        out.text(&self.token_secret);
        out.text(&self.hostname);
        out.bytes(&self.csr_der);
    }

    pub(super) fn take(reader: &mut Reader) -> Result<Self, WireError> {
        take_version(reader)?;
        Ok(Self {
            agent_uuid: AgentUuid(reader.array("enrol.agent_uuid")?),
            token_secret: reader.text("enrol.token_secret")?,
            hostname: reader.text("enrol.hostname")?,
            csr_der: reader.bytes("enrol.csr")?.to_vec(),
        })
    }
}

impl EnrolReply {
    pub(super) fn put(&self, out: &mut Writer) {
        match self {
            Self::Issued { certificate_der, authority_der } => {
                out.u8(0);
                out.bytes(certificate_der);
                out.bytes(authority_der);
            }
            Self::Refused(reason) => {
                out.u8(1);
                out.text(reason);
            }
        }
    }

    pub(super) fn take(reader: &mut Reader) -> Result<Self, WireError> {
        match reader.u8("enrol.outcome")? {
            0 => Ok(Self::Issued {
                certificate_der: reader.bytes("enrol.certificate")?.to_vec(),
                authority_der: reader.bytes("enrol.authority")?.to_vec(),
            }),
            1 => Ok(Self::Refused(reader.text("enrol.reason")?)),
            _ => Err(WireError::OutOfRange("enrol.outcome")),
        }
    }
}

/// The version stands first, so that it can be read whatever the rest looks like.
fn take_version(reader: &mut Reader) -> Result<u16, WireError> {
    let theirs = reader.fit("protocol_version")?;
    if theirs != PROTOCOL_VERSION {
        return Err(WireError::ProtocolVersion { theirs, ours: PROTOCOL_VERSION });
    }
    Ok(theirs)
}

impl Hello {
    pub(super) fn put(&self, out: &mut Writer) {
        out.uint(self.protocol_version.into());
        out.uint(self.schema_version.into());
        out.raw(&self.agent_uuid.0);
        out.text(&self.agent_version);
        out.uint(self.configuration_version);
        self.host.put(out);
        out.list(&self.oldest_unsettled, |out, (signal, sequence)| {
            out.u8(signal.id());
            out.uint(*sequence);
        });
    }

    pub(super) fn take(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            protocol_version: take_version(reader)?,
            schema_version: reader.fit("hello.schema_version")?,
            agent_uuid: AgentUuid(reader.array("hello.agent_uuid")?),
            agent_version: reader.text("hello.agent_version")?,
            configuration_version: reader.uint("hello.configuration_version")?,
            host: HostFacts::take(reader)?,
            oldest_unsettled: reader.list("hello.oldest_unsettled", |reader| {
                Ok((take_signal(reader)?, reader.uint("hello.sequence")?))
            })?,
        })
    }
}

impl HelloAck {
    pub(super) fn put(&self, out: &mut Writer) {
        out.uint(self.agent_id.into());
        out.text(&self.server_version);
        out.uint(self.server_time_us as u64);
        out.list(&self.streams, |out, stream| {
            out.u8(stream.signal.id());
            out.uint(stream.watermark);
            out.list(&stream.rejected, |out, sequence| out.uint(*sequence));
        });
        self.configuration.put(out);
    }

    pub(super) fn take(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            agent_id: reader.fit("hello_ack.agent_id")?,
            server_version: reader.text("hello_ack.server_version")?,
            server_time_us: reader.uint("hello_ack.server_time_us")? as i64,
            streams: reader.list("hello_ack.streams", |reader| {
                Ok(StreamState {
                    signal: take_signal(reader)?,
                    watermark: reader.uint("stream.watermark")?,
                    rejected: reader
                        .list("stream.rejected", |reader| reader.uint("stream.rejected"))?,
                })
            })?,
            configuration: Configuration::take(reader)?,
        })
    }
}

impl Configuration {
    pub(super) fn put(&self, out: &mut Writer) {
        out.uint(self.version);
        out.text(&self.yaml);
    }

    pub(super) fn take(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            version: reader.uint("configuration.version")?,
            yaml: reader.text("configuration.yaml")?,
        })
    }
}

impl BatchHeader {
    pub(super) fn put(&self, out: &mut Writer) {
        out.u8(self.signal.id());
        out.uint(self.sequence);
        out.uint(self.table_id.into());
        out.uint(self.rows.into());
        out.uint(self.payload_bytes.into());
    }

    pub(super) fn take(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            signal: take_signal(reader)?,
            sequence: reader.uint("batch.sequence")?,
            table_id: reader.fit("batch.table_id")?,
            rows: reader.fit("batch.rows")?,
            payload_bytes: reader.fit("batch.payload_bytes")?,
        })
    }
}

impl Ack {
    pub(super) fn put(&self, out: &mut Writer) {
        out.uint(self.sequence);
        match self.outcome {
            AckOutcome::Stored => out.u8(0),
            AckOutcome::Duplicate => out.u8(1),
            AckOutcome::Rejected(reason) => {
                out.u8(2);
                out.u8(reason.id());
            }
        }
    }

    pub(super) fn take(reader: &mut Reader) -> Result<Self, WireError> {
        let sequence = reader.uint("ack.sequence")?;
        let outcome = match reader.u8("ack.outcome")? {
            0 => AckOutcome::Stored,
            1 => AckOutcome::Duplicate,
            2 => {
                let id = reader.u8("ack.reason")?;
                let known = Rejection::ALL.iter().find(|(known, _)| *known == id);
                // A reason of a newer server is a rejection all the same.
                AckOutcome::Rejected(known.map_or(Rejection::Damaged, |(_, reason)| *reason))
            }
            _ => return Err(WireError::OutOfRange("ack.outcome")),
        };
        Ok(Self { sequence, outcome })
    }
}
