//! Reads the bodies of calls of generative models as they come.
//!
//! In: bytes of a body in any pieces, with their times. Out: attributes and metrics. Never: a body
//! held. A part of a stream is one event of `text/event-stream` (WHATWG HTML, "Server-sent
//! events"), one line of NDJSON or one element of an array.

use compact_str::format_compact;
use schema::{ResponseStatus, Text};

use crate::genai::call::Call;
use crate::genai::facts::{ANSWER, AnswerFacts, Asked, REQUEST, RequestFacts, Told};
use crate::genai::json::Walk;
use crate::http_coding::Decoder;
use crate::http_content::{Coding, Content, Kind};
use crate::record::Record;
use crate::session::Response;

const OPERATION: Text = Text::const_new("gen_ai.operation.name");
const INPUT_TOKENS: Text = Text::const_new("gen_ai.usage.input_tokens");
const OUTPUT_TOKENS: Text = Text::const_new("gen_ai.usage.output_tokens");

/// Follows the body of a request.
#[derive(Debug)]
pub(crate) struct RequestReader {
    call: Call,
    walk: Walk<Asked>,
    facts: RequestFacts,
    decoder: Option<Decoder>,
    is_done: bool,
}

impl RequestReader {
    /// At the start of a body.
    pub fn new(call: Call, content: Content) -> Self {
        let decoder = Decoder::new(content.coding);
        let is_done = decoder.is_none() && content.coding != Coding::Identity;
        let facts = RequestFacts::default();
        Self { call, walk: Walk::new(REQUEST), facts, decoder, is_done }
    }

    pub fn is_done(&self) -> bool {
        self.is_done
    }

    pub fn held_bytes(&self) -> usize {
        self.walk.held_bytes() + self.decoder.as_ref().map_or(0, Decoder::held_bytes)
    }

    pub fn take(&mut self, bytes: &[u8]) {
        let (walk, facts) = (&mut self.walk, &mut self.facts);
        let mut plain = |bytes: &[u8]| {
            walk.take(bytes, &mut |field, value| facts.take(field, value));
        };
        match &mut self.decoder {
            Some(decoder) => decoder.take(bytes, plain),
            None => plain(bytes),
        }
        let is_over = self.decoder.as_ref().is_some_and(Decoder::is_over);
        self.is_done = is_over || self.walk.is_lost() || self.walk.ended_texts() > 0;
    }

    pub fn lost(&mut self) {
        self.is_done = true;
    }

    /// Writes what was found, if it is such a call: a model and something for it to work on.
    pub fn conclude(self, record: &mut Record) {
        let RequestFacts { model, has_input, streams, max_tokens, temperature } = self.facts;
        let model = if model.is_empty() { self.call.model.clone() } else { model };
        if model.is_empty() || !has_input {
            return;
        }
        name_call(&self.call, &mut record.attributes);
        let streams = streams.unwrap_or(self.call.is_streaming);
        let streams = if streams { Text::const_new("true") } else { Text::default() };
        for (name, value) in [
            (Text::const_new("gen_ai.request.model"), model),
            (Text::const_new("gen_ai.request.stream"), streams),
            (Text::const_new("gen_ai.request.max_tokens"), max_tokens),
            (Text::const_new("gen_ai.request.temperature"), temperature),
        ] {
            if !value.is_empty() {
                record.attributes.push((name, value));
            }
        }
    }
}

fn name_call(call: &Call, attributes: &mut Vec<(Text, Text)>) {
    attributes.push((OPERATION, Text::const_new(call.operation)));
    let provider = Text::const_new(call.provider);
    attributes.push((Text::const_new("gen_ai.provider.name"), provider));
}

/// Follows the body of an answer.
#[derive(Debug)]
pub(crate) struct AnswerReader {
    call: Call,
    walk: Walk<Told>,
    facts: AnswerFacts,
    decoder: Option<Decoder>,
    /// Lines of an event stream.
    events: Option<EventLines>,
    /// The answer is one text.
    is_single: bool,
    /// First part of what the model says. unit ns since the Unix epoch
    first_part_ns: Option<u64>,
    /// Last bytes. unit ns since the Unix epoch
    last_ns: u64,
    /// Bytes went unseen before the first part.
    missed_first: bool,
    is_done: bool,
}

impl AnswerReader {
    /// At the start of a body.
    pub fn new(call: Call, content: Content) -> Self {
        let decoder = Decoder::new(content.coding);
        let is_done = decoder.is_none() && content.coding != Coding::Identity;
        Self {
            walk: Walk::new(ANSWER),
            facts: AnswerFacts::default(),
            decoder,
            events: (content.kind == Kind::Events).then(EventLines::default),
            is_single: content.kind == Kind::Json && !call.is_streaming,
            first_part_ns: None,
            last_ns: 0,
            missed_first: false,
            is_done,
            call,
        }
    }

    pub fn is_done(&self) -> bool {
        self.is_done
    }

    pub fn held_bytes(&self) -> usize {
        self.walk.held_bytes() + self.decoder.as_ref().map_or(0, Decoder::held_bytes)
    }

    pub fn take(&mut self, bytes: &[u8], time_ns: u64) {
        self.last_ns = time_ns;
        let (walk, facts, events) = (&mut self.walk, &mut self.facts, &mut self.events);
        let is_single = self.is_single;
        let mut plain = |bytes: &[u8]| match events {
            Some(events) => events.take(bytes, walk, facts),
            None if is_single => {
                walk.take(bytes, &mut |field, value| facts.take(field, value));
            }
            None => lines(bytes, walk, facts),
        };
        match &mut self.decoder {
            Some(decoder) => decoder.take(bytes, plain),
            None => plain(bytes),
        }
        if self.facts.has_part && self.first_part_ns.is_none() {
            self.first_part_ns = Some(time_ns);
        }
        let is_over = self.decoder.as_ref().is_some_and(Decoder::is_over);
        let is_read = self.is_single && (self.walk.is_lost() || self.walk.ended_texts() > 0);
        self.is_done |= is_over || is_read;
    }

    /// Bytes were never seen: reading goes on at the next part, if there are parts.
    pub fn lost(&mut self) {
        self.missed_first |= self.first_part_ns.is_none();
        self.walk.lose();
        if let Some(events) = &mut self.events {
            events.lose();
        }
        self.is_done |= self.decoder.is_some() || self.is_single;
    }

    /// Writes what was found. `asked`: the request, as far as it is known.
    pub fn conclude(self, asked: Option<&Record>, response: &mut Response) {
        let named = asked
            .is_some_and(|record| record.attributes.iter().any(|(name, _)| *name == OPERATION));
        let facts = &self.facts;
        let tokens = [
            (INPUT_TOKENS, facts.input_tokens()),
            (OUTPUT_TOKENS, facts.output_tokens()),
            (Text::const_new("gen_ai.usage.cache_read.input_tokens"), facts.cache_tokens()[0]),
            (Text::const_new("gen_ai.usage.cache_creation.input_tokens"), facts.cache_tokens()[1]),
        ];
        let has_tokens = tokens.iter().any(|(_, count)| count.is_some());
        if !named && !has_tokens {
            return;
        }
        if !named {
            name_call(&self.call, &mut response.attributes);
        }
        for (name, value) in [
            (Text::const_new("gen_ai.response.id"), facts.id.clone()),
            (Text::const_new("gen_ai.response.model"), facts.model.clone()),
            (Text::const_new("gen_ai.response.finish_reasons"), facts.finish_reasons()),
        ] {
            if !value.is_empty() {
                response.attributes.push((name, value));
            }
        }
        for (name, count) in tokens {
            if let Some(count) = count {
                response.attributes.push((name.clone(), format_compact!("{count}")));
                response.metrics.push((name, count as f64));
            }
        }
        if let Some(kind) = facts.error_type() {
            if response.status == ResponseStatus::Ok {
                response.status = facts.error_status();
                response.exception = kind.clone();
            }
            response.attributes.push((Text::const_new("error.type"), kind));
        }
        if let Some(asked) = asked.filter(|_| !self.is_single) {
            self.measure(asked.start_ns, response);
        }
    }

    /// How long the parts of an answer took.
    fn measure(&self, start_ns: u64, response: &mut Response) {
        let since_us = |time_ns: u64| (time_ns.saturating_sub(start_ns) / 1000) as f64;
        if let Some(first_ns) = self.first_part_ns.filter(|_| !self.missed_first) {
            let name = Text::const_new("gen_ai.server.time_to_first_token_us");
            response.metrics.push((name, since_us(first_ns)));
        }
        if self.last_ns > 0 {
            let name = Text::const_new("gen_ai.server.request.duration_us");
            response.metrics.push((name, since_us(self.last_ns)));
        }
    }
}

/// Texts one after another; after one that makes no sense, the next line begins another.
fn lines(mut bytes: &[u8], walk: &mut Walk<Told>, facts: &mut AnswerFacts) {
    loop {
        let used = walk.take(bytes, &mut |field, value| facts.take(field, value));
        if !walk.is_lost() {
            return;
        }
        bytes = &bytes[used..];
        let Some(end) = memchr::memchr(b'\n', bytes) else { return };
        walk.restart();
        bytes = &bytes[end + 1..];
    }
}

/// Lines of an event stream, of which those with data are read.
#[derive(Debug, Default)]
struct EventLines {
    at: At,
    /// The last line ended with CR: LF after it is none of its own.
    after_cr: bool,
}

/// Where it stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// After so many bytes of `data:`.
    Name(usize),
    Data,
    /// In a line that is not read.
    Other,
}

impl Default for At {
    fn default() -> Self {
        Self::Name(0)
    }
}

const DATA: &[u8] = b"data:";

impl EventLines {
    /// What follows is not known to be the start of a line.
    fn lose(&mut self) {
        *self = Self { at: At::Other, after_cr: false };
    }

    fn take(&mut self, bytes: &[u8], walk: &mut Walk<Told>, facts: &mut AnswerFacts) {
        let mut at = 0;
        while let Some(first) = bytes.get(at).copied() {
            let after_cr = std::mem::take(&mut self.after_cr);
            at += match self.at {
                At::Name(0) if first == b'\n' && after_cr => 1,
                At::Name(0) if matches!(first, b'\r' | b'\n') => {
                    // A blank line: the event ended, and with it its text.
                    walk.restart();
                    self.after_cr = first == b'\r';
                    1
                }
                At::Name(matched) if DATA.get(matched) == Some(&first) => {
                    let is_whole = matched + 1 == DATA.len();
                    self.at = if is_whole { At::Data } else { At::Name(matched + 1) };
                    1
                }
                At::Name(_) => {
                    self.at = At::Other;
                    0
                }
                At::Data | At::Other => {
                    let rest = &bytes[at..];
                    let end = memchr::memchr2(b'\r', b'\n', rest);
                    let line = &rest[..end.unwrap_or(rest.len())];
                    if self.at == At::Data {
                        walk.take(line, &mut |field, value| facts.take(field, value));
                    }
                    if let Some(end) = end {
                        self.at = At::Name(0);
                        self.after_cr = rest[end] == b'\r';
                    }
                    line.len() + usize::from(end.is_some())
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish_reasons(stream: &str, size: usize) -> Text {
        let (mut events, mut walk) = (EventLines::default(), Walk::new(ANSWER));
        let mut facts = AnswerFacts::default();
        for piece in stream.as_bytes().chunks(size) {
            events.take(piece, &mut walk, &mut facts);
        }
        facts.finish_reasons()
    }

    #[test]
    fn lines_of_events() {
        let event = |reason: &str| format!("{{\"stop_reason\":\"{reason}\"}}");
        let (a, b) = (event("a"), event("b"));
        for end in ["\n", "\r\n", "\r"] {
            let stream = format!(
                ": hi{end}event: x{end}data: {a}{end}{end}data:[DONE]{end}{end}da: {b}{end}\
                 data: {{\"stop_reason\":{end}data: \"c\"}}{end}{end}data:{b}"
            );
            for size in 1..20 {
                assert_eq!(finish_reasons(&stream, size), "a,c,b", "{end:?} by {size}");
            }
        }
    }
}
