//! Methods of AMQP 0-9-1 and of RabbitMQ's extensions to it, by class and number.
//!
//! In: numbers, or the arguments of a method. Out: its name, who may send it, what it does to a
//! session, and what it is about. Never: secrets (`Connection.StartOk`, `UpdateSecret`).

use schema::Text;

use crate::amqp::field::Cursor;
use crate::bytes;
use crate::segment::Direction;

/// Who may send a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Server,
    Either,
}

/// What a method does to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Wants a reply.
    Request,
    /// Answers the request of its class with this number.
    Reply(u16),
    /// Has no reply.
    OneWay,
    /// Has no reply; a content header follows.
    Content,
    /// Closes a connection or channel, and wants a reply.
    Close,
    /// Confirms or refuses what has a delivery tag.
    Settle,
}

/// A known method.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub class: u16,
    pub number: u16,
    /// `Class.Method`.
    pub name: &'static str,
    pub sender: Sender,
    pub role: Role,
}

impl Kind {
    /// Whether this end may send it.
    pub fn may_come(&self, direction: Direction) -> bool {
        match self.sender {
            Sender::Client => direction == Direction::ClientToServer,
            Sender::Server => direction == Direction::ServerToClient,
            Sender::Either => true,
        }
    }
}

pub(crate) const CONNECTION: u16 = 10;
pub(crate) const CHANNEL: u16 = 20;
pub(crate) const EXCHANGE: u16 = 40;
pub(crate) const QUEUE: u16 = 50;
pub(crate) const BASIC: u16 = 60;
pub(crate) const CONFIRM: u16 = 85;

/// Numbers of methods of the class `Basic` that are treated in their own way.
pub(crate) mod basic {
    pub const CONSUME: u16 = 20;
    pub const CANCEL: u16 = 30;
    pub const PUBLISH: u16 = 40;
    pub const RETURN: u16 = 50;
    pub const DELIVER: u16 = 60;
    pub const GET: u16 = 70;
    pub const GET_OK: u16 = 71;
    pub const ACK: u16 = 80;
    pub const REJECT: u16 = 90;
}

/// The method with these numbers.
pub(crate) fn kind_of(class: u16, number: u16) -> Option<Kind> {
    use Role::{Close, OneWay, Reply, Request};
    use Sender::{Client, Either, Server};
    let (name, sender, role) = match (class, number) {
        (10, 10) => ("Connection.Start", Server, Request),
        (10, 11) => ("Connection.StartOk", Client, Reply(10)),
        (10, 20) => ("Connection.Secure", Server, Request),
        (10, 21) => ("Connection.SecureOk", Client, Reply(20)),
        (10, 30) => ("Connection.Tune", Server, Request),
        (10, 31) => ("Connection.TuneOk", Client, Reply(30)),
        (10, 40) => ("Connection.Open", Client, Request),
        (10, 41) => ("Connection.OpenOk", Server, Reply(40)),
        (10, 50) => ("Connection.Close", Either, Close),
        (10, 51) => ("Connection.CloseOk", Either, Reply(50)),
        (10, 60) => ("Connection.Blocked", Server, OneWay),
        (10, 61) => ("Connection.Unblocked", Server, OneWay),
        (10, 70) => ("Connection.UpdateSecret", Client, Request),
        (10, 71) => ("Connection.UpdateSecretOk", Server, Reply(70)),
        (20, 10) => ("Channel.Open", Client, Request),
        (20, 11) => ("Channel.OpenOk", Server, Reply(10)),
        (20, 20) => ("Channel.Flow", Either, Request),
        (20, 21) => ("Channel.FlowOk", Either, Reply(20)),
        (20, 40) => ("Channel.Close", Either, Close),
        (20, 41) => ("Channel.CloseOk", Either, Reply(40)),
        (30, 10) => ("Access.Request", Client, Request),
        (30, 11) => ("Access.RequestOk", Server, Reply(10)),
        (40, 10) => ("Exchange.Declare", Client, Request),
        (40, 11) => ("Exchange.DeclareOk", Server, Reply(10)),
        (40, 20) => ("Exchange.Delete", Client, Request),
        (40, 21) => ("Exchange.DeleteOk", Server, Reply(20)),
        (40, 30) => ("Exchange.Bind", Client, Request),
        (40, 31) => ("Exchange.BindOk", Server, Reply(30)),
        (40, 40) => ("Exchange.Unbind", Client, Request),
        (40, 51) => ("Exchange.UnbindOk", Server, Reply(40)),
        (50, 10) => ("Queue.Declare", Client, Request),
        (50, 11) => ("Queue.DeclareOk", Server, Reply(10)),
        (50, 20) => ("Queue.Bind", Client, Request),
        (50, 21) => ("Queue.BindOk", Server, Reply(20)),
        (50, 30) => ("Queue.Purge", Client, Request),
        (50, 31) => ("Queue.PurgeOk", Server, Reply(30)),
        (50, 40) => ("Queue.Delete", Client, Request),
        (50, 41) => ("Queue.DeleteOk", Server, Reply(40)),
        (50, 50) => ("Queue.Unbind", Client, Request),
        (50, 51) => ("Queue.UnbindOk", Server, Reply(50)),
        (60, _) => return basic_kind(number),
        (85, 10) => ("Confirm.Select", Client, Request),
        (85, 11) => ("Confirm.SelectOk", Server, Reply(10)),
        (90, 10) => ("Tx.Select", Client, Request),
        (90, 11) => ("Tx.SelectOk", Server, Reply(10)),
        (90, 20) => ("Tx.Commit", Client, Request),
        (90, 21) => ("Tx.CommitOk", Server, Reply(20)),
        (90, 30) => ("Tx.Rollback", Client, Request),
        (90, 31) => ("Tx.RollbackOk", Server, Reply(30)),
        _ => return None,
    };
    Some(Kind { class, number, name, sender, role })
}

fn basic_kind(number: u16) -> Option<Kind> {
    use Role::{Content, OneWay, Reply, Request, Settle};
    use Sender::{Client, Either, Server};
    let (name, sender, role) = match number {
        10 => ("Basic.Qos", Client, Request),
        11 => ("Basic.QosOk", Server, Reply(10)),
        20 => ("Basic.Consume", Client, Request),
        21 => ("Basic.ConsumeOk", Server, Reply(20)),
        // RabbitMQ's servers cancel too, when a queue goes away.
        30 => ("Basic.Cancel", Either, Request),
        31 => ("Basic.CancelOk", Either, Reply(30)),
        40 => ("Basic.Publish", Client, Content),
        50 => ("Basic.Return", Server, Content),
        60 => ("Basic.Deliver", Server, Content),
        70 => ("Basic.Get", Client, Request),
        71 => ("Basic.GetOk", Server, Reply(70)),
        72 => ("Basic.GetEmpty", Server, Reply(70)),
        80 => ("Basic.Ack", Either, Settle),
        90 => ("Basic.Reject", Client, Settle),
        100 => ("Basic.RecoverAsync", Client, OneWay),
        110 => ("Basic.Recover", Client, Request),
        111 => ("Basic.RecoverOk", Server, Reply(110)),
        120 => ("Basic.Nack", Either, Settle),
        _ => return None,
    };
    Some(Kind { class: BASIC, number, name, sender, role })
}

/// What a method is about.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    /// `exchange.routing_key` or a queue.
    pub resource: Text,
    /// Name and value of what else it names.
    pub attribute: Option<(&'static str, Text)>,
    /// The sender wants no reply.
    pub no_wait: bool,
}

/// Reads what a request or one-way method is about.
pub(crate) fn subject(kind: &Kind, args: &[u8], limit: usize) -> Subject {
    read_subject(kind, Cursor::new(args), limit).unwrap_or_default()
}

fn read_subject(kind: &Kind, mut args: Cursor<'_>, limit: usize) -> Option<Subject> {
    let name = |bytes: &[u8]| bytes::text(bytes, limit);
    let plain = |resource: Text, bits: u8, no_wait: u8| {
        Some(Subject { resource, attribute: None, no_wait: bits >> no_wait & 1 != 0 })
    };
    match (kind.class, kind.number) {
        (CONNECTION, 10) => plain(product(args, limit), 0, 0),
        (CONNECTION, 60) => plain(name(args.short()?), 0, 0),
        (CONNECTION, 70) => {
            let _secret = args.long()?;
            plain(name(args.short()?), 0, 0)
        }
        (30, 10) => plain(name(args.short()?), 0, 0),
        (EXCHANGE, 10) => {
            let _ticket = args.u16()?;
            let exchange = args.short()?;
            let _type = args.short()?;
            plain(route(exchange, b"", limit), args.u8()?, 4)
        }
        (EXCHANGE, 20) => {
            let _ticket = args.u16()?;
            plain(route(args.short()?, b"", limit), args.u8()?, 1)
        }
        (EXCHANGE, 30 | 40) | (QUEUE, 20 | 50) => {
            let _ticket = args.u16()?;
            let (target, exchange, key) = (args.short()?, args.short()?, args.short()?);
            let what = if kind.class == QUEUE { "queue" } else { "destination" };
            Some(Subject {
                resource: route(exchange, key, limit),
                attribute: Some((what, name(target))),
                // Queue.Unbind has no such bit.
                no_wait: kind.number != 50 && args.u8().is_some_and(|bits| bits & 1 != 0),
            })
        }
        (QUEUE, 10 | 30 | 40) => {
            let _ticket = args.u16()?;
            let queue = name(args.short()?);
            let place = match kind.number {
                10 => 4,
                30 => 0,
                _ => 2,
            };
            plain(queue, args.u8()?, place)
        }
        (BASIC, basic::CONSUME) => {
            let _ticket = args.u16()?;
            let (queue, tag) = (args.short()?, args.short()?);
            let attribute = (!tag.is_empty()).then(|| ("consumer_tag", name(tag)));
            let no_wait = args.u8()? & 8 != 0;
            Some(Subject { resource: name(queue), attribute, no_wait })
        }
        (BASIC, basic::CANCEL) => {
            let attribute = Some(("consumer_tag", name(args.short()?)));
            let no_wait = args.u8()? & 1 != 0;
            Some(Subject { resource: Text::default(), attribute, no_wait })
        }
        (BASIC, basic::GET) => {
            let _ticket = args.u16()?;
            plain(name(args.short()?), 0, 0)
        }
        (CONFIRM, 10) => plain(Text::default(), args.u8()?, 0),
        _ => None,
    }
}

/// `exchange.routing_key`.
pub(crate) fn route(exchange: &[u8], key: &[u8], limit: usize) -> Text {
    let mut text = bytes::text(exchange, limit);
    text.push('.');
    text.push_str(&bytes::text(key, limit));
    text
}

/// Product and version that the server names in `Connection.Start`.
fn product(mut args: Cursor<'_>, limit: usize) -> Text {
    let _version = args.u16();
    let (mut product, mut version) = (&b""[..], &b""[..]);
    for (name, value) in args.table() {
        match name {
            b"product" => product = value.text().unwrap_or_default(),
            b"version" => version = value.text().unwrap_or_default(),
            _ => {}
        }
    }
    let mut text = bytes::text(product, limit.min(64));
    if !version.is_empty() {
        text.push(' ');
        text.push_str(&bytes::text(version, limit.min(64)));
    }
    text
}
