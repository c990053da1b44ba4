//! The binary protocol.
//!
//! In: bytes from the start of a message. Out: header and key. Values and credentials are part
//! of its length and are passed over.

use schema::{ResponseStatus, Text};

use crate::bytes::{self, Reader};
use crate::protocol::{Input, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing};

pub(crate) const REQUEST: u8 = 0x80;
pub(crate) const RESPONSE: u8 = 0x81;

pub(crate) const HEADER_BYTES: usize = 24;

/// Longest body that is believed: the longest value (`-I`) and what stands before it. unit byte
const BODY_BYTES: u32 = (1 << 30) + (1 << 16);

const NOOP: u8 = 0x0a;
const STAT: u8 = 0x10;
const QUITQ: u8 = 0x17;

/// Names of the opcodes, as the commands of the text protocol are called.
const NAMES: [&str; 37] = [
    "get",
    "set",
    "add",
    "replace",
    "delete",
    "incr",
    "decr",
    "quit",
    "flush_all",
    "getq",
    "noop",
    "version",
    "getk",
    "getkq",
    "append",
    "prepend",
    "stat",
    "setq",
    "addq",
    "replaceq",
    "deleteq",
    "incrq",
    "decrq",
    "quitq",
    "flush_allq",
    "appendq",
    "prependq",
    "verbosity",
    "touch",
    "gat",
    "gatq",
    "",
    "sasl_list",
    "sasl_auth",
    "sasl_step",
    "gatk",
    "gatkq",
];

/// A message of which header and key are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub opcode: u8,
    /// Of a response.
    status: u16,
    pub opaque: u32,
    key: &'a [u8],
    /// Of an error: what went wrong.
    value: &'a [u8],
    /// Length of the whole message. unit byte
    bytes: u64,
}

/// Name of an opcode; `None` for a number that is none.
pub(crate) fn name_of(opcode: u8) -> Option<&'static str> {
    NAMES.get(usize::from(opcode)).copied().filter(|name| !name.is_empty())
}

/// Whether nothing is said where all went well.
fn is_quiet(opcode: u8) -> bool {
    matches!(opcode, 0x09 | 0x0d | 0x11..=0x16 | 0x18..=0x1a | 0x1e | 0x24)
}

/// Cuts a message.
pub(crate) fn cut(input: Input<'_>, direction: Direction) -> Step<Message<'_>> {
    let mut reader = Reader::new(input.bytes);
    let Some(header) = reader.take(HEADER_BYTES) else { return Step::Need(HEADER_BYTES) };
    let magic = if direction == Direction::ClientToServer { REQUEST } else { RESPONSE };
    let mut fields = Reader::new(header);
    let fields = (|| {
        let (found, opcode) = (fields.u8()?, fields.u8()?);
        let (key, extras, _kind) = (fields.u16_be()?, fields.u8()?, fields.u8()?);
        let (status, body, opaque) = (fields.u16_be()?, fields.u32_be()?, fields.u32_be()?);
        Some((found, opcode, key, extras, status, body, opaque))
    })();
    let Some((found, opcode, key, extras, status, body, opaque)) = fields else {
        return Step::Lost;
    };
    let named = u32::from(key) + u32::from(extras);
    if found != magic || body > BODY_BYTES || named > body {
        return Step::Lost;
    }
    // Of an error the value is its message.
    let shown = match status != 0 && direction == Direction::ServerToClient {
        true => (body - named).min(256),
        false => 0,
    };
    let wanted = HEADER_BYTES + (named + shown) as usize;
    if input.bytes.len() < wanted && !input.cut {
        return Step::Need(wanted);
    }
    reader.take_up_to(usize::from(extras));
    let key = reader.take_up_to(usize::from(key));
    let value = reader.take_up_to(shown as usize);
    let bytes = HEADER_BYTES as u64 + u64::from(body);
    let frame = Message { opcode, status, opaque, key, value, bytes };
    Step::Frame { frame, used: bytes }
}

impl Message<'_> {
    fn name(&self) -> Text {
        match name_of(self.opcode) {
            Some(name) => Text::const_new(name),
            None => compact_str::format_compact!("0x{:02x}", self.opcode),
        }
    }

    fn tag(&self) -> u64 {
        u64::from(self.opcode) << 32 | u64::from(self.opaque)
    }

    /// A message of the client.
    pub fn request(&self, key: Key, out: &mut Pairing<'_>) {
        let mut record = out.record();
        record.request_type = self.name();
        record.request_resource = record.request_type.clone();
        if !self.key.is_empty() {
            record.request_resource.push(' ');
            record.request_resource.push_str(&bytes::text(self.key, 256));
        }
        record.request_id = Some(u64::from(self.opaque));
        record.request_bytes = Some(self.bytes as i64);
        match self.opcode {
            QUITQ => out.one_way(record),
            opcode if is_quiet(opcode) && key == Key::Order => {
                out.quiet_request(Key::Order, record, self.tag());
            }
            _ => out.request(key, record, self.tag()),
        }
    }

    /// A message of the server. `stats`: it is one of many that answer a STAT.
    pub fn response(&self, key: Key, stats: &mut bool, out: &mut Pairing<'_>) {
        let goes_on = self.opcode == STAT && !self.key.is_empty() && self.status == 0;
        if std::mem::replace(stats, goes_on) && self.opcode == STAT {
            return;
        }
        while let Some(tag) = out.expected_tag()
            && out.is_quiet_expected()
            && tag != self.tag()
        {
            out.end_quiet();
        }
        let mut response = out.answer(self.response_status());
        response.code = Some(i32::from(self.status));
        response.bytes = Some(self.bytes as i64);
        let text = match self.value {
            [] => Text::const_new(status_text(self.status)),
            value => bytes::text(value, 256),
        };
        match response.status {
            ResponseStatus::Ok => response.result = text,
            _ => response.exception = text,
        }
        match out.expected_tag() {
            // It answers a request that was not seen.
            Some(tag) if key == Key::Order && tag != self.tag() => {
                let mut echo = Box::new(crate::record::Record::new(out.protocol));
                echo.request_type = self.name();
                echo.request_id = Some(u64::from(self.opaque));
                response.echo = Some(echo);
                out.lone_response(response);
            }
            _ => out.response(key, response),
        }
    }

    /// That a key is there or is not is an answer, not an error, as in the text protocol.
    fn response_status(&self) -> ResponseStatus {
        match self.status {
            0 | 1 | 2 | 5 | 0x21 => ResponseStatus::Ok,
            0x03 | 0x04 | 0x06..=0x08 | 0x20 | 0x81 => ResponseStatus::ClientError,
            _ => ResponseStatus::ServerError,
        }
    }
}

/// What a status means, where the message does not say it.
fn status_text(status: u16) -> &'static str {
    match status {
        0x00 => "",
        0x01 => "Not found",
        0x02 => "Data exists for key",
        0x03 => "Too large",
        0x04 => "Invalid arguments",
        0x05 => "Not stored",
        0x06 => "Non-numeric server-side value for incr or decr",
        0x07 => "The vbucket belongs to another server",
        0x20 => "Auth failure",
        0x21 => "Auth continue",
        0x81 => "Unknown command",
        0x82 => "Out of memory",
        0x83 => "Not supported",
        0x84 => "Internal error",
        0x85 => "Busy",
        0x86 => "Temporary failure",
        _ => "Unknown status",
    }
}

/// Whether the message that starts here has the form of its opcode; `None`: too short to tell.
pub(crate) fn is_plausible(bytes: &[u8], direction: Direction) -> Option<bool> {
    let magic = if direction == Direction::ClientToServer { REQUEST } else { RESPONSE };
    let mut reader = Reader::new(bytes);
    let (found, opcode) = (reader.u8()?, reader.u8().unwrap_or(NOOP));
    if found != magic || name_of(opcode).is_none() {
        return Some(false);
    }
    let (key, extras, kind) = (reader.u16_be()?, reader.u8()?, reader.u8()?);
    let (_status, body) = (reader.u16_be()?, reader.u32_be()?);
    let named = u32::from(key) + u32::from(extras);
    if kind != 0 || key > 250 || named > body || body > BODY_BYTES {
        return Some(false);
    }
    Some(match (opcode, direction) {
        (_, Direction::ServerToClient) => {
            let status = u16::from_be_bytes([bytes[6], bytes[7]]);
            let known =
                status <= 9 || (0x20..=0x23).contains(&status) || (0x81..=0x86).contains(&status);
            known && matches!(extras, 0 | 4) && (status == 0 || body < 1024)
        }
        // set, add, replace
        (0x01..=0x03 | 0x11..=0x13, _) => extras == 8 && key > 0,
        // incr, decr
        (0x05 | 0x06 | 0x15 | 0x16, _) => extras == 20 && key > 0 && body == named,
        (0x0e | 0x0f | 0x19 | 0x1a, _) => extras == 0 && key > 0,
        (0x00 | 0x04 | 0x09 | 0x0c | 0x0d | 0x14, _) => extras == 0 && key > 0 && body == named,
        (0x1c..=0x1e | 0x23 | 0x24, _) => extras == 4 && key > 0 && body == named,
        (0x08 | 0x18 | 0x1b, _) => matches!(extras, 0 | 4) && body == u32::from(extras),
        (STAT, _) => extras == 0 && body == named,
        (0x21 | 0x22, _) => extras == 0 && key > 0,
        _ => body == 0,
    })
}
