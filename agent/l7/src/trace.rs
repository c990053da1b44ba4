//! Trace context that requests carry: W3C traceparent, SkyWalking sw3/sw6/sw8, Jaeger
//! uber-trace-id, Zipkin b3, AWS and Google headers, and any header by name.
//!
//! In: names and values of headers, and which names count. Out: ids as the tracing systems show
//! them. A value that does not have its header's form is taken as it stands.

use schema::Text;

use crate::bytes;
use crate::config::TraceConfig;
use crate::record::Record;

/// What the headers of one message say.
#[derive(Debug, Default)]
pub(crate) struct TraceContext {
    /// Trace ids with the rank of their header in the configuration.
    trace: Option<(usize, Text)>,
    trace_other: Option<(usize, Text)>,
    span: Option<(usize, Text)>,
    parent_span: Text,
    /// Request id.
    pub x_request_id: Text,
    /// Client of a proxy.
    pub proxy_client: Text,
}

/// Longest id that is kept. unit byte
const ID_BYTES: usize = 256;

impl TraceContext {
    /// Takes one header.
    pub fn header(&mut self, config: &TraceConfig, name: &[u8], value: &[u8]) {
        let rank = |names: &[String]| names.iter().position(|known| is_same(known, name));
        if let Some(rank) = rank(&config.apm_trace_id) {
            self.offer_trace(rank, trace_id(name, value));
        }
        if let Some(rank) = rank(&config.apm_span_id) {
            let better = self.span.as_ref().is_none_or(|(known, _)| rank < *known);
            let span = span_id(name, value);
            if better && !span.is_empty() {
                self.span = Some((rank, span));
                self.parent_span = parent_span_id(name, value);
            }
        }
        if self.x_request_id.is_empty() && rank(&config.x_request_id).is_some() {
            self.x_request_id = bytes::text(value, ID_BYTES);
        }
        if self.proxy_client.is_empty() && rank(&config.http_real_client).is_some() {
            let first = value.split(|byte| *byte == b',').next().unwrap_or_default();
            self.proxy_client = bytes::text(first.trim_ascii(), ID_BYTES);
        }
    }

    /// Takes ids that the protocol has a place of its own for. Headers that the configuration
    /// names go before them.
    pub fn native(&mut self, trace: Text, span: Text, parent_span: Text) {
        self.offer_trace(usize::MAX, trace);
        if self.span.is_none() && !span.is_empty() {
            self.span = Some((usize::MAX, span));
            self.parent_span = parent_span;
        }
    }

    /// Writes what was found into a request.
    pub fn fill(self, config: &TraceConfig, record: &mut Record) {
        if let Some((_, trace)) = self.trace {
            if config.copy_apm_trace_id {
                record.attributes.push(("apm_trace_id".into(), trace.clone()));
            }
            record.trace_id = trace;
        }
        if let Some((_, trace)) = self.trace_other {
            record.trace_id_2 = trace;
        }
        if let Some((_, span)) = self.span {
            record.span_id = span;
            record.parent_span_id = self.parent_span;
        }
        record.x_request_id_0 = self.x_request_id;
        record.http_proxy_client = self.proxy_client;
    }

    fn offer_trace(&mut self, rank: usize, trace: Text) {
        if trace.is_empty() {
            return;
        }
        let offered = (rank, trace);
        match &self.trace {
            None => self.trace = Some(offered),
            Some(known) if known.1 == offered.1 => {}
            Some(known) if offered.0 < known.0 => {
                self.trace_other = self.trace.replace(offered);
            }
            Some(_) if self.trace_other.is_none() => self.trace_other = Some(offered),
            Some(_) => {}
        }
    }
}

/// Header names are the same whatever their case, with `-` or `_`.
fn is_same(known: &str, name: &[u8]) -> bool {
    let fold = |byte: u8| match byte {
        b'_' => b'-',
        byte => byte.to_ascii_lowercase(),
    };
    known.len() == name.len() && known.bytes().zip(name).all(|(a, b)| fold(a) == fold(*b))
}

fn trace_id(name: &[u8], value: &[u8]) -> Text {
    let part = |separator: &str, place: usize| part(value, separator, place);
    let found = if is_same("traceparent", name) {
        part("-", 1)
    } else if is_same("sw8", name) || is_same("sw6", name) {
        return base64(part("-", 1).unwrap_or_default());
    } else if is_same("sw3", name) {
        part("|", 7).map(|id| id.strip_prefix(b"#").unwrap_or(id))
    } else if is_same("uber-trace-id", name) {
        jaeger_part(value, 0)
    } else if is_same("b3", name) {
        part("-", 0)
    } else if is_same("x-amzn-trace-id", name) {
        field(value, b"Root=")
    } else if is_same("x-cloud-trace-context", name) {
        part("/", 0)
    } else {
        Some(value)
    };
    bytes::text(found.unwrap_or(value).trim_ascii(), ID_BYTES)
}

fn span_id(name: &[u8], value: &[u8]) -> Text {
    let part = |separator: &str, place: usize| part(value, separator, place);
    let found = if is_same("traceparent", name) {
        part("-", 2)
    } else if is_same("sw8", name) || is_same("sw6", name) {
        let (Some(segment), Some(span)) = (part("-", 2), part("-", 3)) else {
            return Text::default();
        };
        let mut id = base64(segment);
        id.push('-');
        id.push_str(&bytes::text(span, ID_BYTES));
        return id;
    } else if is_same("sw3", name) {
        let (Some(segment), Some(span)) = (part("|", 0), part("|", 1)) else {
            return Text::default();
        };
        let mut id = bytes::text(segment, ID_BYTES);
        id.push('-');
        id.push_str(&bytes::text(span, ID_BYTES));
        return id;
    } else if is_same("uber-trace-id", name) {
        jaeger_part(value, 1)
    } else if is_same("b3", name) {
        part("-", 1)
    } else if is_same("x-amzn-trace-id", name) {
        field(value, b"Parent=")
    } else if is_same("x-cloud-trace-context", name) {
        part("/", 1).map(|rest| rest.split(|byte| *byte == b';').next().unwrap_or_default())
    } else {
        Some(value)
    };
    bytes::text(found.unwrap_or_default().trim_ascii(), ID_BYTES)
}

fn parent_span_id(name: &[u8], value: &[u8]) -> Text {
    let found = if is_same("uber-trace-id", name) {
        jaeger_part(value, 2).filter(|id| *id != b"0")
    } else if is_same("b3", name) {
        part(value, "-", 3)
    } else {
        None
    };
    bytes::text(found.unwrap_or_default(), ID_BYTES)
}

fn part<'a>(value: &'a [u8], separator: &str, place: usize) -> Option<&'a [u8]> {
    let separator = separator.as_bytes()[0];
    value.split(|byte| *byte == separator).nth(place)
}

/// `trace:span:parent:flags`; the colons may be percent-encoded.
fn jaeger_part(value: &[u8], place: usize) -> Option<&[u8]> {
    if value.contains(&b':') {
        return part(value, ":", place);
    }
    let mut rest = value;
    for _ in 0..place {
        let at = rest.windows(3).position(|code| code.eq_ignore_ascii_case(b"%3a"))?;
        rest = &rest[at + 3..];
    }
    let end = rest.windows(3).position(|code| code.eq_ignore_ascii_case(b"%3a"));
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// The value of `name` in `name=value;name=value`.
fn field<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    value.split(|byte| *byte == b';').find_map(|pair| pair.trim_ascii().strip_prefix(name))
}

/// Text in base64 (RFC 4648, either alphabet); as it stands when it is not.
fn base64(encoded: &[u8]) -> Text {
    let mut decoded = Vec::with_capacity(encoded.len());
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in encoded.iter().take_while(|byte| **byte != b'=') {
        let sextet = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return bytes::text(encoded, ID_BYTES),
        };
        bits = bits << 6 | u32::from(sextet);
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count) as u8);
        }
    }
    match std::str::from_utf8(&decoded) {
        Ok(_) => bytes::text(&decoded, ID_BYTES),
        Err(_) => bytes::text(encoded, ID_BYTES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(headers: &[(&str, &str)], names: &[&str]) -> (Text, Text, Text, Text) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let config = TraceConfig {
            apm_trace_id: names.clone(),
            apm_span_id: names,
            ..TraceConfig::default()
        };
        let mut context = TraceContext::default();
        for (name, value) in headers {
            context.header(&config, name.as_bytes(), value.as_bytes());
        }
        let mut record = Record::new(schema::L7Protocol::Http);
        context.fill(&config, &mut record);
        (record.trace_id, record.trace_id_2, record.span_id, record.parent_span_id)
    }

    fn check(header: (&str, &str), trace: &str, span: &str, parent: &str) {
        let (found, _, found_span, found_parent) = ids(&[header], &[header.0]);
        assert_eq!((&*found, &*found_span, &*found_parent), (trace, span, parent), "{header:?}");
    }

    #[test]
    fn known_headers() {
        check(("traceparent", "00-4bf9-00f0-01"), "4bf9", "00f0", "");
        check(("sw8", "1-VFJBQ0U=-U0VH-3-U1ZD-SU5T-RVA=-QUREUg=="), "TRACE", "SEG-3", "");
        check(("sw3", "seg|2|1|1|#host|#op|#op|trace7|1"), "trace7", "seg-2", "");
        check(("uber-trace-id", "ab:cd:ef:1"), "ab", "cd", "ef");
        check(("uber-trace-id", "ab%3Acd%3A0%3A1"), "ab", "cd", "");
        check(("b3", "80f1-05e3-1-e457"), "80f1", "05e3", "e457");
        check(("X-Amzn-Trace-Id", "Root=1-67-12;Parent=53;Sampled=1"), "1-67-12", "53", "");
        check(("X-Cloud-Trace-Context", "105445aa/7;o=1"), "105445aa", "7", "");
        check(("x-my-trace", "whatever"), "whatever", "whatever", "");
        check(("traceparent", "odd"), "odd", "", "");
    }

    #[test]
    fn order_of_configuration_counts() {
        let headers = [("sw8", "1-VFJBQ0U=-U0VH-3"), ("Traceparent", "00-4bf9-00f0-01")];
        let (trace, other, span, _) = ids(&headers, &["traceparent", "sw8"]);
        assert_eq!((&*trace, &*other, &*span), ("4bf9", "TRACE", "00f0"));
        let (trace, other, span, _) = ids(&headers, &["sw8", "traceparent"]);
        assert_eq!((&*trace, &*other, &*span), ("TRACE", "4bf9", "SEG-3"));
    }
}
