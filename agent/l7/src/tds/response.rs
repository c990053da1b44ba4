//! Answers of servers: from their first packet to the end of their message.

use schema::{ResponseStatus, Text};

use crate::session::{Key, Pairing};
use crate::tds::packet::{self, Packet};
use crate::tds::token::Outcome;
use crate::tds::{Tds, login};

/// Errors that blame the server though their class is one of those a user can correct:
/// a deadlock, a lock that was waited for too long.
const SERVER_ERRORS: [i32; 2] = [1205, 1222];

/// From this class on an error is the server's ([MS-TDS] 2.2.7.10).
const SERVER_CLASS: u8 = 17;

impl Tds {
    /// A packet of the server.
    pub(crate) fn read_server(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        let is_first = self.open.is_none();
        if is_first {
            let mut response = out.answer(ResponseStatus::Ok);
            response.bytes = Some(0);
            self.tokens.start();
            let expected = out.expected_tag();
            let may_be = expected.is_none_or(|tag| tag == u64::from(packet::PRELOGIN));
            if may_be && login::is_prelogin(packet.payload) {
                if let Some(encryption) = login::encryption(packet.payload) {
                    let name = Text::const_new("server_encryption");
                    response.attributes.push((name, encryption));
                }
                response.bytes = Some(packet.bytes as i64);
                return out.response(Key::Order, response);
            }
            self.open = Some(response);
        }
        if let Some(response) = &mut self.open {
            response.bytes = response.bytes.map(|bytes| bytes + packet.bytes as i64);
        }
        let is_end = packet.is_last() && packet.is_whole();
        self.tokens.read(packet.payload, is_end, out.config.limits.text_bytes);
        if !packet.is_whole() {
            self.tokens.lose();
        }
        if packet.is_last() {
            self.finish(out);
        }
    }

    /// Ends the answer that is being read.
    pub(crate) fn finish(&mut self, out: &mut Pairing<'_>) {
        let outcome = std::mem::take(&mut self.tokens.outcome);
        let Some(mut response) = self.open.take() else { return };
        if let Some(version) = outcome.version {
            self.version = login::version_name(version);
        }
        let says_nothing = outcome.is_attention || outcome.version.is_some();
        if says_nothing && outcome.error.is_none() && out.expected_tag().is_none() {
            // There was nothing to give up any more, or the login was encrypted.
            return;
        }
        response.version = self.version.clone();
        response.affected_rows = outcome.rows;
        self.note_handle(&outcome, out);
        if let Some(fault) = outcome.error {
            let is_servers = fault.class >= SERVER_CLASS
                || SERVER_ERRORS.contains(&fault.number)
                || fault.number == 0;
            response.status = match is_servers {
                true => ResponseStatus::ServerError,
                false => ResponseStatus::ClientError,
            };
            response.code = (fault.number != 0).then_some(fault.number);
            response.exception = fault.message;
        } else if outcome.is_attention {
            response.status = ResponseStatus::ClientError;
            response.exception = Text::const_new("attention");
        }
        out.response(Key::Order, response);
    }

    /// Remembers the statement that an answer gives a handle to.
    fn note_handle(&mut self, outcome: &Outcome, out: &Pairing<'_>) {
        let Some(text) = self.preparing.take() else { return };
        let Some(handle) = outcome.handle.filter(|handle| *handle != 0) else { return };
        if self.statements.len() >= out.config.limits.statements {
            self.statements.pop_first();
        }
        self.statements.insert(handle, text);
    }
}
