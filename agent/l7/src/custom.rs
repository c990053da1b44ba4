//! Protocols read by plug-ins (see `plugin` and docs/plugins.md).
//!
//! The plug-in cuts messages and names their columns; order, gaps, memory, pairing and expiry are
//! the business of this crate as for any other protocol. After bytes were lost, reading goes on
//! where the plug-in takes a segment's first bytes for its own.

use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes;
use crate::plugin::{PluginHandle, PluginInput, PluginMessage, PluginMessageKind, PluginStep};
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::record::Record;
use crate::segment::{Direction, Transport};
use crate::session::{Key, Pairing};

/// A conversation that a plug-in reads. Without one, nothing is read.
#[derive(Debug, Default)]
pub(crate) struct Custom {
    speaker: Option<Speaker>,
}

#[derive(Debug)]
struct Speaker {
    plugin: PluginHandle,
    name: Text,
    conversation: u64,
    transport: Transport,
    server_port: u16,
}

impl Custom {
    /// A new conversation of a plug-in.
    pub fn of(plugin: &PluginHandle, transport: Transport, server_port: u16) -> Self {
        let name = plugin.with(|plugin| Text::from(plugin.name()));
        let conversation = plugin.next_conversation();
        let plugin = plugin.clone();
        Self { speaker: Some(Speaker { plugin, name, conversation, transport, server_port }) }
    }
}

impl Protocol for Custom {
    const ID: L7Protocol = L7Protocol::Custom;
    type Frame<'a> = Vec<PluginMessage>;

    /// Plug-ins are asked by `infer`: they are not known here.
    fn probe(_first: &[u8], _context: &ProbeContext) -> Probe {
        Probe::No
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Vec<PluginMessage>> {
        let Some(speaker) = &self.speaker else { return Step::Skip(u64::MAX) };
        let mut messages = Vec::new();
        let (bytes, is_cut, is_datagram) = (input.bytes, input.cut, input.datagram);
        let call = PluginInput { direction, bytes, is_cut, is_datagram };
        let step = speaker.plugin.with(|plugin| match plugin.is_disabled() {
            true => None,
            false => Some(plugin.parse(speaker.conversation, call, &mut messages)),
        });
        match step {
            None => Step::Skip(u64::MAX),
            Some(PluginStep::Used(used)) if used > 0 => Step::Frame { frame: messages, used },
            Some(PluginStep::Need(bytes)) => Step::Need(bytes),
            Some(_) => Step::Lost,
        }
    }

    fn pair(&mut self, _direction: Direction, messages: Vec<PluginMessage>, out: &mut Pairing<'_>) {
        let Some(speaker) = &self.speaker else { return };
        for message in messages {
            let key = message.key.map_or(Key::Order, Key::Id);
            let fields = fitted(message.fields, out.config.limits.text_bytes);
            match message.kind {
                PluginMessageKind::Request => {
                    let record = request(fields, speaker, out);
                    out.request(key, record, 0);
                }
                PluginMessageKind::OneWay => {
                    let (status, code) = (fields.response_status, fields.response_code);
                    let mut record = request(fields, speaker, out);
                    (record.response_status, record.response_code) = (status, code);
                    out.one_way(record);
                }
                PluginMessageKind::Response => respond(key, *fields, speaker, out),
            }
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        self.speaker.as_ref().is_some_and(|speaker| {
            let Speaker { transport, server_port, .. } = *speaker;
            let context = ProbeContext { direction, transport, server_port, cut: false };
            matches!(speaker.plugin.probe(bytes, &context), Probe::Certain | Probe::Possible)
        })
    }

    fn close(&mut self, _out: &mut Pairing<'_>) {
        if let Some(Speaker { plugin, conversation, .. }) = self.speaker.take() {
            plugin.with(|plugin| plugin.close(conversation));
        }
    }
}

/// The record of a request: its columns, and what this crate knows of it.
fn request(mut fields: Box<Record>, speaker: &Speaker, out: &mut Pairing<'_>) -> Box<Record> {
    let known = out.record();
    fields.protocol_name = speaker.name.clone();
    fields.start_ns = known.start_ns;
    fields.end_ns = known.end_ns;
    fields.req_tcp_seq = known.req_tcp_seq;
    fields.request_origin = known.request_origin;
    fields.is_tls = known.is_tls;
    fields.captured_request_bytes = known.captured_request_bytes;
    fields.response_status = ResponseStatus::Unknown;
    fields.response_code = None;
    fields
}

fn respond(key: Key, fields: Record, speaker: &Speaker, out: &mut Pairing<'_>) {
    let status = match (fields.response_status, &*fields.response_exception) {
        // It says nothing of how it ended: well, unless there is an error text.
        (ResponseStatus::Unknown, "") => ResponseStatus::Ok,
        (ResponseStatus::Unknown, _) => ResponseStatus::ServerError,
        (status, _) => status,
    };
    let mut echo = out.record();
    echo.protocol_name = speaker.name.clone();
    echo.request_id = fields.request_id.or(match key {
        Key::Id(id) => Some(id),
        Key::Order => None,
    });
    echo.request_type = fields.request_type;
    let mut response = out.answer(status);
    response.code = fields.response_code;
    response.exception = fields.response_exception;
    response.result = fields.response_result;
    response.bytes = fields.response_bytes;
    response.affected_rows = fields.sql_affected_rows;
    response.x_request_id = fields.x_request_id_1;
    response.version = fields.version;
    response.attributes = fields.attributes;
    response.metrics = fields.metrics;
    response.echo = Some(echo);
    out.response(key, response);
}

/// The same with no text longer than `limit`.
fn fitted(mut fields: Box<Record>, limit: usize) -> Box<Record> {
    let record = &mut *fields;
    let texts = [
        &mut record.version,
        &mut record.request_type,
        &mut record.request_domain,
        &mut record.request_resource,
        &mut record.endpoint,
        &mut record.response_exception,
        &mut record.response_result,
    ];
    let values = record.attributes.iter_mut().map(|(_, value)| value);
    for text in texts.into_iter().chain(values).filter(|text| text.len() > limit) {
        *text = bytes::text(text.as_bytes(), limit);
    }
    fields
}
