//! FastCGI 1.0: fastcgi-archives.github.io/FastCGI_Specification.html; what the parameters and the
//! head of the output mean: RFC 3875 (CGI).
//!
//! ```text
//! record := 1  kind: u8  id: u16  content_bytes: u16  padding_bytes: u8  0  content  padding
//! params := *(name_bytes value_bytes name value)       lengths: u8 < 128 | u32 with the top bit
//! ```
//! A request runs from BEGIN_REQUEST to an empty PARAMS; its response from the first STDOUT or
//! STDERR to END_REQUEST, and its time is that of the first. The status is in the head of STDOUT;
//! without one it is 200. Requests and responses are paired by id; ids are used again.

mod answer;
mod parameters;
mod record;

use std::collections::BTreeMap;

use schema::L7Protocol;

use crate::fastcgi::answer::Answer;
use crate::fastcgi::record::{Frame, Kind};
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::stream::Mark;

/// One FastCGI connection.
#[derive(Debug, Default)]
pub(crate) struct FastCgi {
    asking: BTreeMap<u16, Asking>,
    answers: BTreeMap<u16, Answer>,
}

/// A request whose parameters are not complete.
#[derive(Debug)]
struct Asking {
    mark: Mark,
    captured_bytes: u32,
    parameters: Vec<u8>,
}

/// Requests under way on one connection that are followed.
const UNDER_WAY: usize = 256;

/// So many bytes of parameters are kept. unit byte
const PARAMETER_BYTES: usize = 64 << 10;

impl Protocol for FastCgi {
    const ID: L7Protocol = L7Protocol::Fastcgi;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        record::probe(first, context.direction, context.cut)
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        record::cut(input, |id| self.answers.get(&id).is_none_or(Answer::wants_head))
    }

    fn pair(&mut self, _direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        match frame.kind {
            Kind::Begin => self.begin(&frame, out),
            Kind::Params => self.params(&frame, out),
            Kind::Stdout | Kind::Stderr => self.output(&frame, out),
            Kind::End => self.end(&frame, out),
            Kind::Other => {}
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        record::may_start(direction, bytes)
    }

    fn lost(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        match direction {
            Direction::ClientToServer => self.finish_asking(out),
            Direction::ServerToClient => self.answers.values_mut().for_each(Answer::lose),
        }
    }

    fn close(&mut self, out: &mut Pairing<'_>) {
        self.finish_asking(out);
        while let Some((id, answer)) = self.answers.pop_first() {
            answer.give(id, None, out);
        }
    }

    fn held_bytes(&self) -> usize {
        let asking = self.asking.values().map(|asking| asking.parameters.capacity() + 96);
        let answers = self.answers.values().map(Answer::held_bytes);
        asking.sum::<usize>() + answers.sum::<usize>()
    }
}

impl FastCgi {
    fn begin(&mut self, frame: &Frame<'_>, out: &mut Pairing<'_>) {
        // The id is used again: what was said of the request before is all.
        if let Some(answer) = self.answers.remove(&frame.id) {
            answer.give(frame.id, None, out);
        }
        self.ask(frame, out);
    }

    fn params(&mut self, frame: &Frame<'_>, out: &mut Pairing<'_>) {
        if !frame.content.is_empty() {
            let asking = self.ask(frame, out);
            let room = PARAMETER_BYTES.saturating_sub(asking.parameters.len());
            let content = &frame.content[..frame.content.len().min(room)];
            asking.parameters.extend_from_slice(content);
        } else if let Some(asking) = self.asking.remove(&frame.id) {
            asking.finish(frame.id, out);
        }
    }

    /// The request with the frame's id; its first frame begins it.
    fn ask(&mut self, frame: &Frame<'_>, out: &mut Pairing<'_>) -> &mut Asking {
        if self.asking.len() >= UNDER_WAY
            && !self.asking.contains_key(&frame.id)
            && let Some((id, asking)) = self.asking.pop_first()
        {
            asking.finish(id, out);
        }
        let begun = Asking { mark: out.mark, captured_bytes: 0, parameters: Vec::new() };
        let asking = self.asking.entry(frame.id).or_insert(begun);
        if frame.kind == Kind::Begin {
            *asking = Asking { mark: out.mark, captured_bytes: 0, parameters: Vec::new() };
        }
        asking.captured_bytes += out.captured_bytes;
        asking
    }

    fn output(&mut self, frame: &Frame<'_>, out: &mut Pairing<'_>) {
        if self.answers.len() >= UNDER_WAY
            && !self.answers.contains_key(&frame.id)
            && let Some((id, answer)) = self.answers.pop_first()
        {
            answer.give(id, None, out);
        }
        let answer = self.answers.entry(frame.id).or_insert_with(|| Answer::new(out.mark));
        answer.take(frame, out);
    }

    fn end(&mut self, frame: &Frame<'_>, out: &mut Pairing<'_>) {
        let answer = self.answers.remove(&frame.id).unwrap_or_else(|| Answer::new(out.mark));
        answer.give(frame.id, Some(frame.content), out);
    }

    fn finish_asking(&mut self, out: &mut Pairing<'_>) {
        while let Some((id, asking)) = self.asking.pop_first() {
            if !asking.parameters.is_empty() {
                asking.finish(id, out);
            }
        }
    }
}

impl Asking {
    fn finish(self, id: u16, out: &mut Pairing<'_>) {
        let mut record = out.record_at(self.mark);
        record.captured_request_bytes = self.captured_bytes;
        record.request_id = Some(u64::from(id));
        parameters::fill(&self.parameters, &mut record, out.config);
        out.request(Key::Id(u64::from(id)), record, 0);
    }
}
