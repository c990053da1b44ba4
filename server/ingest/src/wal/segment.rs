//! Segment files.
//!
//! ```text
//! segment := "DFWL" [version: u8 = 1][id: u64 le][first_row: u64 le] frame…
//! frame   := [bytes: u32 le][crc32 of body: u32 le][body: bytes]
//! body    := [kind: u8][agent: 16][agent_id: u16 le][signal: u8][sequence: u64 le]
//!            [table: u16 le][rows: u32 le][payload]
//! ```
//! `first_row` numbers the rows of all segments through; row ids are made from it, so that they
//! are the same when a segment is read again.

use std::fs;
use std::io;
use std::path::Path;

use schema::wire::{AgentUuid, Signal};

const MAGIC: &[u8; 5] = b"DFWL\x01";
/// Bytes of a segment's header.
pub(crate) const HEADER_BYTES: usize = 5 + 8 + 8;
const BODY_HEAD_BYTES: usize = 1 + 16 + 2 + 1 + 8 + 2 + 4;

/// What a frame records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// A batch that was taken.
    Batch,
    /// A batch that was refused for good: only its sequence counts.
    Rejection,
}

/// A batch in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub kind: FrameKind,
    pub agent: AgentUuid,
    pub agent_id: u16,
    pub signal: Signal,
    pub sequence: u64,
    pub table_id: u16,
    pub rows: u32,
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes that the frame takes in a segment.
    pub fn encoded_bytes(&self) -> usize {
        8 + BODY_HEAD_BYTES + self.payload.len()
    }

    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&((BODY_HEAD_BYTES + self.payload.len()) as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.push(match self.kind {
            FrameKind::Batch => 1,
            FrameKind::Rejection => 2,
        });
        out.extend_from_slice(&self.agent.0);
        out.extend_from_slice(&self.agent_id.to_le_bytes());
        out.push(self.signal.id());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.table_id.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(self.payload);
        let checksum = crc32fast::hash(&out[start + 8..]);
        out[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Header of a segment.
pub(crate) fn encode_header(id: u64, first_row: u64) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&first_row.to_le_bytes());
    out
}

/// A segment read back.
pub(crate) struct Segment {
    bytes: Vec<u8>,
    /// Number of its first row.
    pub first_row: u64,
    /// End of each whole frame's body and its start.
    bodies: Vec<(usize, usize)>,
    /// Bytes that hold whole frames; what follows was never acknowledged, or is damage.
    pub whole_bytes: usize,
}

impl Segment {
    /// Whether bytes follow the last whole frame.
    pub fn is_torn(&self) -> bool {
        self.whole_bytes < self.bytes.len()
    }

    /// The frames in order.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        self.bodies.iter().filter_map(|(start, end)| decode_body(&self.bytes[*start..*end]))
    }
}

/// Reads a segment. A header that is not whole gives an empty segment: the file was just made.
pub(crate) fn read_segment(path: &Path) -> io::Result<Segment> {
    let bytes = fs::read(path)?;
    let mut segment = Segment { bytes, first_row: 0, bodies: Vec::new(), whole_bytes: 0 };
    let bytes = &segment.bytes;
    if bytes.len() < HEADER_BYTES || !bytes.starts_with(MAGIC) {
        return Ok(segment);
    }
    segment.first_row = u64::from_le_bytes(array(&bytes[13..21]));
    let mut at = HEADER_BYTES;
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes(array(&head[..4])) as usize;
        let checksum = u32::from_le_bytes(array(&head[4..]));
        let Some(body) = bytes.get(at + 8..at + 8 + length) else { break };
        if crc32fast::hash(body) != checksum || decode_body(body).is_none() {
            break;
        }
        segment.bodies.push((at + 8, at + 8 + length));
        at += 8 + length;
    }
    segment.whole_bytes = at;
    Ok(segment)
}

fn decode_body(body: &[u8]) -> Option<Frame<'_>> {
    let (head, payload) = body.split_at_checked(BODY_HEAD_BYTES)?;
    Some(Frame {
        kind: match head[0] {
            1 => FrameKind::Batch,
            2 => FrameKind::Rejection,
            _ => return None,
        },
        agent: AgentUuid(array(&head[1..17])),
        agent_id: u16::from_le_bytes(array(&head[17..19])),
        signal: Signal::from_id(head[19])?,
        sequence: u64::from_le_bytes(array(&head[20..28])),
        table_id: u16::from_le_bytes(array(&head[28..30])),
        rows: u32::from_le_bytes(array(&head[30..34])),
        payload,
    })
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}
