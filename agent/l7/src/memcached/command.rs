//! Commands of the text protocol.
//!
//! In: bytes from the start of a command. Out: its line, how long its data are, and whether it
//! is answered. Never: data.

use crate::bytes;
use crate::memcached::fingerprint;
use crate::memcached::reply::Reply;
use crate::protocol::{Input, Step};

/// A command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command<'a> {
    /// Its first word.
    pub name: &'a [u8],
    /// All of it but the line's end; of a long one the start.
    pub line: &'a [u8],
    /// Length with data; `None` where that is not known. unit byte
    pub bytes: Option<u64>,
    /// Never answered (`noreply`, `quit`).
    pub is_one_way: bool,
    /// A meta command with flag `q`: answered only when there is something to say.
    pub is_quiet: bool,
}

/// Longest line that is read as a whole; of longer ones the rest is passed over. unit byte
const LINE_BYTES: usize = 8 << 10;

/// Longest value (`-I`). unit byte
const VALUE_BYTES: u64 = 1 << 30;

/// Commands whose line says how long their data are: where.
pub(crate) fn data_place(name: &[u8]) -> Option<usize> {
    match name {
        b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => Some(4),
        b"ms" => Some(2),
        _ => None,
    }
}

/// Words of a line.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// A line without its end.
pub(crate) fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Cuts a command. `long_line`: set when the rest of its line is to be passed over.
pub(crate) fn cut<'a>(input: Input<'a>, long_line: &mut bool) -> Step<Command<'a>> {
    let bytes = input.bytes;
    let looked = &bytes[..bytes.len().min(LINE_BYTES)];
    let Some(end) = bytes::find(looked, b'\n') else {
        if !is_line(looked) {
            return Step::Lost;
        }
        if looked.len() < LINE_BYTES && !input.cut {
            return Step::Need(bytes.len() + 1);
        }
        *long_line = !input.datagram;
        let command = read(looked, None);
        return Step::Frame { frame: command, used: looked.len() as u64 };
    };
    let line = without_end(&looked[..end]);
    if line.is_empty() {
        return Step::Skip(end as u64 + 1);
    }
    if !is_line(line) {
        return Step::Lost;
    }
    let name = words(line).next().unwrap_or_default();
    let data = data_place(name)
        .and_then(|place| words(line).nth(place))
        .and_then(bytes::decimal)
        .filter(|data_bytes| *data_bytes <= VALUE_BYTES);
    let used = end as u64 + 1 + data.map_or(0, |data_bytes| data_bytes + 2);
    Step::Frame { frame: read(line, Some(used)), used }
}

/// Whether bytes may be a command line: printable, beginning with a lower-case word.
fn is_line(line: &[u8]) -> bool {
    let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let word = without_end(word);
    word.len() <= 32
        && word.first().is_some_and(u8::is_ascii_lowercase)
        && word.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_')
        && without_end(line).iter().all(|byte| *byte >= b' ' && *byte != 0x7f)
}

fn read(line: &[u8], bytes: Option<u64>) -> Command<'_> {
    let name = words(line).next().unwrap_or_default();
    let is_noreply = line.ends_with(b" noreply") && !matches!(name, b"get" | b"gets");
    let is_one_way = is_noreply || matches!(name, b"quit" | b"shutdown");
    let mut command = Command { name, line, bytes, is_one_way, is_quiet: false };
    command.is_quiet = is_meta(name) && command.flags().any(|flag| flag == b"q");
    command
}

/// Meta commands with flags.
fn is_meta(name: &[u8]) -> bool {
    matches!(name, b"mg" | b"ms" | b"md" | b"ma")
}

/// What a tag holds: kind of command, then fingerprints of its opaque token and key.
mod tag {
    pub const META_GET: u64 = 1;
    pub const META_SET: u64 = 2;
    pub const META_DELETE: u64 = 3;
    pub const META_ARITHMETIC: u64 = 4;
    pub const KIND: u64 = 0xff;
    pub const HAS_OPAQUE: u64 = 1 << 8;
    pub const HAS_KEY: u64 = 1 << 9;
    pub const FINGERPRINT: u32 = 32;
}

impl<'a> Command<'a> {
    /// Flags of a meta command.
    fn flags(&self) -> impl Iterator<Item = &'a [u8]> {
        let before = if self.name == b"ms" { 3 } else { 2 };
        words(self.line).skip(before)
    }

    /// What its replies are known by.
    pub fn tag(&self) -> u64 {
        let kind = match self.name {
            b"mg" => tag::META_GET,
            b"ms" => tag::META_SET,
            b"md" => tag::META_DELETE,
            b"ma" => tag::META_ARITHMETIC,
            _ => return 0,
        };
        let opaque = self.flags().find_map(|flag| flag.strip_prefix(b"O"));
        let shows_key = self.flags().any(|flag| flag == b"k");
        let (mark, text) = match (opaque, shows_key) {
            (Some(opaque), _) => (tag::HAS_OPAQUE, opaque),
            (None, true) => (tag::HAS_KEY, words(self.line).nth(1).unwrap_or_default()),
            (None, false) => return kind,
        };
        kind | mark | fingerprint(text) << tag::FINGERPRINT
    }
}

/// Whether a reply may be that of a quiet meta command of this tag, which says nothing when all
/// went as it was meant to.
pub(crate) fn may_answer(command: u64, reply: &Reply<'_>) -> bool {
    if reply.is_error() {
        return true;
    }
    let fits = match command & tag::KIND {
        tag::META_GET => matches!(reply.code(), b"VA" | b"HD"),
        tag::META_SET => matches!(reply.code(), b"NS" | b"EX" | b"NF"),
        tag::META_DELETE => reply.code() == b"EX",
        tag::META_ARITHMETIC => matches!(reply.code(), b"NS" | b"EX"),
        _ => false,
    };
    let wanted = command >> tag::FINGERPRINT;
    let marked = |mark: u8| reply.flag(mark).map(fingerprint);
    fits && match command & (tag::HAS_OPAQUE | tag::HAS_KEY) {
        tag::HAS_OPAQUE => marked(b'O') == Some(wanted),
        tag::HAS_KEY => marked(b'k') == Some(wanted),
        _ => true,
    }
}
