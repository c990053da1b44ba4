//! One conversation: the bytes of a flow or socket on their way to records.
//!
//! In: segments of both directions. Out: records and stats. Until the protocol is known, pieces
//! are held for `infer`; then each direction is read frame by frame, straight from the segment
//! where a frame ends with it. Never: more memory than the limits, a loop that a byte can hold up.

use schema::L7Protocol;

use crate::infer::{Undecided, Verdict};
use crate::protocol::Parser;
use crate::reading::{After, Scope, Speaking};
use crate::record::Output;
use crate::segment::{ConversationContext, Direction, Segment, Transport};
use crate::shared::Shared;
use crate::stream::{Mark, Piece, Placed, Stream};

/// One TCP connection, UDP flow or socket.
#[derive(Debug)]
pub struct Conversation {
    context: ConversationContext,
    streams: [Stream; 2],
    state: State,
    /// How often another protocol began.
    handovers: u8,
    accounted_bytes: usize,
    accounted_sessions: usize,
}

#[derive(Debug)]
enum State {
    Undecided(Box<Undecided>),
    Speaking(Box<Speaking>),
    /// Given up, or encrypted from here on.
    Opaque,
}

/// Protocols that may follow each other: a proxy's tunnel, TLS in it, what is in that.
const HANDOVERS_MAX: u8 = 4;

impl Conversation {
    /// Nothing seen yet.
    pub fn new(context: ConversationContext) -> Self {
        Self {
            context,
            streams: Default::default(),
            state: State::Undecided(Box::default()),
            handovers: 0,
            accounted_bytes: 0,
            accounted_sessions: 0,
        }
    }

    /// Nothing seen yet, but what carries it says what it speaks: nothing is inferred. Without a
    /// reader for `protocol`, or where it is not enabled, what comes is passed over.
    pub fn of(context: ConversationContext, protocol: L7Protocol, shared: &Shared) -> Self {
        let parser = match shared.config().protocols.contains(protocol) {
            true => Parser::new(protocol),
            false => None,
        };
        let state = match parser {
            Some(parser) => State::Speaking(Box::new(Speaking::new(parser, &context))),
            None => State::Opaque,
        };
        Self { state, ..Self::new(context) }
    }

    /// Takes one segment and puts what it completes into `out`. SYN segments without payload are
    /// welcome: they tell where the stream starts.
    pub fn on_segment(&mut self, shared: &mut Shared, segment: &Segment<'_>, out: &mut Output) {
        if matches!(self.state, State::Opaque) {
            return;
        }
        if self.context.transport == Transport::Udp {
            self.on_datagram(shared, segment, out);
        } else {
            self.on_stream_segment(shared, segment, out);
        }
        self.account(shared);
    }

    /// Ends the conversation: everything that waits becomes a record. Must be called before it
    /// is dropped, or `shared` counts its memory for ever.
    pub fn on_close(&mut self, shared: &mut Shared, time_ns: u64, out: &mut Output) {
        for direction in [Direction::ClientToServer, Direction::ServerToClient] {
            self.take_kept(shared, direction, u64::MAX, out);
        }
        if let State::Undecided(undecided) = &self.state
            && undecided.segments_failed() > 0
        {
            shared.count_failure(self.context.server_key, time_ns);
        }
        if let State::Speaking(speaking) = &mut self.state {
            speaking.close(&mut Scope { shared, out }, time_ns);
        }
        self.state = State::Opaque;
        self.streams = Default::default();
        self.account(shared);
    }

    /// Gives up what waited too long. To be called about once a second while [`Self::pending`]
    /// is not 0.
    pub fn expire(&mut self, shared: &mut Shared, now_ns: u64, out: &mut Output) {
        let give_up_ns = now_ns.saturating_sub(shared.config().windows.gap_ns);
        for direction in [Direction::ClientToServer, Direction::ServerToClient] {
            self.take_kept(shared, direction, give_up_ns, out);
        }
        if let State::Speaking(speaking) = &mut self.state {
            speaking.expire(&mut Scope { shared, out }, now_ns);
        }
        self.account(shared);
    }

    /// Sessions and segments that wait for something; 0 = `expire` has nothing to do.
    pub fn pending(&self) -> usize {
        let kept: usize = self.streams.iter().map(Stream::kept_segments).sum();
        match &self.state {
            State::Speaking(speaking) => kept + speaking.sessions(),
            _ => kept,
        }
    }

    /// The protocol, once it is known.
    pub fn protocol(&self) -> Option<L7Protocol> {
        match &self.state {
            State::Speaking(speaking) => Some(speaking.protocol()),
            _ => None,
        }
    }

    fn on_datagram(&mut self, shared: &mut Shared, segment: &Segment<'_>, out: &mut Output) {
        let mark = Mark { time_ns: segment.time_ns, seq: None, origin: segment.origin };
        let wire_bytes = u64::from(segment.wire_bytes).max(segment.payload.len() as u64);
        let cut_bytes = wire_bytes - segment.payload.len() as u64;
        let piece = Piece { gap_bytes: 0, bytes: segment.payload, cut_bytes, mark };
        if piece.bytes.is_empty() {
            return;
        }
        self.deliver(shared, segment.direction, &piece, out);
    }

    fn on_stream_segment(&mut self, shared: &mut Shared, segment: &Segment<'_>, out: &mut Output) {
        let direction = segment.direction;
        if let (State::Undecided(undecided), Some(seq)) = (&mut self.state, segment.seq)
            && !segment.payload.is_empty()
            && self.streams[direction.index()].is_before_first(seq)
        {
            let taken = undecided.give_back(direction);
            self.streams[direction.index()].rewind(seq, taken.into_iter());
        }
        let skippable = self.skippable(direction);
        match self.streams[direction.index()].place(segment, skippable) {
            Placed::Next(piece) => self.deliver(shared, direction, &piece, out),
            Placed::Kept | Placed::Old => {}
        }
        let give_up_ns = segment.time_ns.saturating_sub(shared.config().windows.gap_ns);
        self.take_kept(shared, direction, give_up_ns, out);
    }

    /// Reads kept segments whose turn has come.
    fn take_kept(
        &mut self,
        shared: &mut Shared,
        direction: Direction,
        give_up_ns: u64,
        out: &mut Output,
    ) {
        let bound = match shared.over_budget() {
            true => 0,
            false => shared.config().limits.stream_bytes,
        };
        loop {
            let skippable = self.skippable(direction);
            let stream = &mut self.streams[direction.index()];
            let Some(kept) = stream.next_kept(skippable, give_up_ns, bound) else { return };
            self.deliver(shared, direction, &kept.piece(), out);
        }
    }

    /// Bytes of a direction that its reader would pass over.
    fn skippable(&self, direction: Direction) -> u64 {
        match &self.state {
            State::Speaking(speaking) => speaking.skippable(direction),
            State::Undecided(_) => 0,
            State::Opaque => u64::MAX,
        }
    }

    /// Takes the next piece of a direction.
    fn deliver(
        &mut self,
        shared: &mut Shared,
        direction: Direction,
        piece: &Piece<'_>,
        out: &mut Output,
    ) {
        match &mut self.state {
            State::Opaque => {}
            State::Speaking(speaking) => {
                match speaking.read(&mut Scope { shared, out }, direction, piece) {
                    After::GoOn => {}
                    After::GiveUp => self.state = State::Opaque,
                    After::Handover { .. } if self.handovers >= HANDOVERS_MAX => {
                        self.state = State::Opaque;
                    }
                    After::Handover { unread } => {
                        self.handovers += 1;
                        self.state = State::Undecided(Box::default());
                        self.deliver_rest(shared, direction, piece, unread, out);
                    }
                }
            }
            State::Undecided(undecided) => {
                match undecided.consider(shared, &self.context, direction, piece) {
                    Verdict::Wait => {}
                    Verdict::LeaveAlone => self.state = State::Opaque,
                    Verdict::GiveUp => {
                        shared.count_failure(self.context.server_key, piece.mark.time_ns);
                        self.state = State::Opaque;
                    }
                    Verdict::Speaks { parser, reversed } => {
                        self.start(shared, *parser, reversed, out);
                    }
                }
            }
        }
    }

    /// The protocol was found: reads what was held.
    fn start(&mut self, shared: &mut Shared, parser: Parser, reversed: bool, out: &mut Output) {
        self.context.direction_known = true;
        if reversed {
            self.streams.swap(0, 1);
            let context = &mut self.context;
            std::mem::swap(&mut context.client_port, &mut context.server_port);
            out.reversed = true;
        }
        let speaking = Box::new(Speaking::new(parser, &self.context));
        let before = std::mem::replace(&mut self.state, State::Speaking(speaking));
        let State::Undecided(undecided) = before else { return };
        for (direction, held) in undecided.into_pieces() {
            let direction = if reversed { direction.opposite() } else { direction };
            self.deliver(shared, direction, &held.piece(), out);
        }
    }

    /// The end of a piece, of which the last `unread` bytes belong to another protocol.
    fn deliver_rest(
        &mut self,
        shared: &mut Shared,
        direction: Direction,
        piece: &Piece<'_>,
        unread: usize,
        out: &mut Output,
    ) {
        let start = piece.bytes.len().saturating_sub(unread);
        if unread > 0 {
            let mark = piece.mark.advanced(start as u64);
            let rest = Piece { gap_bytes: 0, bytes: &piece.bytes[start..], mark, ..*piece };
            self.deliver(shared, direction, &rest, out);
        }
    }

    /// Tells `shared` what this conversation holds now.
    fn account(&mut self, shared: &mut Shared) {
        let kept: usize = self.streams.iter().map(Stream::kept_bytes).sum();
        let (bytes, sessions) = match &self.state {
            State::Opaque => (0, 0),
            State::Undecided(undecided) => (undecided.held_bytes(), 0),
            State::Speaking(speaking) => (speaking.held_bytes(), speaking.sessions()),
        };
        shared.rebalance_bytes(self.accounted_bytes, kept + bytes);
        shared.rebalance_sessions(self.accounted_sessions, sessions);
        self.accounted_bytes = kept + bytes;
        self.accounted_sessions = sessions;
    }
}

#[cfg(test)]
mod tests;
