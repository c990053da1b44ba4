//! Messages on the wire: header, sections, and how they are recognised.
//!
//! In: bytes from the start of a message. Out: as much of it as a record needs.

use crate::bytes::Reader;
use crate::mongodb::bson::{DOCUMENT_BYTES_MAX, Document};
use crate::protocol::{Input, Probe, Step};
use crate::segment::Direction;

pub(crate) const REPLY: u32 = 1;
pub(crate) const UPDATE: u32 = 2001;
pub(crate) const INSERT: u32 = 2002;
pub(crate) const QUERY: u32 = 2004;
pub(crate) const GET_MORE: u32 = 2005;
pub(crate) const DELETE: u32 = 2006;
pub(crate) const KILL_CURSORS: u32 = 2007;
pub(crate) const COMMAND: u32 = 2010;
pub(crate) const COMMAND_REPLY: u32 = 2011;
pub(crate) const COMPRESSED: u32 = 2012;
pub(crate) const MSG: u32 = 2013;

pub(crate) const CHECKSUM_PRESENT: u32 = 1;
pub(crate) const MORE_TO_COME: u32 = 1 << 1;
const EXHAUST_ALLOWED: u32 = 1 << 16;

/// Lengths and ids.
pub(crate) const HEADER_BYTES: usize = 16;

/// A message of which the first bytes of the body are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// Length of the whole message. unit byte
    pub bytes: usize,
    pub request_id: u32,
    pub response_to: u32,
    pub opcode: u32,
    /// What stands after the header, without a checksum; as much of it as a record needs.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The header at the front of `bytes`, and what stands after it.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let length = reader.u32_le()? as usize;
        let (request_id, response_to) = (reader.u32_le()?, reader.u32_le()?);
        let opcode = reader.u32_le()?;
        let body = reader.take_up_to(length.saturating_sub(HEADER_BYTES));
        Some(Self { bytes: length, request_id, response_to, opcode, body })
    }

    /// Flags of an OP_MSG; of others 0.
    pub fn flags(&self) -> u32 {
        match self.opcode {
            MSG => Reader::new(self.body).u32_le().unwrap_or(0),
            _ => 0,
        }
    }

    /// The sender does not wait for an answer, or sends more by itself.
    pub fn is_more_to_come(&self) -> bool {
        self.flags() & MORE_TO_COME != 0
    }

    /// Sections of an OP_MSG.
    pub fn sections(&self) -> Sections<'a> {
        let end = match self.flags() & CHECKSUM_PRESENT != 0 {
            true => self.body.len().min(self.bytes.saturating_sub(HEADER_BYTES + 4)),
            false => self.body.len(),
        };
        Sections { rest: self.body.get(4..end).unwrap_or(&[]) }
    }

    /// What no answer names: some clients write -1.
    fn is_unasked(&self) -> bool {
        matches!(self.response_to, 0 | u32::MAX)
    }
}

/// A section of an OP_MSG.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Section<'a> {
    /// The command.
    Body(Document<'a>),
    /// Documents that stand for an array of this name in the command.
    Sequence { name: &'a [u8], documents: &'a [u8] },
}

/// Sections in their order, as far as there are bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sections<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Sections<'a> {
    type Item = Section<'a>;

    fn next(&mut self) -> Option<Section<'a>> {
        let mut reader = Reader::new(std::mem::take(&mut self.rest));
        let section = match reader.u8()? {
            // 2: who asks, among servers.
            0 | 2 => {
                let document = Document::read(reader.rest())?;
                reader.take_up_to(document.bytes);
                Section::Body(document)
            }
            1 => {
                let size = reader.u32_le()? as usize;
                let mut inner = Reader::new(reader.take_up_to(size.checked_sub(4)?));
                let name = inner.until_nul()?;
                Section::Sequence { name, documents: inner.rest() }
            }
            _ => return None,
        };
        self.rest = reader.rest();
        Some(section)
    }
}

/// Documents one after the other.
pub(crate) fn documents(bytes: &[u8]) -> impl Iterator<Item = Document<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let document = Document::read(rest)?;
        rest = rest.get(document.bytes..).unwrap_or(&[]);
        Some(document)
    })
}

/// Name of an opcode; `None` for a number that is none.
pub(crate) fn name_of(opcode: u32) -> Option<&'static str> {
    Some(match opcode {
        REPLY => "OP_REPLY",
        UPDATE => "OP_UPDATE",
        INSERT => "OP_INSERT",
        QUERY => "OP_QUERY",
        GET_MORE => "OP_GET_MORE",
        DELETE => "OP_DELETE",
        KILL_CURSORS => "OP_KILL_CURSORS",
        COMMAND => "OP_COMMAND",
        COMMAND_REPLY => "OP_COMMANDREPLY",
        COMPRESSED => "OP_COMPRESSED",
        MSG => "OP_MSG",
        _ => return None,
    })
}

/// Bytes of a message that are worth to be waited for: BSON is at most about as long again as
/// its text.
pub(crate) fn wanted_bytes(text_bytes: usize) -> usize {
    HEADER_BYTES + 512 + 2 * text_bytes
}

/// Cuts a message; of a long one, the start.
pub(crate) fn cut(input: Input<'_>) -> Step<Message<'_>> {
    let Some(message) = Message::read(input.bytes) else {
        return if may_start(input.bytes) { Step::Need(HEADER_BYTES) } else { Step::Lost };
    };
    if name_of(message.opcode).is_none()
        || !(HEADER_BYTES + 4..=DOCUMENT_BYTES_MAX).contains(&message.bytes)
    {
        return Step::Lost;
    }
    let wanted = message.bytes.min(wanted_bytes(input.text_bytes));
    if input.bytes.len() < wanted && !input.cut {
        return Step::Need(wanted);
    }
    let body = &message.body[..message.body.len().min(wanted - HEADER_BYTES)];
    Step::Frame { frame: Message { body, ..message }, used: message.bytes as u64 }
}

/// Whether bytes too short for a header are like the start of one: no message is so long that
/// the fourth byte is more than 2.
fn may_start(bytes: &[u8]) -> bool {
    bytes.get(3).is_none_or(|byte| *byte <= 2)
        && bytes.get(12).is_none_or(|byte| is_opcode_start(*byte))
}

/// Low bytes of opcodes.
fn is_opcode_start(byte: u8) -> bool {
    byte == REPLY as u8 || (UPDATE as u8..=MSG as u8).contains(&byte)
}

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn probe(direction: Direction, first: &[u8], cut: bool) -> Probe {
    let Some(message) = Message::read(first) else {
        return if !cut && may_start(first) { Probe::Short } else { Probe::No };
    };
    let from_client = direction == Direction::ClientToServer;
    let is_request = !matches!(message.opcode, REPLY | COMMAND_REPLY);
    let is_reply = matches!(message.opcode, REPLY | COMMAND_REPLY | MSG | COMPRESSED);
    let fits = name_of(message.opcode).is_some()
        && (HEADER_BYTES + 4..=DOCUMENT_BYTES_MAX).contains(&message.bytes)
        && message.is_unasked() == from_client
        && if from_client { is_request } else { is_reply };
    let is_whole = message.body.len() + HEADER_BYTES == message.bytes;
    match fits.then(|| is_plausible(&message)) {
        Some(Some(true)) => Probe::Certain,
        Some(None) if is_whole => Probe::No,
        Some(None) if cut => Probe::Possible,
        Some(None) => Probe::Short,
        _ => Probe::No,
    }
}

/// Whether the body has the form of its opcode; `None`: too short to tell.
fn is_plausible(message: &Message<'_>) -> Option<bool> {
    let mut reader = Reader::new(message.body);
    match message.opcode {
        MSG => {
            let flags = reader.u32_le()?;
            let known = CHECKSUM_PRESENT | MORE_TO_COME | EXHAUST_ALLOWED;
            if flags & !known != 0 {
                return Some(false);
            }
            match reader.u8()? {
                0 => is_document(message, reader.rest()),
                1 => {
                    let size = reader.u32_le()? as usize;
                    let name = reader.take_up_to(32);
                    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                    let is_word = !name.is_empty() && name.iter().all(u8::is_ascii_alphanumeric);
                    Some(is_word && size + HEADER_BYTES <= message.bytes)
                }
                _ => Some(false),
            }
        }
        COMPRESSED => {
            let (opcode, plain) = (reader.u32_le()?, reader.u32_le()? as usize);
            let is_known = name_of(opcode).is_some() && opcode != COMPRESSED;
            Some(is_known && plain <= DOCUMENT_BYTES_MAX && reader.u8()? <= 3)
        }
        REPLY => {
            let flags = reader.u32_le()?;
            reader.take(8)?;
            let (from, count) = (reader.u32_le()?, reader.u32_le()?);
            match flags <= 15 && from <= 1 << 24 && count <= 1 << 24 {
                true if count == 0 => Some(message.bytes == HEADER_BYTES + 20),
                true => is_document(message, reader.rest()),
                false => Some(false),
            }
        }
        KILL_CURSORS => {
            let (zero, count) = (reader.u32_le()?, reader.u32_le()? as usize);
            Some(zero == 0 && message.bytes == HEADER_BYTES + 8 + count.saturating_mul(8))
        }
        COMMAND => {
            let (database, command) = (reader.until_nul()?, reader.until_nul()?);
            let is_word = |word: &[u8]| !word.is_empty() && word.iter().all(|byte| *byte > b' ');
            Some(is_word(database) && is_word(command) && is_document(message, reader.rest())?)
        }
        COMMAND_REPLY => is_document(message, reader.rest()),
        _ => is_on_collection(message, reader),
    }
}

/// Whether a message of the old kinds names a collection.
fn is_on_collection(message: &Message<'_>, mut reader: Reader<'_>) -> Option<bool> {
    let flags = reader.u32_le()?;
    let name = &reader.rest()[..reader.rest().len().min(256)];
    let is_text = |name: &[u8]| name.iter().all(|byte| *byte >= b' ');
    let Some(end) = name.iter().position(|byte| *byte == 0) else {
        return if name.len() < 256 && is_text(name) { None } else { Some(false) };
    };
    reader.take(end + 1)?;
    let dot = name[..end].iter().position(|byte| *byte == b'.');
    let has_flags = matches!(message.opcode, QUERY | INSERT);
    if !is_text(&name[..end]) || dot.is_none_or(|dot| dot == 0) || !has_flags && flags != 0 {
        return Some(false);
    }
    match message.opcode {
        GET_MORE => return Some(message.bytes == HEADER_BYTES + 4 + end + 1 + 12),
        INSERT => {}
        QUERY => {
            reader.take(8)?;
        }
        _ => {
            reader.take(4)?;
        }
    }
    is_document(message, reader.rest())
}

/// Whether a document of a message starts here.
fn is_document(message: &Message<'_>, bytes: &[u8]) -> Option<bool> {
    // Whether its first element is one cannot be told from less.
    let document = match bytes.len() {
        ..5 => return None,
        _ => Document::read(bytes),
    };
    let fits = |document: Document<'_>| document.bytes + HEADER_BYTES <= message.bytes;
    Some(document.is_some_and(|document| fits(document) && document.is_plausible()))
}
