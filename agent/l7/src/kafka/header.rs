//! The head of a Kafka message, and how one is recognised.
//!
//! ```text
//! message  := size: i32  head  body
//! request  := key: i16  version: i16  correlation: i32  client: text16 [tagged, if flexible]
//! response := correlation: i32                                         [tagged, if flexible]
//! ```
//! ControlledShutdown v0 has no client; the response to ApiVersions is never tagged.

use crate::bytes::Reader;
use crate::kafka::api::{self, Api};
use crate::kafka::layout::{self, End};
use crate::protocol::Probe;

/// Bytes of the length before a message.
pub(crate) const SIZE_BYTES: usize = 4;

/// Bytes of a request's head up to the client.
pub(crate) const REQUEST_BYTES: usize = 8;

/// Largest request that is believed (a broker takes 100 MiB by default). unit byte
const REQUEST_MAX: usize = 1 << 28;

/// Largest response that is believed. unit byte
const RESPONSE_MAX: usize = 1 << 30;

/// A body of a request without a client that long is recognised by its fields. unit byte
const NAMELESS_BYTES: usize = 8;

/// So much of a response that goes on is enough. unit byte
const FIRST_BYTES: usize = 1024;

/// Versions beyond the last one known that may yet come.
const NEWER_VERSIONS: i16 = 4;

/// The fixed part of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub key: i16,
    pub version: i16,
    pub correlation: i32,
    /// `None`: a key that is not known.
    pub api: Option<&'static Api>,
}

impl Head {
    /// Whether fields of this version are known.
    pub fn is_known(&self) -> bool {
        self.api.is_some_and(|api| self.version <= api.last)
    }

    pub fn is_flexible(&self) -> bool {
        self.api.is_some_and(|api| self.version >= api.flexible)
    }

    /// Whether the client's name follows.
    pub fn has_client(&self) -> bool {
        (self.key, self.version) != (api::CONTROLLED_SHUTDOWN, 0)
    }
}

/// The length of a message, if it can be one.
pub(crate) fn size(bytes: &[u8], is_request: bool) -> Option<usize> {
    let (least, most) = match is_request {
        true => (REQUEST_BYTES, REQUEST_MAX),
        false => (SIZE_BYTES, RESPONSE_MAX),
    };
    let size = Reader::new(bytes).u32_be()? as usize;
    (least..=most).contains(&size).then_some(size)
}

/// The head of a request, behind its length; `None` when it is none, or is too short.
pub(crate) fn request(message: &[u8]) -> Option<Head> {
    let mut reader = Reader::new(message);
    let key = reader.array().map(i16::from_be_bytes)?;
    let version = reader.array().map(i16::from_be_bytes)?;
    let correlation = reader.array().map(i32::from_be_bytes)?;
    let api = api::of(key);
    let last = api.map_or(0, |api| api.last);
    let is_plausible = key >= 0 && version >= 0 && version <= last + NEWER_VERSIONS;
    is_plausible.then_some(Head { key, version, correlation, api })
}

/// A client's name and what follows the head. `Err`: cut short or not a head.
pub(crate) fn client<'a>(head: &Head, message: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), End> {
    let mut reader = Reader::new(message.get(REQUEST_BYTES..).ok_or(End::Short)?);
    let mut client: &[u8] = &[];
    if head.has_client() {
        let length = reader.array().map(i16::from_be_bytes).ok_or(End::Short)?;
        if length > 0 {
            client = reader.take(length as usize).ok_or(End::Short)?;
        } else if length < -1 {
            return Err(End::Wrong);
        }
    }
    if head.is_flexible() {
        pass_tagged(&mut reader).ok_or(End::Short)?;
    }
    Ok((client, reader.rest()))
}

/// Passes over tagged fields; nearly always there are none.
pub(crate) fn pass_tagged(reader: &mut Reader<'_>) -> Option<()> {
    for _ in 0..uvarint(reader)? {
        uvarint(reader)?;
        let length = uvarint(reader)?;
        reader.take(length)?;
    }
    Some(())
}

fn uvarint(reader: &mut Reader<'_>) -> Option<usize> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = reader.u8()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// What the first bytes of a client are. `cut`: more will not come.
pub(crate) fn probe_request(first: &[u8], cut: bool) -> Probe {
    if first.first().is_some_and(|byte| *byte > 0x0f) {
        return Probe::No;
    }
    let short = if cut { Probe::No } else { Probe::Short };
    if first.len() < SIZE_BYTES + REQUEST_BYTES {
        let is_small = first.get(SIZE_BYTES).is_none_or(|byte| *byte == 0)
            && first.get(SIZE_BYTES + 2).is_none_or(|byte| *byte == 0);
        return if is_small { short } else { Probe::No };
    }
    let Some(size) = size(first, true) else { return Probe::No };
    let message = &first[SIZE_BYTES..];
    let message = &message[..message.len().min(size)];
    let Some(head) = request(message).filter(|head| head.api.is_some()) else { return Probe::No };
    let is_whole = message.len() == size;
    let (client, body) = match client(&head, message) {
        Ok(parts) => parts,
        Err(End::Short) if !is_whole => {
            let length = message.get(REQUEST_BYTES..REQUEST_BYTES + 2);
            let fits = length.is_none_or(|length| usize::from(length[0]) << 8 < size);
            return if fits { short } else { Probe::No };
        }
        Err(_) => return Probe::No,
    };
    if head.correlation < 0 || !client.iter().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return Probe::No;
    }
    let end = match head.api.filter(|_| head.is_known()) {
        Some(api) => {
            let body_bytes = size - (message.len() - body.len());
            let flexible = head.is_flexible();
            layout::walk(api.layout.request, head.version, flexible, body, body_bytes).1
        }
        None => End::Short,
    };
    let after = first.get(SIZE_BYTES + size..).unwrap_or_default();
    match end {
        End::Wrong => Probe::No,
        _ if !may_go_on(after) => Probe::No,
        End::Exact if client.len() >= 2 => Probe::Certain,
        End::Exact if body.len() >= NAMELESS_BYTES && after.is_empty() => Probe::Possible,
        End::Exact => Probe::No,
        End::Short if client.len() >= 3 && (is_whole || cut || first.len() >= 64) => Probe::Certain,
        End::Short => short,
    }
}

/// Whether another request, or its start, may stand here.
fn may_go_on(after: &[u8]) -> bool {
    let sized = after.len() < SIZE_BYTES || size(after, true).is_some();
    let message = after.get(SIZE_BYTES..).unwrap_or_default();
    sized && (message.len() < REQUEST_BYTES || request(message).is_some())
}

/// What the first bytes of a server are: there is little to see. A first response of 64 MiB or
/// more (a fetch asks for 50 MiB by default) is not believed. `cut`: more will not come.
pub(crate) fn probe_response(first: &[u8], cut: bool) -> Probe {
    if first.first().is_some_and(|byte| *byte > 0x03) {
        return Probe::No;
    }
    let is_enough = cut || first.len() >= FIRST_BYTES;
    let mut rest = first;
    loop {
        if rest.len() < 2 * SIZE_BYTES {
            return if is_enough { Probe::No } else { Probe::Short };
        }
        let Some(size) = size(rest, false) else { return Probe::No };
        if rest[SIZE_BYTES] > 0x7f {
            return Probe::No;
        }
        match rest.get(SIZE_BYTES + size..) {
            Some([]) => return Probe::Possible,
            Some(after) => rest = after,
            None if is_enough => return Probe::Possible,
            None => return Probe::Short,
        }
    }
}
