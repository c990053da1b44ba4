//! The contract of a protocol and the registry of all of them.
//!
//! A protocol is a module with a type that implements [`Protocol`], one line in `protocols!`, one
//! row in `schema/protocols.toml` and its cases in `testdata/`. It looks at first bytes (`probe`),
//! cuts frames (`frame`) and turns a frame into halves of sessions (`pair`); order, gaps, memory,
//! pairing and expiry are not its business.

use schema::L7Protocol;

use crate::segment::{Direction, Transport};
use crate::session::Pairing;

/// How likely some first bytes are this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Nothing else looks like this.
    Certain,
    /// It may be; the other direction must look like it too.
    Possible,
    /// Right so far, but too short to tell.
    Short,
    /// It is not.
    No,
}

/// What a probe may look at beside the first bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProbeContext {
    /// Who would have sent the bytes.
    pub direction: Direction,
    /// What carries them.
    pub transport: Transport,
    /// Port of the server. Only for ties.
    pub server_port: u16,
    /// The bytes after the first ones were cut off at capture: more will not come.
    pub cut: bool,
}

/// Bytes to cut a frame from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    /// At least one byte; starts where the last frame ended.
    pub bytes: &'a [u8],
    /// The bytes after these were cut off at capture: `Need` would be in vain.
    pub cut: bool,
    /// The bytes are one whole datagram.
    pub datagram: bool,
    /// Longest text that a record keeps: bytes of a frame beyond it need not be waited for.
    pub text_bytes: usize,
}

/// What was found at the front of some input.
#[derive(Debug)]
pub(crate) enum Step<F> {
    /// A frame of `used` bytes; those beyond the input are skipped when they come.
    Frame {
        /// What `pair` gets.
        frame: F,
        /// Its length, at least 1.
        used: u64,
    },
    /// Not before there are so many bytes.
    Need(usize),
    /// So many bytes are of no interest, at least 1; `u64::MAX`: all that come.
    Skip(u64),
    /// These bytes make no sense here.
    Lost,
}

impl<'a> Input<'a> {
    /// Cuts a message of `total_bytes`, of which the first `wanted` are to be read. The frame has
    /// exactly those, or fewer where the rest was not captured; what follows is passed over.
    pub fn message(&self, total_bytes: u64, wanted: usize) -> Step<&'a [u8]> {
        let wanted = usize::try_from(total_bytes).unwrap_or(usize::MAX).min(wanted);
        match self.bytes.get(..wanted) {
            Some(head) => Step::Frame { frame: head, used: total_bytes },
            None if self.cut || self.datagram => {
                Step::Frame { frame: self.bytes, used: total_bytes }
            }
            None => Step::Need(wanted),
        }
    }
}

impl<F> Step<F> {
    /// The same step with what `read` makes of its frame; `None`: the frame makes no sense.
    pub fn read<G>(self, read: impl FnOnce(F) -> Option<G>) -> Step<G> {
        match self {
            Self::Frame { frame, used } => match read(frame) {
                Some(frame) => Step::Frame { frame, used },
                None => Step::Lost,
            },
            Self::Need(bytes) => Step::Need(bytes),
            Self::Skip(bytes) => Step::Skip(bytes),
            Self::Lost => Step::Lost,
        }
    }
}

/// An application protocol, with what it knows of one conversation.
pub(crate) trait Protocol: Default {
    /// Its number in the schema.
    const ID: L7Protocol;
    /// What a frame is for it.
    type Frame<'a>;

    /// Looks at the first bytes of a stream, or a datagram. Cheap, total, no state. Only asked
    /// about what its line in the registry says that it is over.
    fn probe(first: &[u8], context: &ProbeContext) -> Probe;

    /// Cuts one frame from the front of `input`.
    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Self::Frame<'a>>;

    /// Turns a frame into halves of sessions.
    fn pair(&mut self, direction: Direction, frame: Self::Frame<'_>, out: &mut Pairing<'_>);

    /// Whether a frame plausibly starts here, after bytes of this direction were lost.
    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool;

    /// So many bytes of this direction were never seen. `true`: they lie within a body of known
    /// length, and reading goes on after them.
    fn pass_gap(&mut self, _direction: Direction, _bytes: u64, _out: &mut Pairing<'_>) -> bool {
        false
    }

    /// Bytes of this direction were lost: what is known of it may be wrong.
    fn lost(&mut self, _direction: Direction, _out: &mut Pairing<'_>) {}

    /// Requests are given up about now: what is half read for as long becomes what it can.
    fn expire(&mut self, _now_ns: u64, _out: &mut Pairing<'_>) {}

    /// The conversation ends: what is half read becomes what it can.
    fn close(&mut self, _out: &mut Pairing<'_>) {}

    /// Bytes held beyond the type itself.
    fn held_bytes(&self) -> usize {
        0
    }
}

/// What a protocol is looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    /// Byte streams.
    Tcp,
    /// Byte streams and datagrams.
    Both,
    /// Nothing: what carries it says so.
    Neither,
}

impl Carrier {
    fn includes(self, transport: Transport) -> bool {
        match self {
            Self::Tcp => transport == Transport::Tcp,
            Self::Both => true,
            Self::Neither => false,
        }
    }
}

/// Makes the registry: one line a protocol with what it is looked for in, in the order in which
/// they are tried.
macro_rules! protocols {
    ($($variant:ident over $carrier:ident: $parser:ty,)*) => {
        /// What this crate reads, in the order in which it is tried.
        pub const PARSED_PROTOCOLS: &[L7Protocol] = &[$(<$parser as Protocol>::ID),*];

        /// The protocol that a conversation speaks.
        #[derive(Debug)]
        pub(crate) enum Parser {
            $(#[allow(missing_docs)] $variant($parser),)*
        }

        impl Parser {
            /// A new one; `None` when this crate does not read `protocol`.
            pub fn new(protocol: L7Protocol) -> Option<Self> {
                $(if protocol == <$parser as Protocol>::ID {
                    return Some(Self::$variant(<$parser>::default()));
                })*
                None
            }

            /// Whether a protocol is looked for in what a transport carries.
            pub fn is_over(protocol: L7Protocol, transport: Transport) -> bool {
                $(if protocol == <$parser as Protocol>::ID {
                    return Carrier::$carrier.includes(transport);
                })*
                false
            }

            /// Asks one protocol about first bytes.
            pub fn probe(protocol: L7Protocol, first: &[u8], context: &ProbeContext) -> Probe {
                $(if protocol == <$parser as Protocol>::ID {
                    return <$parser>::probe(first, context);
                })*
                Probe::No
            }

            /// Reads one frame and pairs it.
            pub fn step(
                &mut self,
                direction: Direction,
                input: Input<'_>,
                out: &mut Pairing<'_>,
            ) -> Step<()> {
                match self {
                    $(Self::$variant(parser) => match parser.frame(direction, input) {
                        Step::Frame { frame, used } => {
                            out.note_captured(used.min(input.bytes.len() as u64) as u32);
                            parser.pair(direction, frame, out);
                            let used = used.saturating_add(out.pass_over);
                            Step::Frame { frame: (), used }
                        }
                        Step::Need(bytes) => Step::Need(bytes),
                        Step::Skip(bytes) => Step::Skip(bytes),
                        Step::Lost => Step::Lost,
                    },)*
                }
            }

            /// See [`Protocol::resync`].
            pub fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
                match self {
                    $(Self::$variant(parser) => parser.resync(direction, bytes),)*
                }
            }

            /// See [`Protocol::pass_gap`].
            pub fn pass_gap(
                &mut self,
                direction: Direction,
                bytes: u64,
                out: &mut Pairing<'_>,
            ) -> bool {
                match self {
                    $(Self::$variant(parser) => parser.pass_gap(direction, bytes, out),)*
                }
            }

            /// See [`Protocol::lost`].
            pub fn lost(&mut self, direction: Direction, out: &mut Pairing<'_>) {
                match self {
                    $(Self::$variant(parser) => parser.lost(direction, out),)*
                }
            }

            /// See [`Protocol::expire`].
            pub fn expire(&mut self, now_ns: u64, out: &mut Pairing<'_>) {
                match self {
                    $(Self::$variant(parser) => parser.expire(now_ns, out),)*
                }
            }

            /// See [`Protocol::close`].
            pub fn close(&mut self, out: &mut Pairing<'_>) {
                match self {
                    $(Self::$variant(parser) => parser.close(out),)*
                }
            }

            /// See [`Protocol::held_bytes`].
            pub fn held_bytes(&self) -> usize {
                match self {
                    $(Self::$variant(parser) => parser.held_bytes(),)*
                }
            }

            /// Its number in the schema.
            pub fn id(&self) -> L7Protocol {
                match self {
                    $(Self::$variant(_) => <$parser as Protocol>::ID,)*
                }
            }
        }
    };
}

protocols! {
    Http1 over Tcp: crate::http1::Http1,
    Http2 over Tcp: crate::http2::Http2,
    Tls over Tcp: crate::tls::Tls,
    Redis over Tcp: crate::redis::Redis,
    Mysql over Tcp: crate::mysql::Mysql,
    Postgresql over Tcp: crate::postgresql::Postgresql,
    Pulsar over Tcp: crate::pulsar::Pulsar,
    Rocketmq over Tcp: crate::rocketmq::Rocketmq,
    Kafka over Tcp: crate::kafka::Kafka,
    Dns over Both: crate::dns::Dns,
    Mqtt over Tcp: crate::mqtt::Mqtt,
    Mongodb over Tcp: crate::mongodb::Mongodb,
    Amqp over Tcp: crate::amqp::Amqp,
    Nats over Tcp: crate::nats::Nats,
    Zmtp over Tcp: crate::zmtp::Zmtp,
    OpenWire over Tcp: crate::openwire::OpenWire,
    Smtp over Tcp: crate::smtp::Smtp,
    Memcached over Both: crate::memcached::Memcached,
    Dubbo over Tcp: crate::dubbo::Dubbo,
    Cassandra over Tcp: crate::cassandra::Cassandra,
    Tds over Tcp: crate::tds::Tds,
    Oracle over Tcp: crate::oracle::Oracle,
    Ldap over Both: crate::ldap::Ldap,
    Brpc over Tcp: crate::brpc::Brpc,
    FastCgi over Tcp: crate::fastcgi::FastCgi,
    SofaRpc over Tcp: crate::sofarpc::SofaRpc,
    Tars over Tcp: crate::tars::Tars,
    SomeIp over Both: crate::some_ip::SomeIp,
    Krpc over Tcp: crate::krpc::Krpc,
    Thrift over Tcp: crate::thrift::Thrift,
    Iso8583 over Tcp: crate::iso8583::Iso8583,
    Ping over Neither: crate::ping::Ping,
    Custom over Neither: crate::custom::Custom,
}
