//! Responses of NATS: what a message says about how a request ended.
//!
//! In: a message that answers a request, or the text of `-ERR`. Out: its response, with the
//! status that headers (ADR-4, ADR-32) or JetStream's reply (ADR-1) give it.

use schema::{ResponseStatus, Text};

use crate::bytes;
use crate::nats::header::Headers;
use crate::nats::json::Members;
use crate::nats::operation::Message;
use crate::session::{Pairing, Response};
use crate::trace::TraceContext;

/// The response that a message is.
pub(crate) fn answer(
    version: &Text,
    message: &Message<'_>,
    is_acknowledgement: bool,
    out: &Pairing<'_>,
) -> Response {
    let limit = out.config.limits.text_bytes;
    let mut response = out.answer(ResponseStatus::Ok);
    response.version = version.clone();
    response.bytes = i64::try_from(message.total_bytes).ok();
    if is_acknowledgement {
        let word = message.payload.split(|byte| *byte == b' ').next().unwrap_or_default();
        response.result = bytes::text(word, 8);
        if word == b"-NAK" || word == b"+TERM" {
            response.status = ResponseStatus::ClientError;
            response.exception = response.result.clone();
        }
        return response;
    }
    if let Some(headers) = Headers::read(message.headers) {
        if headers.code != 0 {
            fill_code(headers.code, headers.description, &mut response);
        }
        let mut context = TraceContext::default();
        let (mut code, mut text) = (0, &b""[..]);
        for (name, value) in headers {
            context.header(&out.config.trace, name, value);
            match name {
                b"Nats-Service-Error" => text = value,
                b"Nats-Service-Error-Code" => code = decimal(value),
                _ => note_header(&mut response.attributes, name, value, limit),
            }
        }
        response.x_request_id = context.x_request_id();
        if code != 0 || !text.is_empty() {
            fill_code(if code == 0 { 500 } else { code }, text, &mut response);
        }
    }
    note_fault(message.payload, &mut response);
    response
}

/// Keeps what NATS itself says in a header.
pub(crate) fn note_header(
    attributes: &mut Vec<(Text, Text)>,
    name: &[u8],
    value: &[u8],
    limit: usize,
) {
    const ATTRIBUTES_MAX: usize = 16;
    let is_own = name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"Nats-"));
    if is_own && attributes.len() < ATTRIBUTES_MAX {
        attributes.push((bytes::text(name, 64), bytes::text(value, limit)));
    }
}

/// A code in the manner of HTTP. That there is no message (404, 408) is no error.
fn fill_code(code: u16, text: &[u8], response: &mut Response) {
    response.code = Some(i32::from(code));
    response.status = match code {
        404 | 408 => ResponseStatus::Ok,
        _ => status_of(code),
    };
    let text = if (code, text) == (503, b"") { b"No Responders" } else { text };
    match response.status {
        ResponseStatus::Ok => response.result = bytes::text(text, 256),
        _ => response.exception = bytes::text(text, 256),
    }
}

fn status_of(code: u16) -> ResponseStatus {
    match code {
        400..500 => ResponseStatus::ClientError,
        500.. => ResponseStatus::ServerError,
        _ => ResponseStatus::Ok,
    }
}

/// The error in a reply of JetStream: `{"error":{"code":404,"err_code":10059,"description":…}`.
/// What services put into their payloads has no such number.
fn note_fault(payload: &[u8], response: &mut Response) {
    if payload.first() != Some(&b'{') {
        return;
    }
    let Some((_, error)) = Members::of(payload).find(|(name, _)| *name == b"error") else { return };
    let (mut code, mut number, mut text) = (0, &b""[..], &b""[..]);
    for (name, value) in Members::of(error.text()) {
        match name {
            b"code" => code = decimal(value.text()),
            b"err_code" => number = value.text(),
            b"description" => text = value.text(),
            _ => {}
        }
    }
    if !number.is_empty() {
        response.code = Some(i32::from(code));
        response.status = status_of(code.max(400));
        response.exception = bytes::text(text, 256);
        response.attributes.push(("err_code".into(), bytes::text(number, 16)));
    }
}

/// `-ERR`: what the client did, but for a server that is full or goes away.
pub(crate) fn fill_error(text: &[u8], response: &mut Response, out: &Pairing<'_>) {
    const OF_THE_SERVER: [&[u8]; 6] = [
        b"Maximum Connections",
        b"Maximum Account",
        b"Server Shutdown",
        b"Stale Connection",
        b"Cluster Name",
        b"No Responders",
    ];
    let is_servers = OF_THE_SERVER.iter().any(|start| {
        text.get(..start.len()).is_some_and(|front| front.eq_ignore_ascii_case(start))
    });
    response.status = match is_servers {
        true => ResponseStatus::ServerError,
        false => ResponseStatus::ClientError,
    };
    response.exception = bytes::text(text, out.config.limits.text_bytes.min(1024));
}

fn decimal(text: &[u8]) -> u16 {
    bytes::decimal(text).and_then(|number| u16::try_from(number).ok()).unwrap_or(0)
}
