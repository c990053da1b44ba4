//! What an AMQP 0-9-1 connection knows of its channels, and the sessions on them.
//!
//! In: methods and content headers of both ends. Out: halves of sessions.
//!
//! - A request waits under its channel and method for the reply of that method; requests of the
//!   server are reversed.
//! - A publication is one-way, or waits for its confirmation where `Confirm.Select` was seen. Its
//!   record is complete with the content header, which tells the length of the body.
//! - A delivery waits for the client's acknowledgement where the consumer owes one; one that is
//!   not acknowledged in time is one-way.
//! - A close with an error of the server answers the request that it names; where that does not
//!   wait it is a response without request.

use std::collections::BTreeMap;

use schema::{ResponseStatus, Text};

use crate::amqp::content::Content;
use crate::amqp::field::Cursor;
use crate::amqp::frame::Frame;
use crate::amqp::key::Waiter;
use crate::amqp::method::{self, Kind, Role, basic};
use crate::bytes;
use crate::record::Record;
use crate::segment::Direction;
use crate::session::{Key, Pairing, Response};

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// From `Connection.Open`.
    vhost: Text,
    pub by_number: BTreeMap<u16, Channel>,
    /// Whether a consumer acknowledges, by channel and hash of its tag.
    pub consumers: BTreeMap<(u16, u64), bool>,
    /// Replies may have been lost.
    suspect: bool,
}

/// One channel.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    /// Tag of the next publication, where publications are confirmed.
    pub next_publication: Option<u64>,
    /// Deliveries to consumers that are not known since the last acknowledgement.
    pub unacknowledged: u32,
    /// A close with an error is to be confirmed, which means nothing more.
    pub closing: bool,
    /// Consumers whose tag the server chooses and has not told, and whether they acknowledge.
    unnamed: u32,
    unnamed_acknowledges: bool,
    /// A method whose content header is to come, of either end.
    contents: [Option<Box<Content>>; 2],
}

/// A method as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub direction: Direction,
    pub channel: u16,
    pub kind: Kind,
    pub args: &'a [u8],
}

/// Channels that are remembered.
const CHANNELS_MAX: usize = 2048;

/// Consumers that are remembered.
const CONSUMERS_MAX: usize = 4096;

/// Version of the protocol, as shown.
pub(crate) const VERSION: Text = Text::const_new("0-9-1");

impl Channels {
    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        let channel = size_of::<Channel>() + size_of::<Content>();
        self.by_number.len() * channel + self.consumers.len() * size_of::<(u16, u64, bool)>()
    }

    /// A frame.
    pub fn pair(&mut self, direction: Direction, frame: &Frame<'_>, out: &mut Pairing<'_>) {
        match *frame {
            Frame::Content { channel, header } => {
                if let Some(content) = self.take_content(channel, direction) {
                    self.finish(channel, content, Some(header), out);
                }
            }
            Frame::Method { channel, kind, args } => {
                if let Some(content) = self.take_content(channel, direction) {
                    self.finish(channel, content, None, out);
                }
                let call = Call { direction, channel, kind, args };
                match kind.role {
                    Role::Request => self.request(&call, out),
                    Role::Reply(request) => self.reply(&call, request, out),
                    Role::OneWay => {
                        let (record, _) = self.record(&call, out);
                        out.one_way(record);
                    }
                    Role::Content => {
                        let record = self.plain_record(&call, out);
                        let content = Content::sent(&kind, args, record, out);
                        self.channel(channel).contents[direction.index()] = Some(Box::new(content));
                    }
                    Role::Close => self.close_method(&call, out),
                    Role::Settle => self.settle(&call, out),
                }
            }
        }
    }

    /// Bytes of a direction were lost.
    pub fn lost(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        let waiting: Vec<(u16, Box<Content>)> = self
            .by_number
            .iter_mut()
            .filter_map(|(id, channel)| Some((*id, channel.contents[direction.index()].take()?)))
            .collect();
        for (channel, content) in waiting {
            self.finish(channel, content, None, out);
        }
        if direction == Direction::ServerToClient {
            self.suspect = true;
            return;
        }
        // Publications may be missing: tags can no longer be counted.
        for channel in self.by_number.values_mut() {
            channel.next_publication = None;
        }
        out.let_go_all(Waiter::Publish.everywhere());
    }

    /// The connection ends.
    pub fn close(&mut self, out: &mut Pairing<'_>) {
        while let Some((id, channel)) = self.by_number.pop_first() {
            for content in channel.contents.into_iter().flatten() {
                self.finish(id, content, None, out);
            }
        }
    }

    pub fn channel(&mut self, id: u16) -> &mut Channel {
        if self.by_number.len() >= CHANNELS_MAX && !self.by_number.contains_key(&id) {
            self.by_number.pop_first();
        }
        self.by_number.entry(id).or_default()
    }

    /// A channel is no more, or starts anew.
    pub fn forget(&mut self, id: u16, out: &mut Pairing<'_>) {
        if let Some(channel) = self.by_number.remove(&id) {
            for content in channel.contents.into_iter().flatten() {
                self.finish(id, content, None, out);
            }
        }
        while let Some((key, _)) = self.consumers.range((id, 0)..=(id, u64::MAX)).next() {
            let key = *key;
            self.consumers.remove(&key);
        }
        for waiter in Waiter::ALL {
            out.let_go_all(waiter.on_channel(id));
        }
    }

    /// All channels are no more.
    pub fn forget_all(&mut self, out: &mut Pairing<'_>) {
        self.close(out);
        self.consumers.clear();
        for waiter in Waiter::ALL {
            out.let_go_all(waiter.everywhere());
        }
    }

    /// A record of a method, and whether it wants no reply.
    pub fn record(&self, call: &Call<'_>, out: &mut Pairing<'_>) -> (Box<Record>, bool) {
        let subject = method::subject(&call.kind, call.args, out.config.limits.text_bytes);
        let mut record = self.plain_record(call, out);
        if call.kind.class != method::CONNECTION {
            record.endpoint = subject.resource.clone();
        }
        record.request_resource = subject.resource;
        record.attributes.extend(subject.attribute.map(|(name, value)| (name.into(), value)));
        (record, subject.no_wait)
    }

    /// A record that knows its method only.
    pub fn plain_record(&self, call: &Call<'_>, out: &mut Pairing<'_>) -> Box<Record> {
        let mut record = out.record();
        record.version = VERSION;
        record.request_type = Text::const_new(call.kind.name);
        record.request_domain = self.vhost.clone();
        record.is_reversed = call.direction == Direction::ServerToClient;
        record
    }

    fn take_content(&mut self, channel: u16, direction: Direction) -> Option<Box<Content>> {
        self.by_number.get_mut(&channel)?.contents[direction.index()].take()
    }
}

// === requests and replies ===

impl Channels {
    fn request(&mut self, call: &Call<'_>, out: &mut Pairing<'_>) {
        let channel = call.channel;
        match (call.kind.class, call.kind.number) {
            (method::CONNECTION, 10) => {
                // The server's first method answers the client's protocol header.
                if let Some(id) = out.waiting_id(Waiter::Header.everywhere()) {
                    let response = out.answer(ResponseStatus::Ok);
                    out.response(Key::Id(id), response);
                }
            }
            (method::CONNECTION, 40) => {
                let vhost = Cursor::new(call.args).short().unwrap_or_default();
                self.vhost = bytes::text(vhost, 255);
            }
            (method::CHANNEL, 10) => self.forget(channel, out),
            (method::CONFIRM, 10) => {
                self.channel(channel).next_publication.get_or_insert(1);
            }
            (method::BASIC, basic::CONSUME) => self.note_consumer(channel, call.args),
            (method::BASIC, basic::CANCEL) => {
                let tag = Cursor::new(call.args).short().unwrap_or_default();
                self.consumers.remove(&(channel, bytes::hash(tag)));
            }
            _ => {}
        }
        let (record, no_wait) = self.record(call, out);
        if no_wait {
            out.one_way(record);
            return;
        }
        self.wait(call, record, out);
    }

    /// A request waits behind those of its method.
    pub fn wait(&mut self, call: &Call<'_>, record: Box<Record>, out: &mut Pairing<'_>) {
        let (class, number) = (call.kind.class, call.kind.number);
        let range = Waiter::of(call.direction).on_method(call.channel, class, number);
        let last = out.last_waiting_id(range.clone());
        let id = last.map_or(*range.start(), |last| last + 1).min(*range.end());
        out.request(Key::Id(id), record, 0);
    }

    /// Remembers whether a consumer will acknowledge.
    fn note_consumer(&mut self, channel: u16, args: &[u8]) {
        let mut args = Cursor::new(args);
        let _ticket = args.u16();
        let _queue = args.short();
        let (Some(tag), Some(bits)) = (args.short(), args.u8()) else { return };
        let acknowledges = bits & 2 == 0;
        if tag.is_empty() {
            let channel = self.channel(channel);
            channel.unnamed = channel.unnamed.saturating_add(1);
            channel.unnamed_acknowledges = acknowledges;
        } else if self.consumers.len() < CONSUMERS_MAX {
            self.consumers.insert((channel, bytes::hash(tag)), acknowledges);
        }
    }

    fn name_consumer(&mut self, id: u16, tag: &[u8]) {
        let channel = self.channel(id);
        if channel.unnamed == 0 {
            return;
        }
        channel.unnamed -= 1;
        let acknowledges = channel.unnamed_acknowledges;
        if self.consumers.len() < CONSUMERS_MAX {
            self.consumers.insert((id, bytes::hash(tag)), acknowledges);
        }
    }

    fn reply(&mut self, call: &Call<'_>, request: u16, out: &mut Pairing<'_>) {
        let limit = out.config.limits.text_bytes;
        let mut args = Cursor::new(call.args);
        let mut response = out.answer(ResponseStatus::Ok);
        response.version = VERSION;
        match (call.kind.class, call.kind.number) {
            (method::CONNECTION, 11) => {
                // The mechanism; what follows it is secret.
                let _properties = args.table();
                response.result = bytes::text(args.short().unwrap_or_default(), 64);
            }
            (method::QUEUE, 11) => {
                response.result = bytes::text(args.short().unwrap_or_default(), limit);
            }
            (method::BASIC, 21) => {
                let tag = args.short().unwrap_or_default();
                response.result = bytes::text(tag, limit);
                self.name_consumer(call.channel, tag);
            }
            (method::BASIC, basic::GET_OK) => {
                let content = Box::new(Content::got(call.args, response, limit));
                self.channel(call.channel).contents[call.direction.index()] = Some(content);
                return;
            }
            (method::BASIC, 72) => response.result = Text::const_new("empty"),
            (method::CONNECTION, 51) | (method::CHANNEL, 41) => {
                return self.closed(call, request, response, out);
            }
            _ => {}
        }
        self.respond(call, request, response, out);
    }

    /// Gives a reply to the first request of its method, or to the last after a loss.
    pub fn respond(
        &mut self,
        call: &Call<'_>,
        request: u16,
        mut response: Response,
        out: &mut Pairing<'_>,
    ) {
        let asking = call.direction.opposite();
        let range = Waiter::of(asking).on_method(call.channel, call.kind.class, request);
        if self.suspect
            && let Some(last) = out.last_waiting_id(range.clone())
            && last > *range.start()
        {
            out.let_go_all(*range.start()..=last - 1);
        }
        let Some(id) = out.waiting_id(range) else {
            let kind = method::kind_of(call.kind.class, request).unwrap_or(call.kind);
            let asked = Call { direction: asking, kind, ..*call };
            response.echo = Some(self.plain_record(&asked, out));
            out.lone_response(response);
            return;
        };
        let declared = call.kind.class == method::QUEUE && call.kind.number == 11;
        if let Some(record) = out.waiting(id).filter(|_| declared)
            && record.request_resource.is_empty()
        {
            // The server chose the name.
            record.request_resource = response.result.clone();
            record.endpoint = response.result.clone();
        }
        out.response(Key::Id(id), response);
        let waiters = [Waiter::Client, Waiter::Server];
        self.suspect &= waiters.iter().any(|waiter| out.waiting_id(waiter.everywhere()).is_some());
    }
}
