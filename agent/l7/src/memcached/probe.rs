//! Recognises memcached by its first bytes.
//!
//! Lines of words are common: only those with the numbers of a store are certain, the others
//! count when both directions have them.

use crate::bytes;
use crate::memcached::binary;
use crate::memcached::command::{data_place, without_end, words};
use crate::protocol::Probe;
use crate::segment::Direction;

/// Longest key. unit byte
const KEY_BYTES: usize = 250;

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn first_bytes(direction: Direction, first: &[u8], cut: bool) -> Probe {
    if matches!(first[0], binary::REQUEST | binary::RESPONSE) {
        return match binary::is_plausible(first, direction) {
            Some(true) if first.len() >= binary::HEADER_BYTES => Probe::Certain,
            Some(true) | None if !cut => Probe::Short,
            _ => Probe::No,
        };
    }
    match direction {
        Direction::ClientToServer => commands(first, cut),
        Direction::ServerToClient => line_of_server(first, cut),
    }
}

/// The same of a datagram's content: nothing follows.
pub(crate) fn datagram(direction: Direction, content: &[u8], cut: bool) -> Probe {
    match first_bytes(direction, content, true) {
        // A line that ends with the datagram has a checked header before it.
        Probe::Possible if content.ends_with(b"\r\n") || cut => Probe::Certain,
        probe => probe,
    }
}

/// Whether a message plausibly starts here.
pub(crate) fn may_start(direction: Direction, bytes: &[u8]) -> bool {
    matches!(first_bytes(direction, bytes, true), Probe::Certain | Probe::Possible)
}

/// One command after the other: one that is none, and it is not memcached.
fn commands(first: &[u8], cut: bool) -> Probe {
    let mut rest = first;
    let mut best = Probe::Short;
    while !rest.is_empty() {
        let Some(end) = bytes::find(rest, b'\n') else {
            return match (partial(rest), best) {
                (false, _) => Probe::No,
                (true, Probe::Short) if cut && rest.contains(&b' ') => Probe::Possible,
                (true, _) => best,
            };
        };
        let line = without_end(&rest[..end]);
        match command(line) {
            Probe::Certain => return Probe::Certain,
            Probe::Possible => best = Probe::Possible,
            Probe::No => return Probe::No,
            Probe::Short => {}
        }
        let place = data_place(words(line).next().unwrap_or_default());
        let data = place.and_then(|place| words(line).nth(place)).and_then(bytes::decimal);
        let data =
            data.map_or(0, |data| usize::try_from(data).unwrap_or(usize::MAX).saturating_add(2));
        let used = end.saturating_add(1).saturating_add(data);
        if data > 0 && rest.get(used - 2..used) == Some(b"\r\n") {
            return Probe::Certain;
        }
        rest = rest.get(used..).unwrap_or(&[]);
    }
    best
}

/// Commands with fewer words than two.
const SHORT_COMMANDS: [&[u8]; 6] =
    [b"mn", b"version", b"stats", b"quit", b"flush_all", b"shutdown"];

/// Commands with a key or other words.
const LONG_COMMANDS: [&[u8]; 26] = [
    b"get",
    b"gets",
    b"gat",
    b"gats",
    b"set",
    b"add",
    b"replace",
    b"append",
    b"prepend",
    b"cas",
    b"delete",
    b"incr",
    b"decr",
    b"touch",
    b"mg",
    b"ms",
    b"md",
    b"ma",
    b"me",
    b"verbosity",
    b"flush_all",
    b"stats",
    b"cache_memlimit",
    b"slabs",
    b"lru_crawler",
    b"lru",
];

/// Whether a line may be a command.
fn command(line: &[u8]) -> Probe {
    let name = words(line).next().unwrap_or_default();
    let word = |place: usize| words(line).nth(place).unwrap_or_default();
    let count = words(line).count();
    let is_text = line.iter().all(|byte| *byte >= b' ' && *byte != 0x7f);
    let is_number = |word: &[u8]| bytes::decimal(word.strip_prefix(b"-").unwrap_or(word)).is_some();
    let is_key = |word: &[u8]| !word.is_empty() && word.len() <= KEY_BYTES;
    if !is_text || count > 1 && !LONG_COMMANDS.contains(&name) {
        return Probe::No;
    }
    let fits = match name {
        b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => {
            let numbers = (2..5).all(|place| is_number(word(place)));
            let last = match (name, count) {
                (b"cas", 6) => true,
                (b"cas", 7) => word(6) == b"noreply",
                (b"cas", _) => false,
                (_, 5) => true,
                (_, 6) => word(5) == b"noreply",
                _ => false,
            };
            return if is_key(word(1)) && numbers && last { Probe::Certain } else { Probe::No };
        }
        b"get" | b"gets" => count > 1 && words(line).skip(1).all(is_key),
        b"gat" | b"gats" => count > 2 && is_number(word(1)),
        // Others (beanstalkd) delete by number.
        b"delete" if count == 2 && is_number(word(1)) => return Probe::Short,
        b"delete" => (2..=3).contains(&count) && is_key(word(1)),
        b"incr" | b"decr" | b"touch" => (3..=4).contains(&count) && is_number(word(2)),
        b"ms" => count > 2 && is_key(word(1)) && is_number(word(2)) && are_flags(line, 3),
        b"mg" | b"md" | b"ma" => count > 1 && is_key(word(1)) && are_flags(line, 2),
        b"me" => count > 1,
        name if count == 1 => SHORT_COMMANDS.contains(&name),
        _ => true,
    };
    if fits { Probe::Possible } else { Probe::No }
}

/// Flags of meta commands: a letter each, some with a token.
fn are_flags(line: &[u8], before: usize) -> bool {
    words(line).skip(before).all(|flag| flag[0].is_ascii_alphabetic())
}

/// Whether a line without its end may be a command.
fn partial(line: &[u8]) -> bool {
    let is_text = without_end(line).iter().all(|byte| *byte >= b' ' && *byte != 0x7f);
    let mut known = LONG_COMMANDS.iter().chain(&SHORT_COMMANDS);
    is_text
        && match words(line).next() {
            Some(word) if line.contains(&b' ') => LONG_COMMANDS.contains(&word),
            Some(word) => known.any(|name| name.starts_with(without_end(word))),
            None => false,
        }
}

/// Whether a line may be one of a server.
fn line_of_server(first: &[u8], cut: bool) -> Probe {
    let looked = &first[..first.len().min(1024)];
    let Some(end) = bytes::find(looked, b'\n') else {
        let is_text = |byte: &u8| *byte >= b' ' && *byte < 0x7f || *byte == b'\r';
        let starts = looked[0].is_ascii_uppercase() || looked[0].is_ascii_digit();
        let may_be = starts && looked.len() < 1024 && looked.iter().all(is_text) && !cut;
        return if may_be { Probe::Short } else { Probe::No };
    };
    let Some(line) = looked[..end].strip_suffix(b"\r") else { return Probe::No };
    let count = words(line).count();
    let word = |place: usize| words(line).nth(place).unwrap_or_default();
    let is_number = |place: usize| bytes::decimal(word(place)).is_some();
    let fits = match word(0) {
        b"VALUE" => {
            let fits = (4..=5).contains(&count) && (2..count).all(is_number);
            return if fits { Probe::Certain } else { Probe::No };
        }
        b"STORED" | b"NOT_STORED" | b"EXISTS" | b"NOT_FOUND" | b"DELETED" | b"TOUCHED" | b"END"
        | b"ERROR" | b"OK" | b"RESET" | b"MN" => count == 1,
        b"CLIENT_ERROR" | b"SERVER_ERROR" | b"VERSION" | b"ME" => count > 1,
        b"STAT" | b"ITEM" => count > 2,
        b"VA" => count > 1 && is_number(1) && are_flags(line, 2),
        b"HD" | b"EN" | b"NF" | b"NS" | b"EX" => are_flags(line, 1),
        // incr and decr.
        _ => count == 1 && line.len() <= 20 && is_number(0),
    };
    if fits { Probe::Possible } else { Probe::No }
}
