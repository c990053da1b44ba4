//! Messages of clients.

use schema::Text;

use crate::bytes::{self, Reader};
use crate::postgresql::{Awaited, Message, Postgresql, Startup};
use crate::session::Pairing;

/// Portals remembered for one connection.
const PORTALS_MAX: usize = 64;

const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

impl Postgresql {
    /// One message of the client.
    pub(super) fn read_client(&mut self, message: &Message<'_>, out: &mut Pairing<'_>) {
        let limit = out.config.limits.text_bytes;
        let mut reader = Reader::new(message.body);
        let mut name = || bytes::text(reader.until_nul().unwrap_or_default(), 256);
        match message.kind {
            0 => self.startup_message(message, out),
            b'Q' => {
                let sql = bytes::text(until_nul(message.body), limit);
                self.cycle = None;
                let id = self.request("Q", sql, out);
                self.await_step(Awaited::Query { id, failed: false });
            }
            b'P' => {
                let statement = name();
                let sql = bytes::text(until_nul(reader.rest()), limit);
                let mark = self.start_cycle(out);
                self.cycle_parses = true;
                self.remember(statement, sql.clone(), out);
                self.await_step(Awaited::Parse { sql, mark });
            }
            b'B' => {
                let (portal, statement) = (name(), name());
                let mark = self.start_cycle(out);
                if self.portals.len() >= PORTALS_MAX {
                    self.portals.pop_first();
                }
                self.portals.insert(portal, statement);
                self.await_step(Awaited::Other { mark });
            }
            b'D' => {
                let mark = self.start_cycle(out);
                self.await_step(Awaited::Other { mark });
            }
            b'C' => {
                let is_statement = message.body.first() == Some(&b'S');
                let closed = bytes::text(until_nul(message.body.get(1..).unwrap_or_default()), 256);
                match is_statement {
                    true => self.statements.remove(&closed),
                    false => self.portals.remove(&closed),
                };
                self.await_step(Awaited::Other { mark: out.mark });
            }
            b'E' => {
                let portal = name();
                let statement = self.portals.get(&portal);
                let sql = statement.and_then(|statement| self.statements.get(statement));
                let sql = sql.cloned().unwrap_or_default();
                let kind = if self.cycle_parses { "P" } else { "E" };
                let id = self.request(kind, sql, out);
                self.await_step(Awaited::Execute { id });
                self.end_cycle();
            }
            b'F' => {
                let id = self.request("F", Text::default(), out);
                self.await_step(Awaited::Execute { id });
                self.await_step(Awaited::Sync);
                self.end_cycle();
            }
            b'S' => {
                self.await_step(Awaited::Sync);
                self.end_cycle();
            }
            b'H' => self.end_cycle(),
            _ => {}
        }
    }

    fn startup_message(&mut self, message: &Message<'_>, out: &mut Pairing<'_>) {
        let mut reader = Reader::new(message.body);
        match reader.u32_be() {
            Some(SSL_REQUEST | GSSENC_REQUEST) => self.startup = Startup::Asked,
            Some(CANCEL_REQUEST) => {}
            Some(code) if code >> 16 == 3 => {
                let mut who = Text::default();
                while let (Some(key), Some(value)) = (reader.until_nul(), reader.until_nul()) {
                    if matches!(key, b"user" | b"database") {
                        if !who.is_empty() {
                            who.push(' ');
                        }
                        who.push_str(&bytes::text(key, 16));
                        who.push('=');
                        who.push_str(&bytes::text(value, 256));
                    }
                }
                self.startup = Startup::Sent { who, mark: out.mark };
            }
            _ => {}
        }
    }

    fn start_cycle(&mut self, out: &Pairing<'_>) -> crate::stream::Mark {
        *self.cycle.get_or_insert(out.mark)
    }

    fn end_cycle(&mut self) {
        self.cycle = None;
        self.cycle_parses = false;
    }

    fn remember(&mut self, name: Text, sql: Text, out: &Pairing<'_>) {
        if self.statements.len() >= out.config.limits.statements
            && !self.statements.contains_key(&name)
        {
            // The unnamed statement comes first in order and is the one used most.
            self.statements.pop_last();
        }
        self.statements.insert(name, sql);
    }
}

/// Bytes up to the first NUL, or all.
fn until_nul(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes::find(bytes, 0).unwrap_or(bytes.len())]
}
