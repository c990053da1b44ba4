//! Conversations of application protocols.
//!
//! In: a script of segments. Properties: no memory is left or above the bounds, requests and
//! responses that were counted are those that were recorded, times and texts are within bounds,
//! two runs are equal.
//!
//! ```text
//! input := [setup: u8] piece*
//! piece := [what: u8][length: u16 le][payload: length]
//! what  := [direction: 1 bit][manner: 3 bit][time: 2 bit][after: 2 bit], lowest first
//! ```

use l7::{
    Config, Conversation, ConversationContext, Direction, LimitConfig, Origin, Output, ProtocolSet,
    Record, Segment, Shared, Stat, StatKind, Transport,
};
use schema::{Drop, L7Protocol, RecordType, SignalSource};

use crate::input::Input;

/// Bits of `setup`.
pub(crate) mod setup {
    /// Datagrams instead of a stream.
    pub const UDP: u8 = 1;
    /// The beginning was not seen.
    pub const MIDDLE: u8 = 2;
    /// Who is the client is a guess.
    pub const GUESSED: u8 = 4;
    /// Small bounds of memory and text.
    pub const SMALL: u8 = 8;
    /// System calls: no sequence numbers.
    pub const CALLS: u8 = 16;
    /// Encrypted on the wire.
    pub const TLS: u8 = 32;
    /// The server's port is one that protocols are known by.
    pub const PORT: u8 = 64;
}

/// How a piece arrives (`what >> 1 & 7`).
pub(crate) mod manner {
    /// At once.
    pub const WHOLE: u8 = 0;
    /// Byte by byte.
    pub const BYTES: u8 = 1;
    /// In pieces of seven bytes.
    pub const SEVENS: u8 = 2;
    /// A thousand bytes more were on the wire.
    pub const CUT: u8 = 3;
    /// A hundred bytes before it were never seen.
    pub const GAP: u8 = 4;
    /// Twice.
    pub const TWICE: u8 = 5;
    /// After the next one.
    pub const LATE: u8 = 6;
    /// It is the last of its direction.
    pub const LAST: u8 = 7;
}

/// What passes before a piece (`what >> 4 & 3`). unit ns
const STEPS_NS: [u64; 4] = [1_000, 1_000_000, 300_000_000, 3_000_000_000];
const START_NS: u64 = 1_700_000_000_000_000_000;
/// Longer than any request waits. unit ns
const LONG_NS: u64 = 400_000_000_000;
/// What a conversation may hold beyond its bounds: a piece, a segment's book-keeping, a parser.
const SLACK_BYTES: usize = 256 << 10;

/// Everything that came out.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    records: Vec<Record>,
    stats: Vec<Stat>,
    drops: Vec<(Drop, u64)>,
}

/// A conversation in progress.
struct Talk<'a> {
    setup: u8,
    shared: Shared,
    conversation: Conversation,
    output: Output,
    outcome: Outcome,
    time_ns: u64,
    seqs: [u32; 2],
    /// The other way round than the script says.
    reversed: bool,
    late: Option<Part<'a>>,
}

/// One segment to be.
#[derive(Clone, Copy)]
struct Part<'a> {
    side: usize,
    seq: u32,
    payload: &'a [u8],
    wire_bytes: u32,
    fin: bool,
}

/// Reads a script and has it spoken twice.
pub(crate) fn run(protocol: Option<L7Protocol>, data: &[u8]) {
    let outcome = speak(protocol, data);
    check(&outcome, data.len());
    assert_eq!(outcome, speak(protocol, data), "two runs");
}

/// Whether anything is recorded of a script.
pub(crate) fn reads_something(protocol: Option<L7Protocol>, data: &[u8]) -> bool {
    !speak(protocol, data).records.is_empty()
}

fn speak(protocol: Option<L7Protocol>, data: &[u8]) -> Outcome {
    let mut input = Input(data);
    let mut talk = Talk::new(protocol, input.u8());
    while !input.is_empty() {
        let what = input.u8();
        let len = input.u16();
        talk.piece(what, input.take(len.into()));
    }
    talk.end()
}

impl<'a> Talk<'a> {
    fn new(protocol: Option<L7Protocol>, setup: u8) -> Self {
        let is = |bit: u8| setup & bit != 0;
        let config = config(protocol, is(setup::SMALL));
        let context = ConversationContext {
            transport: if is(setup::UDP) { Transport::Udp } else { Transport::Tcp },
            client_port: 40_000,
            server_port: if is(setup::PORT) { 80 } else { 30_303 },
            server_key: 7,
            signal_source: match is(setup::CALLS) {
                true => SignalSource::Ebpf,
                false => SignalSource::Packet,
            },
            direction_known: !is(setup::GUESSED),
            is_tls: is(setup::TLS),
        };
        let mut talk = Self {
            setup,
            shared: Shared::new(config),
            conversation: Conversation::new(context),
            output: Output::default(),
            outcome: Outcome::default(),
            time_ns: START_NS,
            // The client's sequence numbers wrap round soon.
            seqs: [u32::MAX - 2000, 77],
            reversed: false,
            late: None,
        };
        if setup & (setup::UDP | setup::MIDDLE | setup::CALLS) == 0 {
            for side in 0..2 {
                let seq = talk.seqs[side].wrapping_sub(1);
                let syn = Part { side, seq, payload: &[], wire_bytes: 0, fin: false };
                talk.segment(&syn, true);
            }
        }
        talk
    }

    fn piece(&mut self, what: u8, payload: &'a [u8]) {
        let side = usize::from(what & 1);
        let manner = what >> 1 & 7;
        self.time_ns += STEPS_NS[usize::from(what >> 4 & 3)];
        if manner == manner::GAP {
            self.seqs[side] = self.seqs[side].wrapping_add(100);
        }
        let cut_bytes = if manner == manner::CUT { 1000 } else { 0 };
        let wire_bytes = payload.len() as u32 + cut_bytes;
        let fin = manner == manner::LAST;
        let part = Part { side, seq: self.seqs[side], payload, wire_bytes, fin };
        self.seqs[side] = self.seqs[side].wrapping_add(wire_bytes);
        if manner == manner::LATE && self.late.is_none() {
            self.late = Some(part);
            return;
        }
        match manner {
            manner::BYTES => self.pieces(part, 1),
            manner::SEVENS => self.pieces(part, 7),
            manner::TWICE => (0..2).for_each(|_| self.segment(&part, false)),
            _ => self.segment(&part, false),
        }
        if let Some(late) = self.late.take() {
            self.segment(&late, false);
        }
        match what >> 6 {
            2 => self.expire(),
            3 => {
                self.time_ns += LONG_NS;
                self.expire();
            }
            _ => {}
        }
    }

    fn pieces(&mut self, part: Part<'a>, bytes: usize) {
        let mut seq = part.seq;
        for payload in part.payload.chunks(bytes) {
            let wire_bytes = payload.len() as u32;
            self.segment(&Part { seq, payload, wire_bytes, ..part }, false);
            seq = seq.wrapping_add(wire_bytes);
        }
    }

    fn segment(&mut self, part: &Part<'a>, syn: bool) {
        let from_client = (part.side == 0) != self.reversed;
        let numbered = self.setup & (setup::UDP | setup::CALLS) == 0;
        let origin = match self.setup & setup::CALLS != 0 {
            true => Origin {
                thread: 1 + part.side as u32,
                trace_id: 9,
                cap_seq: 1,
                ..Origin::default()
            },
            false => Origin::default(),
        };
        let segment = Segment {
            time_ns: self.time_ns,
            direction: match from_client {
                true => Direction::ClientToServer,
                false => Direction::ServerToClient,
            },
            seq: numbered.then_some(part.seq),
            payload: part.payload,
            wire_bytes: part.wire_bytes,
            syn,
            fin: part.fin,
            origin,
        };
        self.conversation.on_segment(&mut self.shared, &segment, &mut self.output);
        self.collect();
    }

    fn expire(&mut self) {
        self.conversation.expire(&mut self.shared, self.time_ns, &mut self.output);
        self.collect();
    }

    fn collect(&mut self) {
        self.reversed ^= std::mem::take(&mut self.output.reversed);
        self.outcome.records.extend(self.output.records.drain(..).map(|record| *record));
        self.outcome.stats.append(&mut self.output.stats);
        let limits = &self.shared.config().limits;
        let bound = limits.buffered_bytes.min(2 * limits.stream_bytes) + SLACK_BYTES;
        let held = self.shared.buffered_bytes();
        assert!(held <= bound, "{held} bytes held, {bound} allowed");
        assert!(self.shared.sessions() <= limits.sessions + 64, "{}", self.shared.sessions());
    }

    fn end(mut self) -> Outcome {
        if let Some(late) = self.late.take() {
            self.segment(&late, false);
        }
        self.conversation.on_close(&mut self.shared, self.time_ns, &mut self.output);
        self.collect();
        let left = (self.shared.buffered_bytes(), self.shared.sessions());
        assert_eq!(left, (0, 0), "bytes and sessions left after the end");
        assert_eq!(self.conversation.pending(), 0);
        self.outcome.drops = self.shared.take_drops().collect();
        self.outcome
    }
}

fn config(protocol: Option<L7Protocol>, small: bool) -> Config {
    let mut config = if small { Config::live() } else { Config::replay() };
    if small {
        config.limits = LimitConfig {
            sessions: 16,
            conversation_sessions: 8,
            stream_bytes: 2048,
            buffered_bytes: 3000,
            text_bytes: 40,
            statements: 4,
        };
    }
    config.protocols = protocol.map_or_else(ProtocolSet::all, |one| ProtocolSet::of(&[one]));
    config
}

fn check(outcome: &Outcome, input_bytes: usize) {
    let Outcome { records, stats, .. } = outcome;
    // Nothing makes more records than bytes: the least message has one.
    assert!(records.len() <= 2 * input_bytes + 16, "{} records", records.len());
    let of = |kinds: &[RecordType]| records.iter().filter(|r| kinds.contains(&r.kind)).count();
    let counted = |is: fn(&StatKind) -> bool| stats.iter().filter(|s| is(&s.kind)).count();
    let requests = counted(|kind| matches!(kind, StatKind::Request));
    let responses = counted(|kind| matches!(kind, StatKind::Response { .. }));
    let timeouts = counted(|kind| matches!(kind, StatKind::Timeout));
    assert_eq!(requests, of(&[RecordType::Request, RecordType::Session]), "requests: {outcome:#?}");
    let answered = of(&[RecordType::Response, RecordType::Session]);
    assert_eq!(responses, answered, "responses: {outcome:#?}");
    assert!(timeouts <= of(&[RecordType::Request]), "timeouts: {outcome:#?}");
    for record in records {
        assert!(record.end_ns >= record.start_ns, "{record:#?}");
        if let Some(duration_ns) = record.duration_ns {
            assert_eq!(duration_ns, record.end_ns - record.start_ns, "{record:#?}");
        }
        assert!(record.request_bytes.is_none_or(|bytes| bytes >= 0), "{record:#?}");
        assert!(record.response_bytes.is_none_or(|bytes| bytes >= 0), "{record:#?}");
    }
}
