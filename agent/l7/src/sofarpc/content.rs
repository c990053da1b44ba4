//! What SOFARPC puts into Bolt's headers, or where they lack it into the serialized
//! `SofaRequest` and `SofaResponse` (Hessian, the draft of version 2).
//!
//! ```text
//! object := "O" name_bytes: int  name  fields: int  *string   "o" number: int  *value
//! ```
//! Only texts and flags at the start of the object are read.

use crate::bytes::Reader;
use crate::sofarpc::command::Command;

/// Who calls what, in which trace.
#[derive(Debug, Default)]
pub(crate) struct Call<'a> {
    pub service: &'a [u8],
    pub method: &'a [u8],
    /// Application that calls.
    pub caller: &'a [u8],
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub parent_span_id: &'a [u8],
}

impl<'a> Call<'a> {
    pub fn read(command: &Command<'a>) -> Self {
        let mut call = Self::default();
        for (name, value) in command.headers() {
            match name {
                b"sofa_head_target_service" => call.service = value,
                b"service" if call.service.is_empty() => call.service = value,
                b"sofa_head_method_name" => call.method = value,
                b"rpc_trace_context.sofaTraceId" => call.trace_id = value,
                b"rpc_trace_context.sofaRpcId" => call.span_id = value,
                b"rpc_trace_context.sofaCallerApp" => call.caller = value,
                b"new_rpc_trace_context" => call.read_context(value),
                _ => {}
            }
        }
        if call.method.is_empty() || call.service.is_empty() {
            call.read_object(command);
        }
        if call.trace_id.is_empty() {
            call.trace_id = text_after(command.content, b"sofaTraceId").unwrap_or_default();
            call.span_id = text_after(command.content, b"sofaRpcId").unwrap_or_default();
        }
        call
    }

    /// `tcid=trace&spid=span&pspid=parent&…`, as SOFATracer writes its context.
    fn read_context(&mut self, value: &'a [u8]) {
        for pair in value.split(|byte| *byte == b'&') {
            let Some(at) = memchr::memchr(b'=', pair) else { continue };
            match &pair[..at] {
                b"tcid" => self.trace_id = &pair[at + 1..],
                b"spid" => self.span_id = &pair[at + 1..],
                b"pspid" => self.parent_span_id = &pair[at + 1..],
                _ => {}
            }
        }
    }

    fn read_object(&mut self, command: &Command<'a>) {
        let Some((mut fields, mut values)) = object(command.content) else { return };
        while let (Some(name), Some(value)) = (text(&mut fields), text(&mut values)) {
            match name {
                b"methodName" if self.method.is_empty() => self.method = value,
                b"targetServiceUniqueName" if self.service.is_empty() => self.service = value,
                _ => {}
            }
        }
    }
}

/// The text of the error that a response reports; `None`: it reports none.
pub(crate) fn error<'a>(command: &Command<'a>) -> Option<&'a [u8]> {
    let is_error = command
        .headers()
        .any(|(name, value)| name == b"sofa_head_response_error" && value == b"true");
    let told = object(command.content).and_then(|(mut fields, mut values)| {
        let is_first = text(&mut fields)? == b"isError" && text(&mut fields)? == b"errorMsg";
        let is_error = values.u8()? == b'T';
        (is_first && is_error).then(|| text(&mut values).unwrap_or_default())
    });
    match told {
        None if is_error => Some(b""),
        told => told,
    }
}

/// Names and values of the fields of the object that a content begins with.
fn object(content: &[u8]) -> Option<(Reader<'_>, Reader<'_>)> {
    let mut reader = Reader::new(content);
    if reader.u8()? != b'O' {
        return None;
    }
    let name_bytes = int(&mut reader)?;
    reader.take(name_bytes)?;
    let fields = int(&mut reader)?;
    let names = reader;
    for _ in 0..fields {
        text(&mut reader)?;
    }
    if reader.u8()? != b'o' {
        return None;
    }
    int(&mut reader)?;
    Some((names, reader))
}

/// A small number.
fn int(reader: &mut Reader<'_>) -> Option<usize> {
    match reader.u8()? {
        byte @ 0x80..=0xbf => usize::from(byte).checked_sub(0x90),
        byte @ 0xc0..=0xcf => {
            let upper = usize::from(byte).checked_sub(0xc8)?;
            Some(upper << 8 | usize::from(reader.u8()?))
        }
        _ => None,
    }
}

/// A text of ASCII, or null as an empty one.
fn text<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = match reader.u8()? {
        b'N' => 0,
        byte @ 0..=0x1f => usize::from(byte),
        b'S' => usize::from(reader.u16_be()?),
        _ => return None,
    };
    reader.take(length)
}

/// The text behind the text `name`, as entries of a map stand.
fn text_after<'a>(content: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(content, name)?;
    if usize::from(*content.get(at.checked_sub(1)?)?) != name.len() {
        return None;
    }
    text(&mut Reader::new(&content[at + name.len()..]))
}
