//! The eight bytes that open an AMQP connection: `"AMQP" id major minor revision`.
//!
//! In: first bytes. Out: the version and layer that is asked for, as a request. In 0-9-1 the
//! server's first method answers it, in 1.0 the same header; another header is a refusal, with
//! what the server speaks instead.

use schema::{ResponseStatus, Text};

use crate::amqp::Frame;
use crate::amqp::channels;
use crate::amqp::key::Waiter;
use crate::amqp::links;
use crate::protocol::{Probe, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing};

/// The last four bytes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header([u8; 4]);

const MAGIC: &[u8] = b"AMQP";
const BYTES: usize = 8;

const V0_9_1: [u8; 4] = [0, 0, 9, 1];

/// Its frames and methods are those of 0-9-1.
const V0_9: [u8; 4] = [1, 1, 0, 9];

/// Ids of layers of version 1.0.
mod layer {
    pub const AMQP: u8 = 0;
    pub const TLS: u8 = 2;
    pub const SASL: u8 = 3;
}

impl Header {
    fn version(self) -> Text {
        match self.0 {
            V0_9_1 => channels::VERSION,
            [layer::AMQP | layer::TLS | layer::SASL, 1, 0, 0] => links::VERSION,
            // Before 0-9-1: class, instance, then the version.
            [1, 1, major, minor] => format!("{major}-{minor}").into(),
            [_, major, minor, revision] => format!("{major}-{minor}-{revision}").into(),
        }
    }

    /// The layer that is asked for; 0-9-1 has none.
    fn layer(self) -> Text {
        Text::const_new(match self.0 {
            [layer::AMQP, 1, 0, 0] => "AMQP",
            [layer::TLS, 1, 0, 0] => "TLS",
            [layer::SASL, 1, 0, 0] => "SASL",
            _ => "",
        })
    }

    fn is_known(self) -> bool {
        matches!(self.0, V0_9_1 | V0_9) || !self.layer().is_empty()
    }

    /// Whether what follows it can be read.
    fn is_readable(self) -> bool {
        self.is_known() && self.0[0] != layer::TLS
    }

    /// Makes a request or a response of it; whether what follows can be read.
    pub fn pair(self, direction: Direction, out: &mut Pairing<'_>) -> bool {
        let range = Waiter::Header.everywhere();
        if direction == Direction::ClientToServer {
            let mut record = out.record();
            record.version = self.version();
            record.request_type = Text::const_new("ProtocolHeader");
            record.request_resource = self.layer();
            let last = out.last_waiting_id(range.clone());
            let id = last.map_or(*range.start(), |last| last + 1).min(*range.end());
            out.request(Key::Id(id), record, 0);
            return self.is_readable();
        }
        let id = out.waiting_id(range.clone()).unwrap_or(*range.start());
        let (version, layer) = (self.version(), self.layer());
        let is_agreed = !layer.is_empty()
            && out
                .waiting(id)
                .is_none_or(|asked| asked.version == version && asked.request_resource == layer);
        let mut response = out.answer(ResponseStatus::Ok);
        response.version = version.clone();
        if !is_agreed {
            response.status = ResponseStatus::ClientError;
            response.exception = Text::const_new("version not supported");
            response.result = version;
            if !layer.is_empty() {
                response.result.push(' ');
                response.result.push_str(&layer);
            }
        }
        out.response(Key::Id(id), response);
        // After a refusal the client starts anew, if it does.
        self.is_readable() || !is_agreed
    }
}

/// Cuts a header; `Lost` where none starts.
pub(crate) fn cut<'a>(bytes: &[u8]) -> Step<Frame<'a>> {
    match (bytes.get(..MAGIC.len()), bytes.get(MAGIC.len()..BYTES)) {
        (Some(MAGIC), Some(&[id, major, minor, revision])) => {
            let frame = Frame::Header(Header([id, major, minor, revision]));
            Step::Frame { frame, used: BYTES as u64 }
        }
        (Some(MAGIC), _) => Step::Need(BYTES),
        (None, _) if MAGIC.starts_with(bytes) => Step::Need(BYTES),
        _ => Step::Lost,
    }
}

/// What first bytes are.
pub(crate) fn probe(bytes: &[u8]) -> Probe {
    match cut(bytes) {
        Step::Frame { frame: Frame::Header(header), .. } if header.is_known() => Probe::Certain,
        Step::Frame { .. } => Probe::Possible,
        Step::Need(_) => Probe::Short,
        _ => Probe::No,
    }
}
