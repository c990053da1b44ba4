//! Recognises LDAP by its first message.

use crate::ber::{self, Element};
use crate::ldap::operation::{self, Message};
use crate::protocol::Probe;
use crate::segment::Direction;

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn first_bytes(direction: Direction, first: &[u8], cut: bool) -> Probe {
    let short = if cut { Probe::No } else { Probe::Short };
    if first[0] != ber::SEQUENCE {
        return Probe::No;
    }
    let Some(outer) = Element::read(first) else {
        return if first.len() < 6 { short } else { Probe::No };
    };
    // An id of at most four bytes stands first.
    match outer.content {
        [] if outer.content_bytes >= 5 => return short,
        [ber::INTEGER] => return short,
        [ber::INTEGER, 1..=4, ..] => {}
        _ => return Probe::No,
    }
    let Some(message) = Message::read(first) else {
        return if outer.content.len() < 10 && !outer.is_whole() { short } else { Probe::No };
    };
    let from_server = direction == Direction::ServerToClient;
    let is_known = match from_server {
        true => operation::is_response(message.tag),
        false => operation::request_name(message.tag).is_some(),
    };
    if !is_known || !adds_up(&outer) {
        return Probe::No;
    }
    let content_bytes = outer.elements().nth(1).map_or(0, |operation| operation.content_bytes);
    match is_plausible(&message, content_bytes) {
        Some(probe) => probe,
        None if outer.is_whole() => Probe::No,
        None => short,
    }
}

/// Whether id, operation and controls fill the message.
fn adds_up(outer: &Element<'_>) -> bool {
    let mut rest = outer.content_bytes;
    for part in outer.elements().take(2) {
        match rest.checked_sub(part.bytes()) {
            Some(left) => rest = left,
            None => return false,
        }
    }
    // Controls need at least a sequence with an object id in it.
    let controls = outer.elements().nth(2);
    rest == 0
        || controls.is_none() && rest > 4
        || controls.is_some_and(|controls| controls.tag == 0xa0 && controls.bytes() == rest)
}

/// What the operation's content is; `None`: more of it is needed.
fn is_plausible(message: &Message<'_>, content_bytes: usize) -> Option<Probe> {
    let mut parts = message.elements();
    let sure = |fits: bool, probe: Probe| Some(if fits { probe } else { Probe::No });
    match message.tag {
        operation::UNBIND => sure(content_bytes == 0, Probe::Possible),
        operation::ABANDON => sure((1..=4).contains(&content_bytes), Probe::Possible),
        operation::DELETE => sure(is_name(message.content), Probe::Possible),
        operation::BIND => {
            let version = parts.next()?;
            let name = parts.next()?;
            let fits = version.tag == ber::INTEGER && matches!(version.integer(), Some(2 | 3));
            sure(fits && name.tag == ber::OCTET_STRING, Probe::Certain)
        }
        operation::SEARCH => {
            let (base, scope, deref) = (parts.next()?, parts.next()?, parts.next()?);
            if !deref.is_whole() {
                return None;
            }
            let is_choice = |part: &Element<'_>| {
                part.tag == ber::ENUMERATED && matches!(part.integer(), Some(0..=3))
            };
            let fits = base.tag == ber::OCTET_STRING && is_choice(&scope) && is_choice(&deref);
            sure(fits && is_name(base.content), Probe::Certain)
        }
        operation::MODIFY | operation::ADD | operation::COMPARE | operation::ENTRY => {
            let (name, list) = (parts.next()?, parts.next()?);
            let fits = name.tag == ber::OCTET_STRING
                && is_name(name.content)
                && list.tag == ber::SEQUENCE
                && name.bytes() + list.bytes() == content_bytes;
            sure(fits, Probe::Certain)
        }
        operation::MODIFY_DN => {
            let name = parts.next()?;
            sure(name.tag == ber::OCTET_STRING && is_name(name.content), Probe::Possible)
        }
        operation::EXTENDED => {
            let name = parts.next()?;
            let is_id = name.content.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
            sure(name.tag == 0x80 && !name.content.is_empty() && is_id, Probe::Certain)
        }
        operation::REFERENCE | operation::INTERMEDIATE => Some(Probe::Possible),
        _ => {
            let (code, matched) = (parts.next()?, parts.next()?);
            let fits = code.tag == ber::ENUMERATED && code.integer().is_some();
            sure(fits && matched.tag == ber::OCTET_STRING, Probe::Certain)
        }
    }
}

fn is_name(name: &[u8]) -> bool {
    name.iter().all(|byte| *byte >= b' ' && *byte != 0x7f)
}
