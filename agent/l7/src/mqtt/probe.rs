//! Recognises MQTT by its first bytes: a CONNECT by its name, anything else by packets whose
//! lengths add up.

use crate::bytes::Reader;
use crate::mqtt::packet::{self, Front, Header, kind};
use crate::mqtt::property;
use crate::protocol::Probe;
use crate::segment::Direction;

/// So many PUBLISH packets in a row are enough, whatever the other side says.
const PUBLISHES: usize = 2;

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn first_bytes(direction: Direction, first: &[u8], cut: bool) -> Probe {
    let short = if cut { Probe::No } else { Probe::Short };
    let mut rest = first;
    let (mut packets, mut publishes) = (0, 0);
    while !rest.is_empty() {
        let header = match packet::header(direction, rest) {
            Front::Packet(header) => header,
            Front::Short if packets > 0 => break,
            Front::Short => return short,
            Front::Wrong => return Probe::No,
        };
        let body = &rest[header.header_bytes..];
        let is_whole = body.len() >= header.body_bytes;
        let body = &body[..body.len().min(header.body_bytes)];
        if header.kind == kind::CONNECT {
            return connect(body, is_whole || cut);
        }
        match is_plausible(&header, body, is_whole) {
            Some(true) => {}
            // The last packet ends early: it counts if what there is fits.
            None if !is_whole && packets > 0 => break,
            None if !is_whole => return short,
            _ => return Probe::No,
        }
        packets += 1;
        publishes += usize::from(header.kind == kind::PUBLISH);
        rest = rest.get(header.bytes()..).unwrap_or_default();
    }
    if publishes >= PUBLISHES { Probe::Certain } else { Probe::Possible }
}

/// Whether a packet plausibly starts here.
pub(crate) fn may_start(direction: Direction, bytes: &[u8]) -> bool {
    matches!(first_bytes(direction, bytes, true), Probe::Certain | Probe::Possible)
}

fn connect(body: &[u8], is_all: bool) -> Probe {
    let is_named = body.starts_with(b"\0\x04MQTT") || body.starts_with(b"\0\x06MQIsdp");
    match packet::connect(body) {
        Some(_) => Probe::Certain,
        None if is_named && !is_all => Probe::Short,
        None if body.len() < 8 && (b"\0\x04MQTT".starts_with(body) || !is_all) => {
            let is_start = b"\0\x04MQTT".starts_with(&body[..body.len().min(6)])
                || b"\0\x06MQIsdp".starts_with(body);
            if is_start { Probe::Short } else { Probe::No }
        }
        None => Probe::No,
    }
}

/// Whether the body of a packet fits its kind; `None`: so far, but it is cut short.
fn is_plausible(header: &Header, body: &[u8], is_whole: bool) -> Option<bool> {
    let mut reader = Reader::new(body);
    let id = |reader: &mut Reader<'_>| reader.u16_be().map(|id| id != 0);
    match header.kind {
        kind::PUBLISH => {
            let length = usize::from(reader.u16_be()?);
            if length + 2 > header.body_bytes {
                return Some(false);
            }
            let topic = reader.take_up_to(length);
            if !is_topic(topic, topic.len() == length, false) {
                return Some(false);
            }
            // Without a topic it has an alias, which needs properties: too little to see.
            (topic.len() == length).then_some(length > 0)?;
            if header.qos() > 0 { id(&mut reader) } else { Some(true) }
        }
        kind::SUBSCRIBE | kind::UNSUBSCRIBE if !is_whole => None,
        kind::SUBSCRIBE | kind::UNSUBSCRIBE => {
            let has_id = id(&mut reader)?;
            let with_options = header.kind == kind::SUBSCRIBE;
            let filters = reader.rest();
            Some(has_id && (filters_of(filters, with_options).is_some()))
        }
        kind::CONNACK => {
            let flags = reader.u8()?;
            let code = reader.u8()?;
            let is_old = header.body_bytes == 2 && code <= 5;
            let is_new = header.body_bytes > 2 && (code == 0 || code >= 0x80);
            let fits = is_old || is_new && are_properties(reader, header.body_bytes - 2)?;
            Some(flags <= 1 && fits)
        }
        kind::SUBACK if !is_whole => None,
        kind::SUBACK => {
            let has_id = id(&mut reader)?;
            let old = reader.rest();
            let new = property::read(&mut reader, &mut |_| {}).map(|()| reader.rest());
            let are_codes = |codes: &[u8]| {
                !codes.is_empty() && codes.iter().all(|code| matches!(code, 0..=2 | 0x80..=0xa2))
            };
            Some(has_id && (are_codes(old) || new.is_some_and(are_codes)))
        }
        kind::PINGREQ | kind::PINGRESP => Some(true),
        kind::DISCONNECT | kind::AUTH => is_reason(reader, header.body_bytes),
        kind::UNSUBACK => Some(id(&mut reader)? && header.body_bytes < 512),
        _ => Some(id(&mut reader)? && is_reason(reader, header.body_bytes - 2)?),
    }
}

/// Whether `bytes` are nothing, or a reason code, with properties or without. `None`: cut short.
fn is_reason(mut reader: Reader<'_>, bytes: usize) -> Option<bool> {
    if bytes == 0 {
        return Some(true);
    }
    let is_code = matches!(reader.u8()?, 0 | 4 | 0x10 | 0x18 | 0x19 | 0x80..=0xa2);
    Some(is_code && (bytes == 1 || are_properties(reader, bytes - 1)?))
}

/// Whether `bytes` are properties and nothing else. `None`: cut short.
fn are_properties(mut reader: Reader<'_>, bytes: usize) -> Option<bool> {
    let all = reader.rest();
    let length = packet::varint(&mut reader)?;
    let length_bytes = all.len() - reader.rest().len();
    if length + length_bytes != bytes {
        return Some(false);
    }
    if all.len() < bytes {
        return None;
    }
    let mut reader = Reader::new(all);
    Some(property::read(&mut reader, &mut |_| {}).is_some())
}

/// Topic filters of a SUBSCRIBE or UNSUBSCRIBE, and whether MQTT 5 properties stand before them.
pub(crate) fn filters_of(bytes: &[u8], with_options: bool) -> Option<(bool, Reader<'_>)> {
    let are_filters = |mut reader: Reader<'_>| {
        let mut count = 0;
        while !reader.rest().is_empty() {
            let filter = reader.u16_be().and_then(|length| reader.take(usize::from(length)));
            let options = if with_options { reader.u8() } else { Some(0) };
            let fits = filter
                .is_some_and(|filter| !filter.is_empty() && is_topic(filter, true, true))
                && options.is_some_and(|options| options & 0xc0 == 0 && options & 3 != 3);
            if !fits {
                return false;
            }
            count += 1;
        }
        count > 0
    };
    if are_filters(Reader::new(bytes)) {
        return Some((false, Reader::new(bytes)));
    }
    let mut reader = Reader::new(bytes);
    let length = packet::varint(&mut reader)?;
    reader.take(length)?;
    are_filters(reader).then_some((true, reader))
}

/// Whether bytes are a topic's name, or a filter: UTF-8 without control characters.
fn is_topic(bytes: &[u8], is_whole: bool, may_be_filter: bool) -> bool {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && !is_whole => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    text.bytes().all(|byte| byte >= 0x20 && byte != 0x7f)
        && (may_be_filter || !text.contains(['#', '+']))
}
