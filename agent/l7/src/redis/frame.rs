//! RESP on the wire: where commands and replies start and end.
//!
//! In: bytes from the start of a command or reply. Out: as much of it as a record needs; what is
//! left is counted in values (`left`) and passed over value by value, also where it was not
//! captured. Never: recursion; nesting is a count of values still to come.

use crate::bytes;
use crate::protocol::{Input, Probe, Step};

/// A command or a reply.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Command(Args<'a>),
    Reply {
        /// First byte: the type.
        kind: u8,
        /// The rest of the first line; of a bulk error its text.
        text: &'a [u8],
        /// First element of an array or push, where it was looked at.
        first: &'a [u8],
    },
}

/// Arguments of a command, its name first.
#[derive(Clone, Debug)]
pub(crate) struct Args<'a> {
    rest: &'a [u8],
    inline: bool,
}

impl<'a> Args<'a> {
    /// The first word.
    pub fn name(&self) -> &'a [u8] {
        self.clone().next().unwrap_or_default()
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = &'a [u8];

    /// The next argument; the last one may be cut off.
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.inline {
            let start = self.rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
            let word = &self.rest[start..];
            let end = word.iter().position(u8::is_ascii_whitespace).unwrap_or(word.len());
            self.rest = &word[end..];
            return Some(&word[..end]);
        }
        let (length, used) = bulk_length(self.rest)?;
        let body = self.rest.get(used..)?;
        let end = (length as usize).min(body.len());
        self.rest = body.get(end + 2..).unwrap_or(&[]);
        Some(&body[..end])
    }
}

/// Longest inline command or first line of a reply. unit byte
const LINE_BYTES: usize = 64 << 10;

/// Most elements of a command or aggregate that are believed.
const ELEMENTS_MAX: u64 = 1 << 24;

/// Longest bulk string (`proto-max-bulk-len`). unit byte
const BULK_BYTES: u64 = 512 << 20;

/// Cuts a command. `left`: elements of it that are to be passed over afterwards.
pub(crate) fn command<'a>(input: Input<'a>, left: &mut u64) -> Step<Frame<'a>> {
    let bytes = input.bytes;
    if bytes[0] != b'*' {
        return inline(bytes);
    }
    let (count, header) = match number_line(&bytes[1..]) {
        Line::Number(count, used) => (count, 1 + used),
        Line::Short => return Step::Need(bytes.len() + 1),
        Line::Bad => return Step::Lost,
    };
    let Some(count) = count.filter(|count| *count <= ELEMENTS_MAX) else { return Step::Lost };
    if count == 0 {
        return Step::Skip(header as u64);
    }
    let mut at = header;
    let mut shown = 0;
    for place in 0..count {
        let rest = &bytes[at..];
        let (length, used) = match bulk_header(rest) {
            Bulk::Is(length, used) => (length, used),
            Bulk::Short if input.cut && place > 0 => return partial(bytes, header, at, 0, 0, left),
            Bulk::Short => return Step::Need(bytes.len() + 1),
            Bulk::Bad => return Step::Lost,
        };
        let end = at as u64 + used as u64 + length + 2;
        shown += length + 1;
        if end > bytes.len() as u64 {
            let captured = (bytes.len() - at - used.min(rest.len())) as u64;
            let enough = shown - length + captured > input.text_bytes as u64;
            if enough || input.cut {
                return partial(bytes, header, bytes.len(), end, count - place - 1, left);
            }
            let wanted = end.min((bytes.len() + input.text_bytes) as u64);
            return Step::Need(wanted as usize);
        }
        at = end as usize;
        if shown > input.text_bytes as u64 {
            return partial(bytes, header, at, end, count - place - 1, left);
        }
    }
    let args = Args { rest: &bytes[header..at], inline: false };
    Step::Frame { frame: Frame::Command(args), used: at as u64 }
}

/// A command of which the first elements are enough.
fn partial<'a>(
    bytes: &'a [u8],
    header: usize,
    seen: usize,
    end: u64,
    elements: u64,
    left: &mut u64,
) -> Step<Frame<'a>> {
    *left = elements;
    let args = Args { rest: &bytes[header..seen], inline: false };
    Step::Frame { frame: Frame::Command(args), used: end.max(seen as u64) }
}

fn inline(bytes: &[u8]) -> Step<Frame<'_>> {
    let Some(end) = bytes::find(bytes, b'\n') else {
        let is_text = bytes.iter().all(|byte| is_inline_byte(*byte));
        return match is_text && bytes.len() < LINE_BYTES {
            true => Step::Need(bytes.len() + 1),
            false => Step::Lost,
        };
    };
    let line = &bytes[..end];
    if line.trim_ascii().is_empty() {
        return Step::Skip(end as u64 + 1);
    }
    if !line.iter().all(|byte| is_inline_byte(*byte)) || !line[0].is_ascii_alphabetic() {
        return Step::Lost;
    }
    let args = Args { rest: line, inline: true };
    Step::Frame { frame: Frame::Command(args), used: end as u64 + 1 }
}

fn is_inline_byte(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || matches!(byte, b'\t' | b'\r')
}

/// Cuts the start of a reply. `left`: values of it that are to be passed over afterwards.
/// `look`: the first element of an array is wanted.
pub(crate) fn reply<'a>(input: Input<'a>, left: &mut u64, look: bool) -> Step<Frame<'a>> {
    let bytes = input.bytes;
    let kind = bytes[0];
    let frame = |text, first| Frame::Reply { kind, text, first };
    match kind {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => match bytes::find(bytes, b'\n') {
            Some(end) if bytes[end - 1] == b'\r' => {
                Step::Frame { frame: frame(&bytes[1..end - 1], &[]), used: end as u64 + 1 }
            }
            Some(_) => Step::Lost,
            None if input.cut => {
                Step::Frame { frame: frame(&bytes[1..], &[]), used: bytes.len() as u64 }
            }
            None if bytes.len() < LINE_BYTES => Step::Need(bytes.len() + 1),
            None => Step::Lost,
        },
        b'$' | b'=' | b'!' => match number_line(&bytes[1..]) {
            Line::Number(None, used) => {
                Step::Frame { frame: frame(&[], &[]), used: 1 + used as u64 }
            }
            Line::Number(Some(length), used) if length <= BULK_BYTES => {
                let wanted = match kind {
                    b'!' => 1 + used + length.min(512) as usize,
                    _ => 0,
                };
                if wanted > bytes.len() && !input.cut {
                    return Step::Need(wanted);
                }
                let end = wanted.max(1 + used).min(bytes.len());
                let text = &bytes[(1 + used).min(end)..end];
                Step::Frame { frame: frame(text, &[]), used: 1 + used as u64 + length + 2 }
            }
            Line::Short => Step::Need(bytes.len() + 1),
            _ => Step::Lost,
        },
        b'*' | b'~' | b'>' | b'%' | b'|' => aggregate(input, kind, left, look),
        _ => Step::Lost,
    }
}

fn aggregate<'a>(input: Input<'a>, kind: u8, left: &mut u64, look: bool) -> Step<Frame<'a>> {
    let bytes = input.bytes;
    let (count, used) = match number_line(&bytes[1..]) {
        Line::Number(count, used) => (count.unwrap_or(0), 1 + used),
        Line::Short => return Step::Need(bytes.len() + 1),
        Line::Bad => return Step::Lost,
    };
    if count > ELEMENTS_MAX {
        return Step::Lost;
    }
    let values = if matches!(kind, b'%' | b'|') { 2 * count } else { count };
    if kind == b'|' {
        *left = values;
        return Step::Skip(used as u64);
    }
    let mut first: &[u8] = &[];
    if (kind == b'>' || kind == b'*' && look) && count > 0 {
        match bulk_header(&bytes[used..]) {
            Bulk::Is(length, header) if length <= 32 => {
                let start = used + header;
                match bytes.get(start..start + length as usize) {
                    Some(text) => first = text,
                    None if input.cut => {}
                    None => return Step::Need(start + length as usize),
                }
            }
            Bulk::Short if !input.cut => return Step::Need(bytes.len() + 1),
            _ => {}
        }
    }
    *left = values;
    let text = &bytes[1..used.saturating_sub(2).max(1)];
    Step::Frame { frame: Frame::Reply { kind, text, first }, used: used as u64 }
}

/// Passes over values; stops where their end is not known yet.
pub(crate) fn pass_values<'a>(bytes: &'a [u8], left: &mut u64) -> Step<Frame<'a>> {
    let mut at = 0;
    while *left > 0 && at < bytes.len() {
        let rest = &bytes[at..];
        let (used, inner) = match rest[0] {
            b'$' | b'=' | b'!' => match number_line(&rest[1..]) {
                Line::Number(None, used) => (1 + used as u64, 0),
                Line::Number(Some(length), used) if length <= BULK_BYTES => {
                    (1 + used as u64 + length + 2, 0)
                }
                Line::Short => break,
                _ => return Step::Lost,
            },
            b'*' | b'~' | b'>' | b'%' | b'|' => match number_line(&rest[1..]) {
                Line::Number(count, used) => {
                    let count = count.unwrap_or(0);
                    if count > ELEMENTS_MAX {
                        return Step::Lost;
                    }
                    let values = if matches!(rest[0], b'%' | b'|') { 2 * count } else { count };
                    // An attribute stands before a value and is none.
                    (1 + used as u64, values + u64::from(rest[0] == b'|'))
                }
                Line::Short => break,
                Line::Bad => return Step::Lost,
            },
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => match bytes::find(rest, b'\n') {
                Some(end) => (end as u64 + 1, 0),
                None if rest.len() < LINE_BYTES => break,
                None => return Step::Lost,
            },
            _ => return Step::Lost,
        };
        *left = (*left - 1).saturating_add(inner);
        if *left > ELEMENTS_MAX * 8 {
            return Step::Lost;
        }
        match (at as u64).checked_add(used) {
            Some(end) if end <= bytes.len() as u64 => at = end as usize,
            Some(end) => return Step::Skip(end),
            None => return Step::Lost,
        }
    }
    match at {
        0 => Step::Need(bytes.len() + 1),
        _ => Step::Skip(at as u64),
    }
}

enum Line {
    /// The number (`None`: -1) and the length of its line.
    Number(Option<u64>, usize),
    Short,
    Bad,
}

/// `digits CRLF`.
fn number_line(bytes: &[u8]) -> Line {
    let mut number = 0u64;
    for (at, byte) in bytes.iter().enumerate().take(22) {
        match byte {
            b'0'..=b'9' => {
                let Some(next) = number
                    .checked_mul(10)
                    .and_then(|number| number.checked_add(u64::from(byte - b'0')))
                else {
                    return Line::Bad;
                };
                number = next;
            }
            b'-' if at == 0 => {
                return match (b"-1\r\n".starts_with(bytes), bytes.starts_with(b"-1\r\n")) {
                    (_, true) => Line::Number(None, 4),
                    (true, _) => Line::Short,
                    _ => Line::Bad,
                };
            }
            b'\r' if at > 0 => {
                return match bytes.get(at + 1) {
                    Some(b'\n') => Line::Number(Some(number), at + 2),
                    Some(_) => Line::Bad,
                    None => Line::Short,
                };
            }
            _ => return Line::Bad,
        }
    }
    if bytes.len() < 22 { Line::Short } else { Line::Bad }
}

enum Bulk {
    /// Length, and the length of the line that says so.
    Is(u64, usize),
    Short,
    Bad,
}

/// `"$" len CRLF` of a bulk string that is not null.
fn bulk_header(bytes: &[u8]) -> Bulk {
    match bytes.split_first() {
        None => Bulk::Short,
        Some((b'$', rest)) => match number_line(rest) {
            Line::Number(Some(length), used) if length <= BULK_BYTES => Bulk::Is(length, 1 + used),
            Line::Short => Bulk::Short,
            _ => Bulk::Bad,
        },
        Some(_) => Bulk::Bad,
    }
}

fn bulk_length(bytes: &[u8]) -> Option<(u64, usize)> {
    match bulk_header(bytes) {
        Bulk::Is(length, used) => Some((length, used)),
        _ => None,
    }
}

/// Inline commands that nothing but Redis has.
const INLINE: [&str; 14] = [
    "PING",
    "INFO",
    "GET",
    "SET",
    "DEL",
    "INCR",
    "KEYS",
    "SELECT",
    "MONITOR",
    "DBSIZE",
    "ECHO",
    "EXISTS",
    "SUBSCRIBE",
    "HELLO",
];

/// Whether the first bytes of a client are RESP.
pub(crate) fn probe_command(first: &[u8], cut: bool) -> Probe {
    if first.first() != Some(&b'*') {
        let Some(end) = bytes::find(&first[..first.len().min(256)], b'\n') else {
            let word = &first[..first.len().min(10)];
            let is_prefix = |name: &&str| {
                let common = word.len().min(name.len());
                name.as_bytes()[..common].eq_ignore_ascii_case(&word[..common])
            };
            let printable = first.iter().all(|byte| is_inline_byte(*byte));
            let is_short = first.len() < 256 && !cut && printable;
            return if is_short && INLINE.iter().any(is_prefix) { Probe::Short } else { Probe::No };
        };
        let args = Args { rest: &first[..end], inline: true };
        let is_known = INLINE.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(args.name()));
        let is_line = first[..end].iter().all(|byte| is_inline_byte(*byte));
        return if is_known && is_line { Probe::Possible } else { Probe::No };
    }
    let (count, header) = match number_line(&first[1..]) {
        Line::Number(Some(count), used) => (count, 1 + used),
        Line::Short => return Probe::Short,
        _ => return Probe::No,
    };
    if count == 0 || count > ELEMENTS_MAX {
        return Probe::No;
    }
    match bulk_header(&first[header..]) {
        Bulk::Is(length @ 1..=32, used) => {
            let name = &first[header + used..];
            let name = &name[..name.len().min(length as usize)];
            let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_|".contains(byte);
            match name.iter().all(is_word) {
                true if name.len() == length as usize => Probe::Certain,
                true => Probe::Short,
                false => Probe::No,
            }
        }
        Bulk::Short => Probe::Short,
        _ => Probe::No,
    }
}

/// Whether the first bytes of a server are RESP: other protocols have lines like these too.
pub(crate) fn probe_reply(first: &[u8]) -> Probe {
    match first[0] {
        b'$' | b'*' | b'%' | b'~' | b'>' | b'=' => match number_line(&first[1..]) {
            Line::Number(..) => Probe::Possible,
            Line::Short => Probe::Short,
            Line::Bad => Probe::No,
        },
        b'+' | b'-' | b':' | b',' | b'#' | b'_' => {
            let line = &first[1..first.len().min(512)];
            match bytes::find(line, b'\n') {
                Some(end) => match line[..end].strip_suffix(b"\r") {
                    Some(text) if is_simple(first[0], text) => Probe::Possible,
                    _ => Probe::No,
                },
                None if first.len() < 512 => Probe::Short,
                None => Probe::No,
            }
        }
        _ => Probe::No,
    }
}

fn is_simple(kind: u8, text: &[u8]) -> bool {
    match kind {
        b':' => {
            let digits = text.strip_prefix(b"-").unwrap_or(text);
            bytes::decimal(digits).is_some()
        }
        b'-' => text.first().is_some_and(u8::is_ascii_uppercase),
        b'_' => text.is_empty(),
        b'#' => matches!(text, b"t" | b"f"),
        _ => text.iter().all(|byte| *byte >= b' '),
    }
}
