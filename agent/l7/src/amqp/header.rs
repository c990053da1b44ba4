//! The eight bytes that open an AMQP connection: `"AMQP" id major minor revision`.
//!
//! In: first bytes. Out: which version is asked for, as a request that the server's first frame
//! answers. A server that does not speak it answers with a header of one that it does.

use schema::{ResponseStatus, Text};

use crate::amqp::Frame;
use crate::amqp::channels;
use crate::amqp::key::Waiter;
use crate::protocol::{Probe, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing};

/// The last four bytes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header([u8; 4]);

const MAGIC: &[u8] = b"AMQP";
const BYTES: usize = 8;

/// Version 0-9-1.
const V0_9_1: [u8; 4] = [0, 0, 9, 1];

/// Version 0-9, whose frames and methods are those of 0-9-1.
const V0_9: [u8; 4] = [1, 1, 0, 9];

impl Header {
    fn version(self) -> Text {
        match self.0 {
            V0_9_1 => channels::VERSION,
            // Before 0-9-1: class, instance, then the version.
            [1, 1, major, minor] => format!("{major}-{minor}").into(),
            [_, major, minor, revision] => format!("{major}-{minor}-{revision}").into(),
        }
    }

    /// Whether what follows it can be read.
    fn is_readable(self) -> bool {
        matches!(self.0, V0_9_1 | V0_9)
    }

    /// Makes a request or its refusal of it; whether what follows can be read.
    pub fn pair(self, direction: Direction, out: &mut Pairing<'_>) -> bool {
        let id = Waiter::Header.tag(0, 0);
        if direction == Direction::ClientToServer {
            let mut record = out.record();
            record.version = self.version();
            record.request_type = Text::const_new("ProtocolHeader");
            out.request(Key::Id(id), record, 0);
            return self.is_readable();
        }
        let mut response = out.answer(ResponseStatus::ClientError);
        response.exception = Text::const_new("version not supported");
        response.result = self.version();
        out.response(Key::Id(id), response);
        true
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
        Step::Frame { frame: Frame::Header(header), .. } if header.is_readable() => Probe::Certain,
        Step::Frame { .. } => Probe::Possible,
        Step::Need(_) => Probe::Short,
        _ => Probe::No,
    }
}
