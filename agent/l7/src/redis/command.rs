//! What commands of Redis mean for their replies, and how they are shown.

use schema::Text;

use crate::redis::frame::Args;

/// What a command does to the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// One reply.
    Plain,
    /// One confirmation for each channel.
    Subscribe,
    /// One reply, then a line for each command of any client.
    Monitor,
    /// CLIENT.
    Client,
    /// The connection becomes a replication stream.
    Replication,
}

/// The class of a command, by its name in any case.
pub(crate) fn class_of(name: &[u8]) -> Class {
    const SUBSCRIBE: [&[u8]; 6] = [
        b"SUBSCRIBE",
        b"PSUBSCRIBE",
        b"SSUBSCRIBE",
        b"UNSUBSCRIBE",
        b"PUNSUBSCRIBE",
        b"SUNSUBSCRIBE",
    ];
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    match name.first().map(u8::to_ascii_uppercase) {
        Some(b'M') if is(b"MONITOR") => Class::Monitor,
        Some(b'C') if is(b"CLIENT") => Class::Client,
        Some(b'S' | b'P') if is(b"SYNC") || is(b"PSYNC") => Class::Replication,
        Some(b'S' | b'P' | b'U') if SUBSCRIBE.iter().any(|known| is(known)) => Class::Subscribe,
        _ => Class::Plain,
    }
}

/// What the first element of a pushed array says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Answers a SUBSCRIBE.
    Confirmation,
    /// Answers nothing.
    Pushed,
}

/// The kind of a message by its first element.
pub(crate) fn message_of(first: &[u8]) -> Option<Message> {
    match first {
        b"message" | b"pmessage" | b"smessage" | b"invalidate" | b"tracking-redir-broken" => {
            Some(Message::Pushed)
        }
        b"subscribe" | b"psubscribe" | b"ssubscribe" | b"unsubscribe" | b"punsubscribe"
        | b"sunsubscribe" => Some(Message::Confirmation),
        _ => None,
    }
}

/// Which arguments are shown as `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redaction {
    /// None.
    None,
    /// All.
    All,
    /// All but the first `keep`.
    After(usize),
    /// Of all after the first `keep`, each second one.
    EachSecond(usize),
}

/// Commands of which every argument is a key, a field or a number.
const KEYS_ONLY: &str = "\
    GET MGET DEL UNLINK EXISTS TTL PTTL TYPE EXPIRE PEXPIRE EXPIREAT PERSIST TOUCH KEYS \
    SCAN RANDOMKEY RENAME DUMP INCR DECR INCRBY DECRBY STRLEN GETDEL GETRANGE HGET HMGET \
    HGETALL HKEYS HVALS HLEN HDEL HEXISTS HSCAN HSTRLEN LLEN LRANGE LPOP RPOP LINDEX LTRIM \
    BLPOP BRPOP SCARD SMEMBERS SPOP SSCAN ZCARD ZRANGE ZREVRANGE ZCOUNT ZSCAN PING SELECT \
    INFO DBSIZE MULTI EXEC DISCARD WATCH SUBSCRIBE COMMAND";

/// Commands of which no argument is shown.
const NOTHING: &str = "AUTH HELLO EVAL EVALSHA ACL MIGRATE";

/// Redaction of a command: whatever may be a value is hidden, keys and fields are shown.
pub(crate) fn redaction_of(name: &[u8]) -> Redaction {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    if KEYS_ONLY.split(' ').any(is) {
        return Redaction::None;
    }
    if NOTHING.split(' ').any(is) {
        return Redaction::All;
    }
    if is("MSET") || is("MSETNX") {
        Redaction::EachSecond(0)
    } else if is("HSET") || is("HMSET") || is("HSETNX") {
        Redaction::EachSecond(1)
    } else if is("CONFIG") || is("CLIENT") || is("XADD") || is("SETEX") || is("PSETEX") {
        Redaction::After(2)
    } else {
        Redaction::After(1)
    }
}

/// A command with its arguments, as one text of at most `limit` bytes.
pub(crate) fn text(args: Args<'_>, redaction: Redaction, limit: usize) -> Text {
    let mut line = Vec::with_capacity(64);
    for (place, arg) in args.enumerate() {
        if line.len() > limit {
            break;
        }
        if place > 0 {
            line.push(b' ');
        }
        let hidden = match redaction {
            _ if place == 0 => false,
            Redaction::None => false,
            Redaction::All => true,
            Redaction::After(keep) => place > keep,
            Redaction::EachSecond(keep) => place > keep && (place - keep).is_multiple_of(2),
        };
        match hidden {
            true => line.push(b'?'),
            false => line.extend_from_slice(&arg[..arg.len().min(limit)]),
        }
        if hidden && !matches!(redaction, Redaction::EachSecond(_)) {
            break;
        }
    }
    crate::bytes::text(&line, limit)
}
