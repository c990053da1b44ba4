//! Reads the directions of a conversation whose protocol is known, frame by frame.
//!
//! In: pieces in the order of their stream. Out: frames for the protocol, straight from the piece
//! where a frame starts and ends in it. Bytes nobody wants are passed over whether they were
//! captured or not; after bytes that are missing or make no sense, reading goes on where a frame
//! plausibly starts. Never: bytes held beyond the limits, a step that uses up nothing.

use std::collections::VecDeque;

use schema::L7Protocol;

use crate::protocol::{Input, Parser, Step};
use crate::record::Output;
use crate::segment::{ConversationContext, Direction, Transport};
use crate::session::{Pairing, SessionTable};
use crate::shared::Shared;
use crate::stream::{Mark, Piece};

/// A conversation whose protocol is known.
#[derive(Debug)]
pub(crate) struct Speaking {
    parser: Parser,
    readers: [Reader; 2],
    table: SessionTable,
    /// Each piece is a message by itself.
    datagrams: bool,
    is_tls: bool,
    server_port: u16,
    /// Losses since the last frame.
    losses: u32,
    /// Whether any frame was read.
    proven: bool,
}

/// What a call may use beside the conversation.
pub(crate) struct Scope<'a> {
    pub shared: &'a mut Shared,
    pub out: &'a mut Output,
}

/// What a conversation does after a piece was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    GoOn,
    GiveUp,
    /// Another protocol is spoken from here on: in the last `unread` bytes of the piece, and in
    /// what follows.
    Handover {
        unread: usize,
    },
}

/// Unread bytes of one direction, from the start of a frame.
#[derive(Debug, Default)]
struct Reader {
    buffer: Vec<u8>,
    /// Where the pieces in `buffer` start; the first is at 0.
    marks: VecDeque<(usize, Mark)>,
    /// The frame at the front is not complete before `buffer` has this length.
    need: usize,
    /// Bytes to pass over.
    skip: u64,
    /// What comes next is not known to be the start of a frame.
    lost: bool,
}

/// Bytes about to be read.
struct Run<'a> {
    direction: Direction,
    bytes: &'a [u8],
    marks: &'a VecDeque<(usize, Mark)>,
    cut: bool,
}

/// Losses without a frame between them after which a conversation is given up.
const LOSSES_MAX: u32 = 32;

/// The same before the first frame: the protocol was guessed wrong.
const UNPROVEN_LOSSES_MAX: u32 = 3;

impl Speaking {
    pub fn new(parser: Parser, context: &ConversationContext) -> Self {
        Self {
            parser,
            readers: Default::default(),
            table: SessionTable::default(),
            datagrams: context.transport == Transport::Udp,
            is_tls: context.is_tls,
            server_port: context.server_port,
            losses: 0,
            proven: false,
        }
    }

    pub fn protocol(&self) -> L7Protocol {
        self.parser.id()
    }

    /// Sessions that wait.
    pub fn sessions(&self) -> usize {
        self.table.len()
    }

    /// Bytes that the reader of a direction would pass over.
    pub fn skippable(&self, direction: Direction) -> u64 {
        self.readers[direction.index()].skip
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        let readers: usize = self.readers.iter().map(|reader| reader.buffer.capacity()).sum();
        readers + self.parser.held_bytes()
    }

    /// Reads the next piece of a direction.
    pub fn read(
        &mut self,
        scope: &mut Scope<'_>,
        direction: Direction,
        piece: &Piece<'_>,
    ) -> After {
        if piece.gap_bytes > 0 {
            self.pass_gap(scope, direction, piece.gap_bytes, piece.mark);
        }
        let reader = &mut self.readers[direction.index()];
        let passed = reader.skip.min(piece.bytes.len() as u64);
        if reader.skip != u64::MAX {
            reader.skip -= passed;
        }
        let bytes = &piece.bytes[passed as usize..];
        let cut = piece.cut_bytes > 0;
        if !bytes.is_empty() {
            if reader.lost && !self.parser.resync(direction, bytes) {
                scope.shared.drops().gap_bytes += bytes.len() as u64;
            } else {
                reader.lost = false;
                let mark = piece.mark.advanced(passed);
                let after = self.read_bytes(scope, direction, bytes, mark, cut);
                if after != After::GoOn {
                    return after;
                }
            }
        }
        if self.datagrams {
            self.readers[direction.index()] = Reader::default();
        } else if cut {
            self.pass_gap(scope, direction, piece.cut_bytes, piece.mark);
        }
        // Nothing of either direction is of interest any more.
        match self.table.len() == 0 && self.readers.iter().all(|side| side.skip == u64::MAX) {
            true => After::GiveUp,
            false => After::GoOn,
        }
    }

    /// Ends requests that waited too long.
    pub fn expire(&mut self, scope: &mut Scope<'_>, now_ns: u64) {
        let mark = Mark { time_ns: now_ns, ..Mark::default() };
        let (parser, mut pairing) = self.pairing(scope, mark);
        parser.expire(now_ns, &mut pairing);
        pairing.expire(now_ns);
    }

    /// Ends everything.
    pub fn close(&mut self, scope: &mut Scope<'_>, now_ns: u64) {
        for direction in [Direction::ClientToServer, Direction::ServerToClient] {
            self.read_rest(scope, direction);
        }
        let mark = Mark { time_ns: now_ns, ..Mark::default() };
        let (parser, mut pairing) = self.pairing(scope, mark);
        parser.close(&mut pairing);
        pairing.flush(now_ns);
    }

    fn read_bytes(
        &mut self,
        scope: &mut Scope<'_>,
        direction: Direction,
        bytes: &[u8],
        mark: Mark,
        cut: bool,
    ) -> After {
        let side = direction.index();
        let reader = &mut self.readers[side];
        if !reader.buffer.is_empty() {
            reader.marks.push_back((reader.buffer.len(), mark));
            reader.buffer.extend_from_slice(bytes);
            if reader.buffer.len() < reader.need && !cut && !scope.shared.over_budget() {
                return After::GoOn;
            }
            let buffer = std::mem::take(&mut reader.buffer);
            let marks = std::mem::take(&mut reader.marks);
            let run = Run { direction, bytes: &buffer, marks: &marks, cut };
            let (used, after) = self.steps(scope, &run);
            let reader = &mut self.readers[side];
            reader.buffer = buffer;
            reader.marks = marks;
            reader.advance(used);
            return after;
        }
        // The usual case: frames are read where they lie. The list of marks is lent to the run.
        let mut marks = std::mem::take(&mut reader.marks);
        marks.clear();
        marks.push_back((0, mark));
        let (used, after) = self.steps(scope, &Run { direction, bytes, marks: &marks, cut });
        let reader = &mut self.readers[side];
        reader.marks = marks;
        reader.marks.clear();
        let rest = &bytes[used..];
        if !rest.is_empty() {
            reader.buffer.extend_from_slice(rest);
            reader.marks.push_back((0, mark.advanced(used as u64)));
        }
        after
    }

    /// Reads frames from the front of a run; returns how many bytes were used up.
    fn steps(&mut self, scope: &mut Scope<'_>, run: &Run<'_>) -> (usize, After) {
        let side = run.direction.index();
        let mut at = 0;
        self.readers[side].need = 0;
        while at < run.bytes.len() {
            let input = Input {
                bytes: &run.bytes[at..],
                cut: run.cut,
                datagram: self.datagrams,
                text_bytes: scope.shared.config().limits.text_bytes,
            };
            let (parser, mut pairing) = self.pairing(scope, mark_at(run.marks, at));
            let step = parser.step(run.direction, input, &mut pairing);
            if pairing.handover {
                self.end_early(scope, mark_at(run.marks, at).time_ns);
                let left = run.bytes.len() - at;
                let unread = match step {
                    Step::Frame { used, .. } => left - used.min(left as u64) as usize,
                    _ => 0,
                };
                return (run.bytes.len(), After::Handover { unread });
            }
            if let Some(parser) = pairing.successor.take().and_then(Parser::new) {
                self.parser = parser;
                self.readers[1 - side] = Reader::default();
            }
            let used = match step {
                Step::Frame { used, .. } | Step::Skip(used) if used > 0 => used,
                Step::Need(need) if self.may_wait(scope, run, need, at) => {
                    self.readers[side].need = need;
                    return (at, After::GoOn);
                }
                _ => {
                    at = self.recover(scope, run, at);
                    if self.losses > LOSSES_MAX || !self.proven && self.losses > UNPROVEN_LOSSES_MAX
                    {
                        let last = run.bytes.len();
                        self.end_early(scope, mark_at(run.marks, last).time_ns);
                        return (last, After::GiveUp);
                    }
                    continue;
                }
            };
            if matches!(step, Step::Frame { .. }) {
                self.losses = 0;
                self.proven = true;
            }
            let inside = used.min((run.bytes.len() - at) as u64);
            at += inside as usize;
            self.readers[side].skip = if used == u64::MAX { used } else { used - inside };
        }
        (at, After::GoOn)
    }

    /// Ends everything before the conversation does: what follows is not read by this protocol.
    fn end_early(&mut self, scope: &mut Scope<'_>, now_ns: u64) {
        self.readers = Default::default();
        self.close(scope, now_ns);
    }

    /// Whether a direction may hold bytes until there are `need`.
    fn may_wait(&self, scope: &mut Scope<'_>, run: &Run<'_>, need: usize, at: usize) -> bool {
        let have = run.bytes.len() - at;
        if run.cut || self.datagrams || need <= have {
            return false;
        }
        let bound = scope.shared.config().limits.stream_bytes;
        let granted = need <= bound && !scope.shared.over_budget();
        if !granted {
            scope.shared.drops().full_bytes += have as u64;
        }
        granted
    }

    /// After bytes at `at` that make no sense: where the next piece starts that does.
    fn recover(&mut self, scope: &mut Scope<'_>, run: &Run<'_>, at: usize) -> usize {
        self.losses += 1;
        self.tell_lost(scope, run.direction, mark_at(run.marks, at));
        let found =
            run.marks.iter().map(|(start, _)| *start).find(|start| {
                *start > at && self.parser.resync(run.direction, &run.bytes[*start..])
            });
        let next = found.unwrap_or(run.bytes.len());
        self.readers[run.direction.index()].lost = found.is_none();
        scope.shared.drops().gap_bytes += (next - at) as u64;
        next
    }

    /// What is held of a direction is all that will be seen of its frame.
    fn read_rest(&mut self, scope: &mut Scope<'_>, direction: Direction) {
        let reader = &mut self.readers[direction.index()];
        let buffer = std::mem::take(&mut reader.buffer);
        let marks = std::mem::take(&mut reader.marks);
        if !buffer.is_empty() {
            let run = Run { direction, bytes: &buffer, marks: &marks, cut: true };
            self.steps(scope, &run);
        }
    }

    /// Bytes were never seen, or were cut off.
    fn pass_gap(
        &mut self,
        scope: &mut Scope<'_>,
        direction: Direction,
        gap_bytes: u64,
        mark: Mark,
    ) {
        self.read_rest(scope, direction);
        let reader = &mut self.readers[direction.index()];
        if reader.skip >= gap_bytes {
            if reader.skip != u64::MAX {
                reader.skip -= gap_bytes;
            }
            return;
        }
        let unseen_bytes = gap_bytes - reader.skip;
        if !reader.lost && self.passes_gap(scope, direction, unseen_bytes, mark) {
            self.readers[direction.index()].skip = 0;
            return;
        }
        let reader = &mut self.readers[direction.index()];
        scope.shared.drops().gap_bytes += unseen_bytes;
        *reader = Reader { lost: true, ..Reader::default() };
        self.tell_lost(scope, direction, mark);
    }

    fn passes_gap(
        &mut self,
        scope: &mut Scope<'_>,
        direction: Direction,
        bytes: u64,
        mark: Mark,
    ) -> bool {
        let (parser, mut pairing) = self.pairing(scope, mark);
        parser.pass_gap(direction, bytes, &mut pairing)
    }

    fn tell_lost(&mut self, scope: &mut Scope<'_>, direction: Direction, mark: Mark) {
        let (parser, mut pairing) = self.pairing(scope, mark);
        parser.lost(direction, &mut pairing);
        if direction == Direction::ServerToClient {
            pairing.doubt();
        }
    }

    fn pairing<'a>(
        &'a mut self,
        scope: &'a mut Scope<'_>,
        mark: Mark,
    ) -> (&'a mut Parser, Pairing<'a>) {
        let sessions_elsewhere = scope.shared.sessions().saturating_sub(self.table.len());
        let has_room = !scope.shared.over_budget();
        let (config, drops) = scope.shared.split();
        let pairing = Pairing {
            table: &mut self.table,
            output: scope.out,
            config,
            drops,
            sessions_elsewhere,
            protocol: self.parser.id(),
            is_tls: self.is_tls,
            has_room,
            server_port: self.server_port,
            mark,
            captured_bytes: 0,
            pass_over: 0,
            handover: false,
            successor: None,
        };
        (&mut self.parser, pairing)
    }
}

impl Reader {
    /// Takes `used` bytes off the front.
    fn advance(&mut self, used: usize) {
        // Most often so where a message comes in many small pieces: no look at all their marks.
        if used == 0 {
            return;
        }
        if used >= self.buffer.len() {
            self.buffer.clear();
            self.buffer.shrink_to(4096);
            self.marks.clear();
            return;
        }
        self.buffer.drain(..used);
        while self.marks.get(1).is_some_and(|(start, _)| *start <= used) {
            self.marks.pop_front();
        }
        for (start, mark) in &mut self.marks {
            let passed = used.saturating_sub(*start);
            *mark = mark.advanced(passed as u64);
            *start = start.saturating_sub(used);
        }
    }
}

/// The mark of the byte at `at`.
fn mark_at(marks: &VecDeque<(usize, Mark)>, at: usize) -> Mark {
    let after = marks.partition_point(|(start, _)| *start <= at);
    match marks.get(after.saturating_sub(1)) {
        Some((start, mark)) => mark.advanced(at.saturating_sub(*start) as u64),
        None => Mark::default(),
    }
}
