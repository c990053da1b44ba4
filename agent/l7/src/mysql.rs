//! MySQL and MariaDB client protocol: dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html,
//! mariadb.com/kb/en/clientserver-protocol/
//!
//! ```text
//! packet     := len: u24 le  seq: u8  body: len            (len 0xffffff: goes on in the next)
//! compressed := len: u24 le  seq: u8  plain_len: u24 le  body: len   (zlib; plain_len 0: stored)
//! ```
//! One session for each command and one for the login. STMT_CLOSE, STMT_SEND_LONG_DATA and QUIT
//! have no response and are sessions by themselves. A response runs from its first packet to the
//! end of its last result set; its time is that of the first packet. Rows are counted and passed
//! over. After an SSL request the connection speaks TLS.

mod command;
mod compression;
mod packet;
mod parameter;
mod probe;
mod response;

use std::collections::BTreeMap;

use schema::{L7Protocol, Text};

use crate::inflate::Inflater;
use crate::inner::Inner;
pub(crate) use crate::mysql::command::is_statement;
use crate::mysql::compression::Compressed;
use crate::mysql::packet::Packet;
use crate::mysql::response::Answering;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::Pairing;

/// One connection to a MySQL or MariaDB server.
#[derive(Debug, Default)]
pub(crate) struct Mysql {
    wire: Wire,
    /// Bytes of the inner stream that were inflated and not read, by direction.
    inner: [Inner; 2],
    answering: Answering,
    login: Login,
    server_version: Text,
    statements: BTreeMap<u32, Statement>,
    encrypted: bool,
}

/// How packets are laid on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wire {
    /// Not seen yet: the first packet tells.
    #[default]
    Unknown,
    Plain,
    Compressed,
}

/// Where the login stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Login {
    /// Not seen, or done.
    #[default]
    None,
    /// The server greeted.
    Greeted,
    /// The client answered with these capabilities.
    Answered { capabilities: u32 },
}

/// A prepared statement.
#[derive(Debug, Default)]
struct Statement {
    sql: Text,
    parameters: u16,
    /// Types of the parameters as last bound.
    types: Vec<u16>,
}

/// What was cut from the wire.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Packet(Packet<'a>),
    Compressed(Compressed<'a>),
}

impl Protocol for Mysql {
    const ID: L7Protocol = L7Protocol::Mysql;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        probe::first_bytes(context.direction, first, context.cut)
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        if self.encrypted {
            return Step::Skip(u64::MAX);
        }
        if self.wire == Wire::Unknown {
            match probe::wire(direction, input.bytes) {
                Some(wire) => self.wire = wire,
                None if input.bytes.len() < 12 && !input.cut => {
                    return Step::Need(input.bytes.len() + 1);
                }
                None => self.wire = Wire::Plain,
            }
        }
        match self.wire {
            Wire::Compressed => compression::frame(input),
            _ => match self.packet(direction, input) {
                Step::Frame { frame, used } => Step::Frame { frame: Frame::Packet(frame), used },
                Step::Need(bytes) => Step::Need(bytes),
                Step::Skip(bytes) => Step::Skip(bytes),
                Step::Lost => Step::Lost,
            },
        }
    }

    fn pair(&mut self, direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        match frame {
            Frame::Packet(packet) => self.pair_packet(direction, &packet, out),
            Frame::Compressed(compressed) => self.pair_compressed(direction, &compressed, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        match self.wire {
            Wire::Compressed => compression::may_start(bytes),
            _ => probe::may_start(direction, bytes),
        }
    }

    fn lost(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        self.inner[direction.index()] = Inner::default();
        if direction == Direction::ServerToClient {
            self.answering.lost(out);
        }
        if self.login != Login::None {
            self.login = Login::None;
        }
    }

    fn close(&mut self, out: &mut Pairing<'_>) {
        self.answering.finish(out);
    }

    fn held_bytes(&self) -> usize {
        let inner: usize = self.inner.iter().map(Inner::held_bytes).sum();
        let texts: usize = self.statements.values().map(|statement| statement.sql.len() + 64).sum();
        inner + texts
    }
}

impl Mysql {
    /// Cuts a packet of the stream without compression.
    fn packet<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Packet<'a>> {
        if direction == Direction::ServerToClient
            && let Some(rows_bytes) = self.answering.pass_rows(input.bytes)
        {
            return Step::Skip(rows_bytes);
        }
        packet::cut(input)
    }

    fn pair_packet(&mut self, direction: Direction, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        match direction {
            Direction::ClientToServer => self.read_client(packet, out),
            Direction::ServerToClient => self.read_server(packet, out),
        }
    }

    fn pair_compressed(
        &mut self,
        direction: Direction,
        compressed: &Compressed<'_>,
        out: &mut Pairing<'_>,
    ) {
        let inner = &mut self.inner[direction.index()];
        // Numbers start over with each command: 0 of the client, 1 of the server.
        if inner.is_lost && compressed.seq > direction.index() as u8 {
            return;
        }
        inner.is_lost = false;
        let mut plain_bytes = 0;
        if compressed.plain_bytes == 0 {
            self.pair_inner(direction, compressed.body, out);
        } else if out.config.mysql_decompress {
            let mut inflater = Inflater::new(compressed.body);
            let mut chunk = [0; compression::CHUNK_BYTES];
            while let Some(bytes) = inflater.next_chunk(&mut chunk) {
                plain_bytes += bytes.len();
                self.pair_inner(direction, bytes, out);
            }
        }
        if !compressed.is_whole || plain_bytes != compressed.plain_bytes {
            if direction == Direction::ServerToClient {
                self.answering.lost(out);
            }
            self.inner[direction.index()] = Inner::lost();
        }
    }

    /// Reads what was inflated; a packet that is not complete waits for more.
    fn pair_inner(&mut self, direction: Direction, bytes: &[u8], out: &mut Pairing<'_>) {
        let side = direction.index();
        let mut inner = std::mem::take(&mut self.inner[side]);
        let text_bytes = out.config.limits.text_bytes;
        let makes_sense = inner.read(bytes, |bytes| {
            let input = Input { bytes, cut: false, datagram: false, text_bytes };
            self.packet(direction, input).read(|packet| {
                self.pair_packet(direction, &packet, out);
                Some(())
            })
        });
        if !makes_sense {
            self.answering.lost(out);
        }
        self.inner[side] = inner;
    }

    fn read_client(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        self.answering.note_client(packet.seq);
        match self.login {
            Login::Greeted => self.login_request(packet, out),
            Login::None if packet.seq == 1 && packet::capabilities(packet.body).is_some() => {
                self.login_request(packet, out);
            }
            // What else has a number is data of a login, of LOAD DATA LOCAL, or goes on from a
            // packet before.
            _ if packet.seq != 0 || packet.body.is_empty() => {}
            _ => {
                self.login = Login::None;
                self.command(packet, out);
            }
        }
    }

    fn login_request(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        let Some(capabilities) = packet::capabilities(packet.body) else {
            self.login = Login::None;
            return;
        };
        if capabilities & packet::CLIENT_SSL != 0 && packet.body_bytes == 32 {
            out.handover = true;
            return;
        }
        self.login = Login::Answered { capabilities };
        let mut record = out.record();
        record.version = self.server_version.clone();
        record.request_type = Text::const_new("LOGIN");
        record.request_resource = packet::login_text(packet.body, capabilities);
        record.endpoint = record.request_resource.clone();
        self.answering.expect(out);
        out.request(crate::session::Key::Order, record, command::tag::LOGIN);
    }

    fn read_server(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        if packet.seq == 0
            && let Some(version) = packet::greeting_version(packet.body)
        {
            self.server_version = crate::bytes::text(version, 64);
            self.login = Login::Greeted;
            return;
        }
        if let Login::Answered { capabilities } = self.login {
            match packet.body.first() {
                // Authentication goes on: another method, or more data.
                Some(0xfe | 0x01) => return,
                Some(0) if capabilities & packet::CLIENT_COMPRESS != 0 => {
                    self.wire = Wire::Compressed;
                }
                Some(0) if capabilities & packet::CLIENT_ZSTD != 0 => {
                    self.encrypted = true;
                }
                _ => {}
            }
            self.login = Login::None;
        }
        if let Some((id, statement)) = self.answering.packet(packet, out) {
            self.remember(id, statement, out);
        }
    }

    fn remember(&mut self, id: u32, statement: Statement, out: &Pairing<'_>) {
        if self.statements.len() >= out.config.limits.statements {
            self.statements.pop_first();
        }
        self.statements.insert(id, statement);
    }
}

#[cfg(test)]
mod tests;
