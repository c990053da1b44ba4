//! Attachments of Dubbo messages: names and texts behind the arguments.
//!
//! Where the arguments before them can be passed over, all attachments are given; elsewhere those
//! whose names are wanted are looked for.

use std::borrow::Cow;

use schema::Text;

use crate::bytes::{self, Reader};
use crate::config::TraceConfig;
use crate::dubbo::body::Call;
use crate::dubbo::hessian::Hessian;
use crate::dubbo::words::{self, Form, Words};
use crate::protobuf::{Fields, Value};
use crate::trace::TraceContext;

/// Ids of tracing systems that Dubbo applications pass on without a header of a standard.
#[derive(Debug, Default)]
pub(crate) struct Native {
    eagle_eye: (Text, Text),
    plain: (Text, Text),
}

/// Names that are looked for beside those of the configuration.
const WANTED: [&str; 6] =
    ["EagleEye-TraceID", "EagleEye-SpanID", "traceId", "spanId", "remote.application", "group"];

impl Native {
    pub fn take(&mut self, name: &[u8], value: &[u8]) {
        let place = match name {
            b"EagleEye-TraceID" => &mut self.eagle_eye.0,
            b"EagleEye-SpanID" => &mut self.eagle_eye.1,
            b"traceId" => &mut self.plain.0,
            b"spanId" => &mut self.plain.1,
            _ => return,
        };
        *place = bytes::text(value, 256);
    }

    pub fn give(self, context: &mut TraceContext) {
        for (trace, span) in [self.eagle_eye, self.plain] {
            context.native(trace, span, Text::default());
        }
    }
}

/// Gives the attachments of a message to `take`.
pub(crate) fn each(
    form: Form,
    call: &Call<'_>,
    trace: &TraceConfig,
    take: &mut dyn FnMut(&[u8], &[u8]),
) {
    let found = match (form, &call.rest) {
        (Form::Hessian, Some(Words::Hessian(rest))) => hessian(rest.clone(), take),
        (Form::Json, Some(Words::Other(_, rest))) => {
            last(*rest, words::json_value).map(|object| json_object(object, take))
        }
        (Form::Jsonb, Some(Words::Other(_, rest))) => {
            last(*rest, words::counted).and_then(|object| jsonb_object(object, take))
        }
        (Form::Protobuf, Some(Words::Other(_, rest))) => {
            last(*rest, words::delimited).map(|map| protobuf_map(map, take))
        }
        _ => None,
    };
    if found.is_some() {
        return;
    }
    let configured = [&trace.apm_trace_id, &trace.apm_span_id, &trace.x_request_id];
    for name in configured.into_iter().flatten() {
        look_for(form, call.body, &name.replace('_', "-"), take);
    }
    for name in WANTED {
        look_for(form, call.body, name, take);
    }
}

/// Arguments as many as the types say, then the map.
fn hessian(mut rest: Hessian<'_>, take: &mut dyn FnMut(&[u8], &[u8])) -> Option<()> {
    let types = rest.text()?;
    for _ in 0..count_types(&types)? {
        rest.pass()?;
    }
    rest.map(take)
}

/// How many types a descriptor names (JVMS §4.3.2).
pub(crate) fn count_types(descriptor: &[u8]) -> Option<usize> {
    let (mut count, mut at) = (0, 0);
    while let Some(byte) = descriptor.get(at) {
        match byte {
            b'[' => {}
            b'L' => {
                at += bytes::find(&descriptor[at..], b';')?;
                count += 1;
            }
            b'B' | b'C' | b'D' | b'F' | b'I' | b'J' | b'S' | b'Z' | b'V' => count += 1,
            _ => return None,
        }
        at += 1;
    }
    Some(count)
}

/// The last value of a body whose values can be told apart.
fn last<'a>(
    mut rest: Reader<'a>,
    next: fn(&mut Reader<'a>) -> Option<&'a [u8]>,
) -> Option<&'a [u8]> {
    let mut last = None;
    while !rest.rest().is_empty() {
        last = Some(next(&mut rest)?);
    }
    last
}

/// Texts at the top of a JSON object.
fn json_object(object: &[u8], take: &mut dyn FnMut(&[u8], &[u8])) {
    let mut depth = 0;
    let mut at = 0;
    let mut name: Option<&[u8]> = None;
    while let Some(byte) = object.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if depth == 1 => name = None,
            b'"' => {
                let Some(end) = json_text_end(&object[at + 1..]) else { return };
                let text = &object[at + 1..at + 1 + end];
                at += 1 + end;
                match name.take() {
                    _ if depth != 1 => {}
                    None => name = Some(text),
                    Some(name) => take(name, text),
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Where a JSON text ends, by its closing quote.
fn json_text_end(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', rest.get(at..)?)?;
        match rest[at] {
            b'"' => return Some(at),
            _ => at += 2,
        }
    }
}

/// Texts of a JSONB object. `None`: something in it is no text.
fn jsonb_object(object: &[u8], take: &mut dyn FnMut(&[u8], &[u8])) -> Option<()> {
    let mut reader = Reader::new(object);
    if reader.rest().first() == Some(&0x92) {
        // The name of its type.
        reader.u8()?;
        words::jsonb_text(&mut reader)?;
    }
    if reader.u8()? != 0xa6 {
        return None;
    }
    while reader.rest().first()? != &0xa5 {
        let name = words::jsonb_text(&mut reader)?;
        let value = words::jsonb_text(&mut reader)?;
        take(name, value);
    }
    Some(())
}

/// A protobuf map of texts; values may be wrapped in an `Any`.
fn protobuf_map(map: &[u8], take: &mut dyn FnMut(&[u8], &[u8])) {
    for field in Fields::of(map) {
        let (_, Value::Bytes(entry)) = field else { continue };
        let (mut name, mut value) = (&b""[..], &b""[..]);
        for field in Fields::of(entry) {
            match field {
                (1, Value::Bytes(text)) => name = text,
                (2, Value::Bytes(text)) => value = text,
                _ => {}
            }
        }
        take(name, unwrapped(value));
    }
}

/// The text in an `Any` of a `StringValue`; anything else as it stands.
fn unwrapped(value: &[u8]) -> &[u8] {
    let mut fields = Fields::of(value);
    match (fields.next(), fields.next()) {
        (Some((1, Value::Bytes(url))), Some((2, Value::Bytes(wrapped))))
            if url.ends_with(b"StringValue") =>
        {
            match Fields::of(wrapped).next() {
                Some((1, Value::Bytes(text))) => text,
                _ => b"",
            }
        }
        _ => value,
    }
}

/// Looks for an entry by its name, whatever case the name is written in.
fn look_for(form: Form, body: &[u8], name: &str, take: &mut dyn FnMut(&[u8], &[u8])) {
    let lower = name.to_ascii_lowercase();
    for spelling in [name, lower.as_str()] {
        if let Some(value) = value_of(form, body, spelling.as_bytes()) {
            return take(spelling.as_bytes(), &value);
        }
        if lower == name {
            return;
        }
    }
}

/// The text behind a name, as a map's entries stand in a body.
fn value_of<'a>(form: Form, body: &'a [u8], name: &[u8]) -> Option<Cow<'a, [u8]>> {
    // Kryo sets the top bit of the last byte: it is compared by itself.
    let shared = match form {
        Form::Kryo => name.split_last()?.1,
        _ => name,
    };
    let mut from = 0;
    while let Some(found) = memchr::memmem::find(body.get(from..)?, shared) {
        let at = from + found;
        let value = body.get(at + name.len()..).map(Reader::new);
        let last = *body.get(at + name.len() - 1)?;
        if let Some(value) = value
            && (last & 0x7f) == *name.last()?
            && let Some(value) = value_behind(form, body.get(..at)?, value, name.len())
        {
            return Some(value);
        }
        from = at + 1;
    }
    None
}

/// The text behind a name, if what stands before the name counts its `name_bytes`.
fn value_behind<'a>(
    form: Form,
    before: &[u8],
    mut value: Reader<'a>,
    name_bytes: usize,
) -> Option<Cow<'a, [u8]>> {
    let counts = |length: usize| before.last().is_some_and(|byte| usize::from(*byte) == length);
    match form {
        Form::Hessian if counts(name_bytes) => {
            let mut hessian = Hessian::new(value.rest());
            hessian.text()
        }
        Form::Kryo => {
            // The number of the class of texts, and a mark that it is no reference.
            let is_text = value.u8()? == 3;
            if value.rest().first() == Some(&1) {
                value.u8()?;
            }
            is_text.then(|| words::kryo(&mut value)).flatten()
        }
        Form::Fst if counts(name_bytes) => {
            let is_text = value.u8()? as i8 == -4;
            is_text.then(|| words::fst(&mut value)).flatten().map(Cow::Borrowed)
        }
        Form::Java(_) if counts(name_bytes) => {
            let is_text = value.u8()? == 0x74;
            let length = usize::from(value.u16_be()?);
            is_text.then(|| value.take(length)).flatten().map(Cow::Borrowed)
        }
        Form::Jsonb if counts(name_bytes + 0x49) => {
            words::jsonb_text(&mut value).map(Cow::Borrowed)
        }
        Form::Json => {
            let rest = value.rest().strip_prefix(b"\":\"")?;
            let end = json_text_end(rest)?;
            (before.last() == Some(&b'"')).then_some(Cow::Borrowed(&rest[..end]))
        }
        _ => None,
    }
}

/// The class of the exception in a body that is not Hessian: the first name that ends like one.
pub(crate) fn exception_class(body: &[u8]) -> Cow<'_, [u8]> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$');
    for (end, last) in [(&b"Exceptio"[..], b'n'), (b"Erro", b'r')] {
        let Some(at) = memchr::memmem::find(body, end) else { continue };
        let after = at + end.len();
        // Kryo sets the top bit of the last byte.
        if body.get(after).is_none_or(|byte| byte & 0x7f != last) {
            continue;
        }
        let start = body[..at].iter().rposition(|byte| !is_name(byte)).map_or(0, |at| at + 1);
        let mut name = body[start..=after].to_vec();
        name[after - start] = last;
        return Cow::Owned(name);
    }
    Cow::Borrowed(&[])
}
