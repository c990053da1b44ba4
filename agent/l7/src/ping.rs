//! ICMP echo: RFC 792, RFC 4443 §4.
//!
//! ```text
//! message := kind: u8  code: u8  checksum: u16  id: u16 be  sequence: u16 be  data
//! ```
//! Each message is a datagram. Requests (8, in ICMPv6 128) and replies (0, 129) are paired by id
//! and sequence. It is never found by its bytes: the header below says what it is.

use schema::{L7Protocol, ResponseStatus};

use crate::bytes::Reader;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing};

/// Echoes between two hosts.
#[derive(Debug, Default)]
pub(crate) struct Ping;

/// An echo request or reply.
#[derive(Debug)]
pub(crate) struct Echo {
    is_reply: bool,
    id: u16,
    sequence: u16,
}

/// Bytes before the data.
const HEADER_BYTES: usize = 8;

impl Protocol for Ping {
    const ID: L7Protocol = L7Protocol::Ping;
    type Frame<'a> = Echo;

    fn probe(_first: &[u8], _context: &ProbeContext) -> Probe {
        Probe::No
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Echo> {
        input.message(u64::MAX, HEADER_BYTES).read(Echo::read)
    }

    fn pair(&mut self, direction: Direction, echo: Echo, out: &mut Pairing<'_>) {
        // Either end may ask the other.
        let asker = if echo.is_reply { direction.opposite() } else { direction };
        let id = u64::from(echo.id) << 16 | u64::from(echo.sequence);
        let key = Key::Id((asker.index() as u64) << 32 | id);
        let mut record = out.record();
        record.is_reversed = asker == Direction::ServerToClient;
        record.request_resource = compact_str::format_compact!("{}", echo.id);
        record.request_id = Some(u64::from(echo.sequence));
        if echo.is_reply {
            let mut response = out.answer(ResponseStatus::Ok);
            response.echo = Some(record);
            out.response(key, response);
        } else {
            out.request(key, record, 0);
        }
    }

    fn resync(&self, _direction: Direction, _bytes: &[u8]) -> bool {
        true
    }

    /// No flow ends while a reply may still come.
    fn close(&mut self, out: &mut Pairing<'_>) {
        out.time_out_all();
    }
}

impl Echo {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let is_reply = match reader.u8()? {
            8 | 128 => false,
            0 | 129 => true,
            _ => return None,
        };
        reader.take(3)?;
        Some(Self { is_reply, id: reader.u16_be()?, sequence: reader.u16_be()? })
    }
}
