//! Recognises TLS by its first record: a ClientHello or a ServerHello.

use crate::bytes::Reader;
use crate::protocol::Probe;
use crate::segment::Direction;
use crate::tls::alert;
use crate::tls::hello::{CLIENT_HELLO, SERVER_HELLO};
use crate::tls::record::{self, HEADER_BYTES};

/// Bytes of a message that are looked at: head, version, random, session id's length.
const LOOK_BYTES: usize = 4 + 2 + 32 + 1;

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn first_bytes(direction: Direction, first: &[u8], cut: bool) -> Probe {
    let short = if cut { Probe::No } else { Probe::Short };
    if first.len() < HEADER_BYTES {
        let start = [&[record::HANDSHAKE, 3][..], &[record::ALERT, 3]];
        let fits = start.iter().any(|start| {
            let common = first.len().min(2);
            start[..common] == first[..common]
        });
        return if fits { short } else { Probe::No };
    }
    let Some((kind, length)) = record::header(first).filter(|(_, length)| *length > 0) else {
        return Probe::No;
    };
    match kind {
        record::HANDSHAKE => hello(direction, first, short),
        // All that a server says when it does not want to.
        record::ALERT if length == 2 => match first.get(HEADER_BYTES..HEADER_BYTES + 2) {
            Some([1 | 2, code]) if alert::name_of(*code).is_some() && first.len() == 7 => {
                Probe::Possible
            }
            Some(_) => Probe::No,
            None => short,
        },
        _ => Probe::No,
    }
}

/// The first bytes of the first message, which may lie in several records.
fn hello(direction: Direction, first: &[u8], short: Probe) -> Probe {
    let mut message = [0; LOOK_BYTES];
    let mut have = 0;
    let mut rest = first;
    while have < LOOK_BYTES {
        let Some((kind, length)) = record::header(rest) else { break };
        if kind != record::HANDSHAKE {
            return Probe::No;
        }
        let body = &rest[HEADER_BYTES..];
        let taken = length.min(body.len()).min(LOOK_BYTES - have);
        message[have..have + taken].copy_from_slice(&body[..taken]);
        have += taken;
        rest = body.get(length..).unwrap_or(&[]);
    }
    let wanted = match direction {
        Direction::ClientToServer => CLIENT_HELLO,
        Direction::ServerToClient => SERVER_HELLO,
    };
    let mut reader = Reader::new(&message[..have]);
    let fits = (|| {
        let (kind, [high, middle, low]) = (reader.u8()?, reader.array()?);
        let length = u32::from_be_bytes([0, high, middle, low]);
        let (major, minor) = (reader.u8()?, reader.u8()?);
        // Version, random, an empty session id, a cipher and a method.
        let is_hello = kind == wanted && (38..1 << 16).contains(&length);
        if !is_hello || major != 3 || minor > 4 {
            return Some(false);
        }
        reader.take(32)?;
        Some(reader.u8()? <= 32)
    })();
    match fits {
        Some(true) => Probe::Certain,
        Some(false) => Probe::No,
        // What is there fits, or is too little.
        None if have == 0 || message[0] == wanted => match short {
            Probe::No if have > 6 => Probe::Certain,
            short => short,
        },
        None => Probe::No,
    }
}
