//! Streams of a connection: a request and its response each, until the response ends.
//!
//! In: heads, lengths of data, trailers, resets. Out: requests at once, responses when their
//! stream ends or has been open for as long as requests are waited for. Never: data held, more
//! streams than the limit.

use std::collections::{BTreeMap, BTreeSet};

use schema::{L7Protocol, ResponseStatus, Text};

use crate::field_policy::Finder;
use crate::grpc;
use crate::http_body::{self, Body};
use crate::http_content::Content;
use crate::http_fields::{self, ResponseFields};
use crate::http_status;
use crate::http2::error;
use crate::http2::message::ResponseHead;
use crate::record::Record;
use crate::segment::Direction;
use crate::session::{Key, Pairing, Response};
use crate::stream::Mark;

/// Streams that are open, by id.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: BTreeMap<u32, Stream>,
    /// Streams that went on for longer than a session is waited for and were told then.
    told: BTreeSet<u32>,
    /// How often bytes of each direction were lost.
    losses: [u32; 2],
    /// Bytes that bodies hold.
    body_bytes: usize,
}

/// One that is open.
#[derive(Debug)]
struct Stream {
    /// First head seen. unit ns since the Unix epoch
    opened_ns: u64,
    /// Data of each direction; `None`: no such frame was seen. unit byte
    data_bytes: [Option<u64>; 2],
    /// `Streams::losses` when it was opened.
    losses: [u32; 2],
    /// The response's head, once it came.
    response: Option<Response>,
    /// Of the response's head and trailers.
    fields: ResponseFields,
    /// Kind of the response's body.
    content: Content,
    is_grpc: bool,
    /// What is wanted of the bodies.
    bodies: [Body; 2],
}

/// Streams that are open at once; beyond it the oldest is taken as ended.
const STREAMS: usize = 4096;

/// Streams of which it is remembered that they were told before their end.
const TOLD: usize = 256;

/// Greatest id of a stream.
const LAST_ID: u32 = u32::MAX >> 1;

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Streams {
    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.open.len() * size_of::<(u32, Stream)>() + self.body_bytes
    }

    /// A request's head.
    pub fn request(
        &mut self,
        id: u32,
        mut record: Box<Record>,
        content: Content,
        finder: Option<Box<Finder>>,
        out: &mut Pairing<'_>,
    ) {
        record.request_id = Some(id.into());
        let (opened_ns, is_grpc) = (record.start_ns, content.is_grpc());
        let content = content.bounded(out.has_room);
        let config = out.config;
        let body = Body::of_request(config, content, &record).with_fields(config, content, finder);
        out.request(Key::Id(id.into()), record, 0);
        if out.waiting(id.into()).is_some() {
            let stream = self.stream(id, opened_ns, out);
            stream.is_grpc |= is_grpc;
            self.set_body(id, CLIENT, body);
        }
    }

    /// Whether a request of this stream waits.
    pub fn is_asked(&self, id: u32, out: &mut Pairing<'_>) -> bool {
        self.open.contains_key(&id) && out.waiting(id.into()).is_some()
    }

    /// A response's head, or its trailers.
    pub fn response(&mut self, id: u32, mut head: ResponseHead, ends: bool, out: &mut Pairing<'_>) {
        if head.code.is_some_and(|code| (100..200).contains(&code)) && !ends {
            return;
        }
        let is_tunnel = head.code.is_some_and(|code| (200..300).contains(&code))
            && out.waiting(id.into()).is_some_and(|record| record.request_type == "CONNECT");
        let (config, now_ns) = (out.config, out.mark.time_ns);
        let stream = self.stream(id, now_ns, out);
        let is_first = stream.response.is_none();
        let response = stream.response.get_or_insert_with(|| {
            let mut response = out.answer(ResponseStatus::Unknown);
            response.version = Text::const_new("2");
            response
        });
        if let Some(code) = head.code {
            response.code = Some(code.into());
            response.status = http_status::status(code);
            response.exception = Text::const_new(http_status::error_name(code));
        }
        response.bytes =
            head.content_bytes.and_then(|length| i64::try_from(length).ok()).or(response.bytes);
        if is_first {
            stream.content = head.fields.content;
            let is_error = head.code.is_some_and(|code| code >= 400);
            let content = stream.content.bounded(out.has_room);
            let asked = out.waiting(id.into()).map(|asked| &*asked);
            let finder = head.fields.finder.take();
            let body = Body::of_response(config, content, is_error, asked)
                .with_fields(config, content, finder);
            self.set_body(id, SERVER, body);
        } else if let Some(finder) = head.fields.finder.take() {
            stream.bodies[SERVER].add_fields(*finder);
        }
        let stream = self.stream(id, now_ns, out);
        stream.fields.merge(head.fields);
        let outcome = &mut stream.fields.outcome;
        stream.is_grpc |=
            stream.content.is_grpc() || outcome.status.is_some() || !outcome.message.is_empty();
        if ends && stream.is_grpc {
            outcome.status = outcome.status.or(head.unnamed_status);
        }
        if ends || is_tunnel {
            self.finish(id, out);
        }
    }

    /// Data of a stream: its length without padding.
    pub fn data(&mut self, id: u32, direction: Direction, bytes: u32) {
        if let Some(stream) = self.open.get_mut(&id) {
            let sum = &mut stream.data_bytes[direction.index()];
            *sum = Some(sum.unwrap_or(0) + u64::from(bytes));
        }
    }

    /// Whether the bytes of a stream's data are to be looked at.
    pub fn wants(&self, id: u32, direction: Direction) -> bool {
        self.open.get(&id).is_some_and(|stream| !stream.bodies[direction.index()].is_idle())
    }

    /// Bytes of a stream's data.
    pub fn body(&mut self, id: u32, direction: Direction, bytes: &[u8], time_ns: u64) {
        if let Some(stream) = self.open.get_mut(&id) {
            let body = &mut stream.bodies[direction.index()];
            let before = body.held_bytes();
            body.take(bytes, time_ns);
            self.body_bytes = (self.body_bytes + body.held_bytes()).saturating_sub(before);
        }
    }

    /// Bytes of a stream's data were never seen.
    pub fn lost_body(&mut self, id: u32, direction: Direction) {
        if let Some(stream) = self.open.get_mut(&id) {
            stream.bodies[direction.index()].lost();
        }
    }

    /// Nothing follows in a direction of a stream.
    pub fn end(&mut self, id: u32, direction: Direction, out: &mut Pairing<'_>) {
        match direction {
            Direction::ServerToClient => self.finish(id, out),
            Direction::ClientToServer => {
                let (body, config) = (self.set_body(id, CLIENT, Body::default()), out.config);
                if let Some(record) = out.waiting(id.into()) {
                    body.conclude_request(config, record);
                }
                if let Some(stream) = self.open.get(&id) {
                    self.fill_request(stream, id, out);
                }
            }
        }
    }

    /// One end gave a stream up.
    pub fn reset(&mut self, id: u32, sender: Direction, code: u32, out: &mut Pairing<'_>) {
        let seen = self.open.get(&id).and_then(|stream| stream.response.as_ref());
        let is_grpc = self.open.get(&id).is_some_and(|stream| stream.is_grpc);
        match seen {
            // A server may end a stream like this after a response (RFC 9113 §8.1); a client
            // that does not want the rest of one ends it so as well.
            Some(_) if code == error::NO_ERROR || code == error::CANCEL && !is_grpc => {}
            Some(_) => self.fail(id, "RST_STREAM", sender, code, out),
            None if out.waiting(id.into()).is_some() => {
                let now_ns = out.mark.time_ns;
                let mut answer = out.answer(ResponseStatus::Unknown);
                if sender == Direction::ClientToServer {
                    // It is no bytes of a response that end the stream.
                    answer.mark = Mark { time_ns: now_ns, ..Mark::default() };
                    answer.captured_bytes = 0;
                }
                self.stream(id, now_ns, out).response = Some(answer);
                self.fail(id, "RST_STREAM", sender, code, out);
            }
            None => {}
        }
        self.finish(id, out);
        self.forget(id);
    }

    /// The server will not process requests after `last` (RFC 9113 §6.8).
    pub fn refuse_after(&mut self, last: u32, code: u32, out: &mut Pairing<'_>) {
        if last >= LAST_ID {
            return;
        }
        while let Some(id) = out.waiting_id(u64::from(last) + 1..=u64::from(LAST_ID)) {
            let id = id as u32;
            let now_ns = out.mark.time_ns;
            let answer = out.answer(ResponseStatus::Unknown);
            self.stream(id, now_ns, out).response = Some(answer);
            let blame = if code == error::NO_ERROR { error::REFUSED_STREAM } else { code };
            self.fail(id, "GOAWAY", Direction::ServerToClient, blame, out);
            self.finish(id, out);
        }
    }

    /// Bytes of a direction were lost, and with them lengths, ends and heads of streams.
    pub fn lost(&mut self, direction: Direction) {
        self.losses[direction.index()] += 1;
    }

    /// Ends what has been open for long: of a response that goes on, what is known of it is told.
    pub fn expire(&mut self, before_ns: u64, out: &mut Pairing<'_>) {
        while let Some((id, stream)) = self.open.first_key_value()
            && stream.opened_ns <= before_ns
        {
            let id = *id;
            if stream.response.is_none() && stream.losses[SERVER] != self.losses[SERVER] {
                // The response may be among what was lost.
                out.let_go(id.into());
            }
            let is_told = stream.response.is_some();
            self.end(id, Direction::ClientToServer, out);
            self.finish(id, out);
            self.forget(id);
            if is_told {
                self.told.insert(id);
            }
            if self.told.len() > TOLD {
                self.told.pop_first();
            }
        }
    }

    /// Ends everything.
    pub fn close(&mut self, out: &mut Pairing<'_>) {
        self.expire(u64::MAX, out);
    }

    /// Takes a stream off the open ones.
    fn forget(&mut self, id: u32) -> Option<Stream> {
        let stream = self.open.remove(&id)?;
        let held: usize = stream.bodies.iter().map(Body::held_bytes).sum();
        self.body_bytes = self.body_bytes.saturating_sub(held);
        Some(stream)
    }

    /// What is looked at of a body from here on; what was before.
    fn set_body(&mut self, id: u32, side: usize, body: Body) -> Body {
        let Some(stream) = self.open.get_mut(&id) else { return Body::default() };
        let before = std::mem::replace(&mut stream.bodies[side], body);
        let held = self.body_bytes + stream.bodies[side].held_bytes();
        self.body_bytes = held.saturating_sub(before.held_bytes());
        before
    }

    fn stream(&mut self, id: u32, opened_ns: u64, out: &mut Pairing<'_>) -> &mut Stream {
        if self.open.len() >= STREAMS
            && !self.open.contains_key(&id)
            && let Some(oldest) = self.open.keys().next().copied()
        {
            self.finish(oldest, out);
            self.forget(oldest);
        }
        let losses = self.losses;
        self.open.entry(id).or_insert_with(|| Stream {
            opened_ns,
            data_bytes: [None; 2],
            losses,
            response: None,
            fields: ResponseFields::default(),
            content: Content::default(),
            is_grpc: false,
            bodies: Default::default(),
        })
    }

    /// A stream that ended otherwise than its messages did.
    fn fail(&mut self, id: u32, by: &str, sender: Direction, code: u32, out: &mut Pairing<'_>) {
        let Some(stream) = self.open.get_mut(&id) else { return };
        let Some(response) = &mut stream.response else { return };
        response.exception = Text::from(by);
        response.exception.push(' ');
        response.exception.push_str(error::name(code));
        response.status = error::status(sender, code);
        stream.is_grpc |=
            out.waiting(id.into()).is_some_and(|record| record.protocol == L7Protocol::Grpc);
        if stream.is_grpc {
            let status = &mut stream.fields.outcome.status;
            *status = status.or(Some(grpc::status_of_reset(code)));
        }
    }

    /// Gives out the response of a stream, if its head was seen.
    fn finish(&mut self, id: u32, out: &mut Pairing<'_>) {
        if self.open.get(&id).is_none_or(|stream| stream.response.is_none()) {
            return;
        }
        let Some(mut stream) = self.forget(id) else { return };
        self.fill_request(&stream, id, out);
        let Some(mut response) = stream.response.take() else { return };
        if response.bytes.is_none() && stream.losses[SERVER] == self.losses[SERVER] {
            response.bytes = as_length(stream.data_bytes[SERVER]);
        }
        match out.waiting(id.into()) {
            Some(record) if record.protocol == L7Protocol::Grpc => stream.is_grpc = true,
            // What the request called itself was not seen; its response says it.
            Some(record) if stream.is_grpc && record.protocol == L7Protocol::Http2 => {
                grpc::as_call(record, L7Protocol::Grpc);
            }
            Some(_) => {}
            None => {
                let mut echo = Box::new(Record::new(out.protocol));
                echo.request_id = Some(id.into());
                if stream.is_grpc {
                    echo.protocol = L7Protocol::Grpc;
                }
                response.echo = Some(echo);
            }
        }
        let mut outcome = std::mem::take(&mut stream.fields.outcome);
        let [request_body, response_body] = stream.bodies;
        let config = out.config;
        if let Some(record) = out.waiting(id.into()) {
            request_body.conclude_request(config, record);
        }
        let asked = out.waiting(id.into());
        outcome.merge(response_body.conclude_response(config, asked, &mut response));
        if stream.is_grpc {
            outcome.conclude(&mut response);
        }
        let is_ok = response.is_ok();
        stream.fields.fill(config, !is_ok, &mut response);
        if is_ok && let Some(record) = out.waiting(id.into()) {
            http_fields::forget_header(config, record);
            http_body::forget_request(config, record);
        }
        // Of a stream that was told already, its end is news only when it is an error.
        if self.told.remove(&id)
            && response.status != ResponseStatus::ServerError
            && response.status != ResponseStatus::ClientError
        {
            return;
        }
        out.response(Key::Id(id.into()), response);
    }

    /// The length of a request that names none is that of its data.
    fn fill_request(&self, stream: &Stream, id: u32, out: &mut Pairing<'_>) {
        let is_whole = stream.losses[CLIENT] == self.losses[CLIENT];
        if let Some(record) = out.waiting(id.into()).filter(|_| is_whole)
            && record.request_bytes.is_none()
        {
            record.request_bytes = as_length(stream.data_bytes[CLIENT]);
        }
    }
}

fn as_length(bytes: Option<u64>) -> Option<i64> {
    bytes.and_then(|bytes| i64::try_from(bytes).ok())
}
