//! Finds out which protocol a conversation speaks.
//!
//! In: the first pieces of both directions. Out: a protocol, and whether client and server are
//! the other way round; or that it is none of ours. A probe that is certain decides; one that is
//! merely possible decides when the other direction agrees, or when the same server spoke that
//! protocol before. Never: ports as evidence.

use schema::L7Protocol;

use crate::custom::Custom;
use crate::protocol::{PARSED_PROTOCOLS, Parser, Probe, ProbeContext};
use crate::segment::{ConversationContext, Direction, Transport};
use crate::shared::Shared;
use crate::stream::{Ahead, Piece};

/// A conversation whose protocol is not known yet.
#[derive(Debug, Default)]
pub(crate) struct Undecided {
    held: Vec<(Direction, Ahead)>,
    /// The first bytes of each direction without a gap.
    first: [Vec<u8>; 2],
    /// Something was cut off after those.
    cut: [bool; 2],
    failed: u32,
}

/// What came of looking at a piece.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Not decided yet.
    Wait,
    /// It speaks this.
    Speaks {
        /// Ready to read what was held.
        parser: Box<Parser>,
        /// Client and server are the other way round.
        reversed: bool,
    },
    /// None of ours.
    GiveUp,
    /// Its server speaks none of ours.
    LeaveAlone,
}

/// First bytes of a direction that are looked at.
const FIRST_BYTES: usize = 2048;

/// Bytes held while undecided.
const HELD_BYTES: usize = 64 << 10;

/// Pieces held while undecided.
const HELD_PIECES: usize = 64;

impl Undecided {
    /// Looks at one more piece.
    pub fn consider(
        &mut self,
        shared: &mut Shared,
        context: &ConversationContext,
        direction: Direction,
        piece: &Piece<'_>,
    ) -> Verdict {
        if shared.is_given_up(context.server_key, piece.mark.time_ns) {
            return Verdict::LeaveAlone;
        }
        if piece.bytes.is_empty() {
            return Verdict::Wait;
        }
        if piece.gap_bytes > 0 {
            self.forget(direction);
        }
        self.hold(direction, piece);
        match self.ask(shared, context, direction) {
            Answer::Speaks(candidate, reversed) => {
                // When the ends are the other way round the key is not the server's.
                if !reversed {
                    shared.learn(context.server_key, candidate.protocol());
                }
                match candidate.parser(shared, context, reversed) {
                    Some(parser) => Verdict::Speaks { parser: Box::new(parser), reversed },
                    None => Verdict::GiveUp,
                }
            }
            Answer::Perhaps if self.has_room() => Verdict::Wait,
            _ => {
                self.forget(direction);
                self.failed += 1;
                match self.failed < shared.config().inference.segments {
                    true => Verdict::Wait,
                    false => Verdict::GiveUp,
                }
            }
        }
    }

    /// Segments in which nothing was recognised.
    pub fn segments_failed(&self) -> u32 {
        self.failed
    }

    /// Everything held, in the order of arrival.
    pub fn into_pieces(self) -> Vec<(Direction, Ahead)> {
        self.held
    }

    /// Takes back what is held of one direction, to be put in order again.
    pub fn give_back(&mut self, direction: Direction) -> Vec<Ahead> {
        self.first[direction.index()].clear();
        self.cut[direction.index()] = false;
        let (taken, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.held).into_iter().partition(|(side, _)| *side == direction);
        self.held = kept;
        taken.into_iter().map(|(_, ahead)| ahead).collect()
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.held.iter().map(|(_, ahead)| ahead.piece().bytes.len()).sum::<usize>()
            + self.first.iter().map(Vec::len).sum::<usize>()
    }

    fn hold(&mut self, direction: Direction, piece: &Piece<'_>) {
        let seq = piece.mark.seq.unwrap_or(0);
        let held = Ahead::new(seq, piece.bytes.to_vec(), piece.cut_bytes, piece.mark);
        self.held.push((direction, held));
        if self.cut[direction.index()] {
            return;
        }
        let first = &mut self.first[direction.index()];
        let room = FIRST_BYTES.saturating_sub(first.len());
        first.extend_from_slice(&piece.bytes[..piece.bytes.len().min(room)]);
        self.cut[direction.index()] = piece.cut_bytes > 0;
    }

    fn forget(&mut self, direction: Direction) {
        self.first[direction.index()].clear();
        self.cut[direction.index()] = false;
        self.held.retain(|(side, _)| *side != direction);
    }

    fn has_room(&self) -> bool {
        self.held.len() < HELD_PIECES && self.held_bytes() < HELD_BYTES
    }

    /// Asks the server's known protocol first, then plug-ins, then the others in the order of
    /// registration.
    fn ask(&self, shared: &Shared, context: &ConversationContext, direction: Direction) -> Answer {
        let known = shared.protocol_of(context.server_key);
        let enabled = shared.config().protocols;
        let plugins = match enabled.contains(L7Protocol::Custom) {
            true => shared.plugins().len(),
            false => 0,
        };
        let others = PARSED_PROTOCOLS.iter().copied().filter(|protocol| Some(*protocol) != known);
        let first = known.into_iter().filter(|known| *known != L7Protocol::Custom);
        let order = first
            .map(Candidate::BuiltIn)
            .chain((0..plugins).map(Candidate::Plugin))
            .chain(others.map(Candidate::BuiltIn));
        let mut perhaps = false;
        let is_asked = |candidate: &Candidate| {
            enabled.contains(candidate.protocol()) && candidate.is_over(context.transport)
        };
        for candidate in order.filter(is_asked) {
            let is_known = Some(candidate.protocol()) == known;
            match self.ask_one(shared, context, candidate, direction, is_known) {
                Answer::No => {}
                Answer::Perhaps => perhaps = true,
                answer => return answer,
            }
        }
        if perhaps { Answer::Perhaps } else { Answer::No }
    }

    fn ask_one(
        &self,
        shared: &Shared,
        context: &ConversationContext,
        candidate: Candidate,
        direction: Direction,
        is_known: bool,
    ) -> Answer {
        let mut perhaps = false;
        for reversed in [false, true] {
            if reversed && context.direction_known {
                break;
            }
            let side = |direction: Direction| {
                let as_if = if reversed { direction.opposite() } else { direction };
                let server_port = if reversed { context.client_port } else { context.server_port };
                let first = &self.first[direction.index()];
                let cut = self.cut[direction.index()];
                let transport = context.transport;
                let context = ProbeContext { direction: as_if, transport, server_port, cut };
                match first.is_empty() {
                    true => Probe::Short,
                    false => candidate.probe(shared, first, &context),
                }
            };
            match (side(direction), side(direction.opposite())) {
                (Probe::Certain, other) if other != Probe::No => {
                    return Answer::Speaks(candidate, reversed);
                }
                // The other direction was not recognised so far: it began in the middle.
                (Probe::Certain, Probe::No) => return Answer::Speaks(candidate, reversed),
                (Probe::Possible, Probe::Possible | Probe::Certain) => {
                    return Answer::Speaks(candidate, reversed);
                }
                (Probe::Possible, Probe::Short) if is_known && !reversed => {
                    return Answer::Speaks(candidate, reversed);
                }
                (Probe::Possible | Probe::Short, other) if other != Probe::No => perhaps = true,
                _ => {}
            }
        }
        if perhaps { Answer::Perhaps } else { Answer::No }
    }
}

/// What may be spoken.
#[derive(Clone, Copy, Debug)]
enum Candidate {
    BuiltIn(L7Protocol),
    /// The protocol of a plug-in, by its place.
    Plugin(usize),
}

impl Candidate {
    fn protocol(self) -> L7Protocol {
        match self {
            Self::BuiltIn(protocol) => protocol,
            Self::Plugin(_) => L7Protocol::Custom,
        }
    }

    /// Whether it is looked for in what a transport carries.
    fn is_over(self, transport: Transport) -> bool {
        match self {
            Self::BuiltIn(protocol) => Parser::is_over(protocol, transport),
            Self::Plugin(_) => true,
        }
    }

    fn probe(self, shared: &Shared, first: &[u8], context: &ProbeContext) -> Probe {
        match self {
            Self::BuiltIn(protocol) => Parser::probe(protocol, first, context),
            Self::Plugin(place) => {
                shared.plugins().get(place).map_or(Probe::No, |plugin| plugin.probe(first, context))
            }
        }
    }

    fn parser(
        self,
        shared: &Shared,
        context: &ConversationContext,
        reversed: bool,
    ) -> Option<Parser> {
        match self {
            Self::BuiltIn(protocol) => Parser::new(protocol),
            Self::Plugin(place) => {
                let port = if reversed { context.client_port } else { context.server_port };
                let plugin = shared.plugins().get(place)?;
                Some(Parser::Custom(Custom::of(plugin, context.transport, port)))
            }
        }
    }
}

enum Answer {
    /// This one; the flag: client and server are the other way round.
    Speaks(Candidate, bool),
    /// Some may be right, but the bytes so far do not tell.
    Perhaps,
    No,
}

#[cfg(test)]
mod tests;
