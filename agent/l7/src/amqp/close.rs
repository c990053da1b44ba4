//! Closing a connection or channel of AMQP 0-9-1, with the reason.
//!
//! In: the arguments of `Connection.Close` or `Channel.Close`. Out: halves of sessions. A close
//! without error, or of the client, waits for its confirmation. One with an error of the server
//! answers the request that it names, and ends everything on its channel.

use schema::{ResponseStatus, Text};

use crate::amqp::channels::{Call, Channels, VERSION};
use crate::amqp::field::Cursor;
use crate::amqp::key::{self, Waiter};
use crate::amqp::method;
use crate::bytes;
use crate::segment::Direction;
use crate::session::{Key, Pairing, Response};

/// Why something is closed.
#[derive(Clone, Copy, Debug)]
struct Close<'a> {
    code: u16,
    text: &'a [u8],
    /// The method that failed; zeros where there is none.
    class: u16,
    number: u16,
}

/// `reply-success`: nothing failed.
const SUCCESS: u16 = 200;

impl<'a> Close<'a> {
    /// Reads the arguments; what is cut off is zero.
    fn read(args: &'a [u8]) -> Self {
        let mut args = Cursor::new(args);
        let code = args.u16().unwrap_or(0);
        let text = args.short().unwrap_or_default();
        let (class, number) = (args.u16().unwrap_or(0), args.u16().unwrap_or(0));
        Self { code, text, class, number }
    }

    /// Something failed.
    fn is_error(&self) -> bool {
        !matches!(self.code, 0 | SUCCESS)
    }
}

/// The status of a reply code (specification, "reply codes"): all but a forced close, a lack of
/// resources and an internal error say what the client did wrong.
pub(crate) fn status_of(code: u16) -> ResponseStatus {
    match code {
        0 | SUCCESS => ResponseStatus::Ok,
        320 | 506 | 541.. => ResponseStatus::ServerError,
        _ => ResponseStatus::ClientError,
    }
}

impl Channels {
    /// `Connection.Close` or `Channel.Close`.
    pub fn close_method(&mut self, call: &Call<'_>, out: &mut Pairing<'_>) {
        let close = Close::read(call.args);
        let text = bytes::text(close.text, out.config.limits.text_bytes);
        if !close.is_error() || call.direction == Direction::ClientToServer {
            let mut record = self.plain_record(call, out);
            if close.is_error() {
                record.response_code = Some(i32::from(close.code));
                record.response_exception = text;
            }
            self.wait(call, record, out);
            return;
        }
        let mut response = out.answer(status_of(close.code));
        response.version = VERSION;
        response.code = Some(i32::from(close.code));
        response.exception = text;
        response.result = Text::const_new(call.kind.name);
        match failed(call, &close, out) {
            Some(id) => out.response(Key::Id(id), response),
            None => {
                let mut echo = self.plain_record(call, out);
                echo.is_reversed = false;
                if let Some(kind) = method::kind_of(close.class, close.number) {
                    echo.attributes.push(("failed_method".into(), Text::const_new(kind.name)));
                }
                response.result = Text::default();
                response.echo = Some(echo);
                out.lone_response(response);
            }
        }
        self.forget_below(call, out);
        self.channel(call.channel).closing = true;
    }

    /// `Connection.CloseOk` or `Channel.CloseOk`.
    pub fn closed(
        &mut self,
        call: &Call<'_>,
        request: u16,
        mut response: Response,
        out: &mut Pairing<'_>,
    ) {
        let asking = Waiter::of(call.direction.opposite());
        let range = asking.on_method(call.channel, call.kind.class, request);
        match out.waiting_id(range).and_then(|id| out.waiting(id)) {
            Some(record) => {
                if let Some(code) = record.response_code {
                    response.status = status_of(u16::try_from(code).unwrap_or(0));
                    response.code = Some(code);
                    response.exception = std::mem::take(&mut record.response_exception);
                }
                self.respond(call, request, response, out);
            }
            None if self.channel(call.channel).closing => {}
            None => self.respond(call, request, response, out),
        }
        self.forget_below(call, out);
    }

    /// Everything on a closed channel or connection ends.
    fn forget_below(&mut self, call: &Call<'_>, out: &mut Pairing<'_>) {
        match call.kind.class {
            method::CONNECTION => self.forget_all(out),
            _ => self.forget(call.channel, out),
        }
    }
}

/// The id of the request that failed, if it waits.
fn failed(call: &Call<'_>, close: &Close<'_>, out: &Pairing<'_>) -> Option<u64> {
    if (close.class, close.number) == (method::BASIC, method::basic::PUBLISH) {
        // Which of several it was, nobody says.
        let range = match call.kind.class {
            method::CONNECTION => Waiter::Publish.everywhere(),
            _ => Waiter::Publish.on_channel(call.channel),
        };
        let only = out.waiting_id(range.clone());
        return only.filter(|id| out.last_waiting_id(range) == Some(*id));
    }
    let range = Waiter::Client.on_method(call.channel, close.class, close.number);
    let on_channel = out.waiting_id(range);
    if on_channel.is_some() || call.kind.class != method::CONNECTION {
        return on_channel;
    }
    let is_failed = |id: &u64| key::is_of_method(*id, close.class, close.number);
    out.waiting_ids(Waiter::Client.everywhere()).find(is_failed)
}
