//! TLS handshakes: RFC 8446 (1.3), RFC 5246 (1.2) and before; server names RFC 6066, ALPN RFC 7301,
//! certificates RFC 5280.
//!
//! ```text
//! record  := kind: u8  version: u16  length: u16  fragment          (big endian)
//! message := kind: u8  length: u24  body        (in fragments of kind 22, across records)
//! ```
//! A handshake is one session: from the ClientHello to the server's last flight. Up to 1.2 that
//! ends with the server's first encrypted message; in 1.3, whose messages are encrypted from
//! there on, with what the server sent before the client's next message. An alert ends it as an
//! error. After it nothing is looked at.

mod alert;
mod certificate;
mod cipher;
mod hello;
mod probe;
mod record;

use schema::{L7Protocol, ResponseStatus, Text};

use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing, Response};
use crate::stream::Mark;
use crate::tls::alert::Alert;
use crate::tls::hello::ServerHello;
use crate::tls::record::Fragment;

/// One TLS connection.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    messages: [Messages; 2],
    /// Up to 1.2: the direction changed to encryption.
    encrypted: [bool; 2],
    /// A ClientHello waits for its answer.
    asked: bool,
    answer: Option<Box<Answer>>,
    /// The handshake is over.
    done: bool,
}

/// The server's flights as far as they were seen.
#[derive(Debug)]
struct Answer {
    response: Response,
    is_13: bool,
    has_certificate: bool,
    /// 1.3: encrypted records were seen.
    encrypted: bool,
}

/// Handshake messages of one direction that are not complete.
#[derive(Debug, Default)]
struct Messages {
    partial: Vec<u8>,
    /// Where `partial` starts.
    mark: Mark,
    /// Bytes of a message that are passed over.
    pass: usize,
}

/// Longest part of a message that is kept until it is complete. unit byte
const MESSAGE_BYTES: usize = 32 << 10;

/// Longest message that is believed. unit byte
const MESSAGE_BYTES_MAX: usize = 1 << 18;

/// Length of an encrypted record of TLS 1.3 that holds nothing but an alert: two bytes, its kind
/// and a tag of 16. A Finished has at least 53.
const ENCRYPTED_ALERT_BYTES: usize = 19;

impl Protocol for Tls {
    const ID: L7Protocol = L7Protocol::Tls;
    type Frame<'a> = Fragment<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        probe::first_bytes(context.direction, first, context.cut)
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Fragment<'a>> {
        match self.done {
            true => Step::Skip(u64::MAX),
            false => record::cut(input, self.encrypted[direction.index()]),
        }
    }

    fn pair(&mut self, direction: Direction, fragment: Fragment<'_>, out: &mut Pairing<'_>) {
        let encrypted = self.encrypted[direction.index()];
        match (fragment.kind, direction) {
            (record::HANDSHAKE, _) if !encrypted => self.handshake(direction, &fragment, out),
            (record::ALERT, _) if !encrypted && fragment.bytes == 2 => {
                if let Some(alert) = Alert::read(fragment.body) {
                    self.alert(direction, alert, out);
                }
            }
            (record::CHANGE_CIPHER_SPEC, _) => self.change_cipher(direction, out),
            (_, Direction::ServerToClient) => self.encrypted_by_server(&fragment, out),
            (_, Direction::ClientToServer) => self.encrypted_by_client(&fragment, out),
        }
        if self.done {
            out.pass_over = u64::MAX;
        }
    }

    fn resync(&self, _direction: Direction, bytes: &[u8]) -> bool {
        record::may_start(bytes)
    }

    fn lost(&mut self, direction: Direction, _out: &mut Pairing<'_>) {
        self.messages[direction.index()] = Messages::default();
    }

    fn close(&mut self, out: &mut Pairing<'_>) {
        if let Some(answer) = &mut self.answer {
            // Whether it would have succeeded cannot be told.
            answer.response.status = ResponseStatus::Unknown;
        }
        self.finish(out);
    }

    fn held_bytes(&self) -> usize {
        let partial: usize = self.messages.iter().map(|side| side.partial.capacity()).sum();
        partial + self.answer.as_ref().map_or(0, |_| size_of::<Answer>())
    }
}

impl Tls {
    /// Puts messages together and reads those that are complete.
    fn handshake(&mut self, direction: Direction, fragment: &Fragment<'_>, out: &mut Pairing<'_>) {
        let side = &mut self.messages[direction.index()];
        if side.partial.is_empty() {
            side.mark = out.mark;
        }
        let passed = side.pass.min(fragment.body.len());
        side.pass -= passed;
        let mut partial = std::mem::take(&mut side.partial);
        let fresh = &fragment.body[passed..];
        let is_joined = !partial.is_empty();
        if is_joined {
            partial.extend_from_slice(fresh);
        }
        let bytes = if is_joined { &partial } else { fresh };
        let used = self.read_messages(direction, bytes, fragment, out);
        if used < bytes.len() && !self.done {
            self.messages[direction.index()].partial = match is_joined {
                true => {
                    partial.drain(..used);
                    partial
                }
                false => fresh[used..].to_vec(),
            };
        }
    }

    /// Reads messages from the front of `bytes`, which end with a fragment; gives back how many
    /// bytes were used up.
    fn read_messages(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        fragment: &Fragment<'_>,
        out: &mut Pairing<'_>,
    ) -> usize {
        let mut rest = bytes;
        while let Some((head, body)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
            if length > MESSAGE_BYTES_MAX {
                return bytes.len();
            }
            if let Some((whole, after)) = body.split_at_checked(length) {
                self.message(direction, head[0], whole, length, out);
                rest = after;
                continue;
            }
            // Of a message that is cut off or long the start is all that is read.
            if !fragment.is_whole() || body.len() >= MESSAGE_BYTES {
                self.message(direction, head[0], body, length, out);
                let missing = fragment.bytes - fragment.body.len();
                self.messages[direction.index()].pass =
                    (length - body.len()).saturating_sub(missing);
                return bytes.len();
            }
            break;
        }
        if fragment.is_whole() { bytes.len() - rest.len() } else { bytes.len() }
    }

    /// A message of `length` bytes, of which `body` is there.
    fn message(
        &mut self,
        direction: Direction,
        kind: u8,
        body: &[u8],
        length: usize,
        out: &mut Pairing<'_>,
    ) {
        match (kind, direction) {
            // A second one is sent when the server asks for it.
            (hello::CLIENT_HELLO, Direction::ClientToServer) if !self.asked => {
                self.asked = true;
                let mark = self.messages[direction.index()].mark;
                let record = hello::request(body, length, out.record_at(mark));
                out.request(Key::Order, record, 0);
            }
            (hello::SERVER_HELLO, Direction::ServerToClient) => {
                if let Some(hello) = ServerHello::read(body) {
                    self.server_hello(&hello, out);
                }
            }
            (hello::CERTIFICATE, Direction::ServerToClient) => {
                let answer = self.server_flight(out);
                answer.has_certificate = true;
                certificate::describe(body, &mut answer.response.attributes);
            }
            (_, Direction::ServerToClient) => {
                self.server_flight(out);
            }
            _ => {}
        }
    }

    fn server_hello(&mut self, hello: &ServerHello<'_>, out: &mut Pairing<'_>) {
        let answer = self.server_flight(out);
        answer.is_13 = hello.version >= hello::TLS_13;
        if !hello.is_retry() {
            hello.describe(&mut answer.response);
        }
    }

    /// The server's flight goes on at the place that is being read.
    fn server_flight(&mut self, out: &Pairing<'_>) -> &mut Answer {
        let answer = self.answer.get_or_insert_with(|| {
            Box::new(Answer {
                response: out.answer(ResponseStatus::Ok),
                is_13: false,
                has_certificate: false,
                encrypted: false,
            })
        });
        answer.response.mark.time_ns = answer.response.mark.time_ns.max(out.mark.time_ns);
        answer
    }

    /// Up to 1.2 a direction is encrypted from here on; in 1.3 it says nothing.
    fn change_cipher(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        if self.answer.as_ref().is_some_and(|answer| answer.is_13) {
            return;
        }
        // Early data of 1.3 come after one, before the server said anything.
        if direction == Direction::ClientToServer && self.answer.is_none() {
            return;
        }
        self.encrypted[direction.index()] = true;
        if direction == Direction::ServerToClient {
            let answer = self.server_flight(out);
            if !answer.has_certificate {
                hello::note_resumption(&mut answer.response);
            }
        }
    }

    fn encrypted_by_server(&mut self, fragment: &Fragment<'_>, out: &mut Pairing<'_>) {
        let was_certain = self.encrypted[Direction::ServerToClient.index()];
        let answer = self.server_flight(out);
        if answer.is_13 {
            answer.encrypted = true;
        } else if was_certain || fragment.kind == record::APPLICATION_DATA {
            self.finish(out);
        }
    }

    fn encrypted_by_client(&mut self, fragment: &Fragment<'_>, out: &mut Pairing<'_>) {
        let Some(answer) = &mut self.answer else { return };
        if answer.is_13 && answer.encrypted {
            if fragment.bytes == ENCRYPTED_ALERT_BYTES {
                // Only the client's refusal of what the server showed ends like this.
                answer.response.status = ResponseStatus::ServerError;
                answer.response.exception = Text::const_new("encrypted alert");
            }
            self.finish(out);
        } else if !answer.is_13 && fragment.kind == record::APPLICATION_DATA {
            self.finish(out);
        }
    }

    fn alert(&mut self, direction: Direction, alert: Alert, out: &mut Pairing<'_>) {
        if !alert.ends_handshake() {
            return;
        }
        let from_server = direction == Direction::ServerToClient;
        if from_server || self.answer.is_none() {
            self.server_flight(out);
        }
        let Some(answer) = &mut self.answer else { return };
        let response = &mut answer.response;
        response.status = alert.status(from_server);
        response.code = Some(i32::from(alert.description));
        response.exception = alert.name();
        let side = if from_server { "server" } else { "client" };
        response.attributes.push((Text::const_new("alert_from"), Text::const_new(side)));
        self.finish(out);
    }

    /// The handshake is over, however it ended.
    fn finish(&mut self, out: &mut Pairing<'_>) {
        // What came too late for its request was counted as a timeout.
        if let Some(answer) = self.answer.take()
            && (!self.asked || out.expected_tag().is_some())
        {
            out.response(Key::Order, answer.response);
        }
        self.done = true;
        self.messages = Default::default();
    }
}

#[cfg(test)]
mod tests;
