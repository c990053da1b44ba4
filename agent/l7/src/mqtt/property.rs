//! Properties of MQTT 5 packets. OASIS MQTT 5.0 §2.2.2.

use crate::bytes::Reader;
use crate::mqtt::packet::varint;

/// A property that a record shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Property<'a> {
    /// A short number for a topic.
    TopicAlias(u16),
    /// Where the answer is to be published.
    ResponseTopic(&'a [u8]),
    /// The id that the server gave a client without one.
    AssignedClient(&'a [u8]),
    /// Why, in words.
    Reason(&'a [u8]),
    /// Name and value of the application's own.
    User(&'a [u8], &'a [u8]),
}

/// Properties that a PUBLISH may have.
const OF_PUBLISH: [u8; 8] = [0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x23, 0x26];

/// Reads properties and calls `take` with those that count. `None`: they end too early or make
/// no sense.
pub(crate) fn read<'a>(reader: &mut Reader<'a>, take: &mut dyn FnMut(Property<'a>)) -> Option<()> {
    let length = varint(reader)?;
    let is_whole = reader.rest().len() >= length;
    let mut rest = Reader::new(reader.take_up_to(length));
    while !rest.rest().is_empty() {
        one(&mut rest, take)?;
    }
    is_whole.then_some(())
}

/// Whether these are properties of a PUBLISH, and there are some.
pub(crate) fn are_of_publish(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    let Some(length) = varint(&mut reader) else { return false };
    let Some(all) = reader.take(length) else { return false };
    let mut rest = Reader::new(all);
    while let Some(id) = rest.rest().first() {
        if !OF_PUBLISH.contains(id) || one(&mut rest, &mut |_| {}).is_none() {
            return false;
        }
    }
    length > 0
}

fn one<'a>(rest: &mut Reader<'a>, take: &mut dyn FnMut(Property<'a>)) -> Option<()> {
    match rest.u8()? {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => drop(rest.take(1)?),
        0x13 | 0x21 | 0x22 => drop(rest.take(2)?),
        0x02 | 0x11 | 0x18 | 0x27 => drop(rest.take(4)?),
        0x0b => drop(varint(rest)?),
        0x03 | 0x09 | 0x15 | 0x16 | 0x1a | 0x1c => drop(whole_text(rest)?),
        0x08 => take(Property::ResponseTopic(whole_text(rest)?)),
        0x12 => take(Property::AssignedClient(whole_text(rest)?)),
        0x1f => take(Property::Reason(whole_text(rest)?)),
        0x23 => take(Property::TopicAlias(rest.u16_be()?)),
        0x26 => take(Property::User(whole_text(rest)?, whole_text(rest)?)),
        _ => return None,
    }
    Some(())
}

fn whole_text<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.u16_be()?;
    reader.take(usize::from(length))
}
