//! Trace context that requests carry: W3C traceparent, SkyWalking sw3/sw6/sw8, Jaeger
//! uber-trace-id, Zipkin b3 in one header or several, AWS, Google and OpenCensus headers, and any
//! header by name.
//!
//! In: names and values of headers, and which names count. Out: ids as the tracing systems show
//! them. A value that does not have its header's form is taken as it stands.

use schema::Text;

use crate::bytes;
use crate::config::TraceConfig;
use crate::record::Record;

/// What the headers of one message say. Each text goes with the rank of its header in the
/// configuration: of several, the first one there counts.
#[derive(Debug, Default)]
pub(crate) struct TraceContext {
    trace: Ranked,
    trace_other: Ranked,
    span: Ranked,
    parent_span: Ranked,
    /// Request id.
    x_request_id: Ranked,
    /// Client of a proxy.
    proxy_client: Ranked,
}

/// A text with the rank of its header.
pub(crate) type Ranked = Option<(usize, Text)>;

/// Longest id that is kept. unit byte
const ID_BYTES: usize = 256;

impl TraceContext {
    /// Takes one header of a request.
    pub fn header(&mut self, config: &TraceConfig, name: &[u8], value: &[u8]) {
        if let Some(rank) = rank(&config.apm_trace_id, name) {
            self.offer_trace(rank, trace_id(name, value));
        }
        if let Some(rank) = rank(&config.apm_span_id, name) {
            offer(&mut self.span, rank, || span_id(name, value));
            offer(&mut self.parent_span, rank, || parent_span_id(name, value));
        }
        if let Some(rank) = rank(&config.http_real_client, name) {
            let first = value.split(|byte| *byte == b',').next().unwrap_or_default();
            offer(&mut self.proxy_client, rank, || bytes::text(first.trim_ascii(), ID_BYTES));
        }
        offer_request_id(&mut self.x_request_id, config, name, value);
    }

    /// An id that the protocol itself gives the request, where no header does.
    pub fn offer_x_request_id(&mut self, id: Text) {
        offer(&mut self.x_request_id, usize::MAX, || id);
    }

    /// The request id.
    pub fn x_request_id(self) -> Text {
        text_of(self.x_request_id)
    }

    /// Takes ids that the protocol has a place of its own for. Headers that the configuration
    /// names go before them.
    pub fn native(&mut self, trace: Text, span: Text, parent_span: Text) {
        self.offer_trace(usize::MAX, trace);
        if self.span.is_none() && !span.is_empty() {
            self.span = Some((usize::MAX, span));
            self.parent_span = Some((usize::MAX, parent_span));
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
        record.trace_id_2 = text_of(self.trace_other);
        // Parent ids of another header than the span's would belong to another trace.
        let span_rank = self.span.as_ref().map(|(rank, _)| *rank);
        let parent =
            self.parent_span.filter(|(rank, _)| span_rank.is_none_or(|span| span == *rank));
        record.span_id = text_of(self.span);
        record.parent_span_id = text_of(parent);
        record.x_request_id_0 = text_of(self.x_request_id);
        record.http_proxy_client = text_of(self.proxy_client);
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

fn text_of(ranked: Ranked) -> Text {
    ranked.map(|(_, text)| text).unwrap_or_default()
}

/// Takes a header of a request or a response that may be its request id.
pub(crate) fn offer_request_id(kept: &mut Ranked, config: &TraceConfig, name: &[u8], value: &[u8]) {
    if let Some(rank) = rank(&config.x_request_id, name) {
        offer(kept, rank, || bytes::text(value, ID_BYTES));
    }
}

/// Keeps a text if its rank is better than that of what is kept.
fn offer(kept: &mut Ranked, rank: usize, text: impl FnOnce() -> Text) {
    if kept.as_ref().is_none_or(|(known, _)| rank < *known) {
        let text = text();
        if !text.is_empty() {
            *kept = Some((rank, text));
        }
    }
}

/// Place of a header in a list of names; `b3` stands for the headers that Zipkin split it into,
/// and the header of a parent span goes with that of its span.
fn rank(names: &[String], name: &[u8]) -> Option<usize> {
    let is_known = |known: &String| {
        is_same(known, name)
            || is_b3_part(name)
                && (is_same(known, b"b3")
                    || is_same("x-b3-parentspanid", name) && is_same(known, b"x-b3-spanid"))
    };
    names.iter().position(is_known)
}

fn is_b3_part(name: &[u8]) -> bool {
    name.len() > B3_START.len()
        && matches!(name.len(), 11 | 12 | 17)
        && name[..B3_START.len()].eq_ignore_ascii_case(B3_START)
}

const B3_START: &[u8] = b"x-b3-";

/// Header names are the same whatever their case, with `-` or `_`.
fn is_same(known: &str, name: &[u8]) -> bool {
    let fold = |byte: u8| match byte {
        b'_' => b'-',
        byte => byte.to_ascii_lowercase(),
    };
    known.len() == name.len() && known.bytes().zip(name).all(|(a, b)| fold(a) == fold(*b))
}

fn is_traceparent(name: &[u8]) -> bool {
    is_same("traceparent", name) || is_same("elastic-apm-traceparent", name)
}

fn trace_id(name: &[u8], value: &[u8]) -> Text {
    let part = |separator: &str, place: usize| part(value, separator, place);
    if is_b3_part(name) && !is_same("x-b3-traceid", name) {
        return Text::default();
    }
    let found = if is_traceparent(name) {
        part("-", 1)
    } else if is_same("grpc-trace-bin", name) {
        return binary_id(value, 2, 16);
    } else if is_same("sw8", name) || is_same("sw6", name) {
        return base64(part("-", 1).unwrap_or_default());
    } else if is_same("sw3", name) {
        part("|", 7).map(|id| id.strip_prefix(b"#").unwrap_or(id))
    } else if is_same("uber-trace-id", name) {
        jaeger_part(value, 0)
    } else if is_same("b3", name) {
        // `0` and `1` alone say whether to sample.
        part("-", 0).map(|id| if id.len() > 1 { id } else { b"" })
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
    if is_b3_part(name) && !is_same("x-b3-spanid", name) {
        return Text::default();
    }
    let found = if is_traceparent(name) {
        part("-", 2)
    } else if is_same("grpc-trace-bin", name) {
        return binary_id(value, 19, 8);
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
    } else if is_same("x-b3-parentspanid", name) {
        Some(value)
    } else {
        None
    };
    bytes::text(found.unwrap_or_default(), ID_BYTES)
}

/// An id in OpenCensus' binary form (version 0: trace id, span id and options, each after its
/// number), which gRPC sends in base64; as hexadecimal digits.
fn binary_id(value: &[u8], start: usize, length: usize) -> Text {
    use std::fmt::Write;
    let mut digits = Text::default();
    if let Some(id) = base64_bytes(value).filter(|bytes| bytes.first() == Some(&0)).as_deref()
        && let Some(id) = id.get(start..start + length)
    {
        id.iter().for_each(|byte| write!(digits, "{byte:02x}").expect("a text takes all"));
    }
    digits
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
    match base64_bytes(encoded).as_deref().map(std::str::from_utf8) {
        Some(Ok(text)) => bytes::text(text.as_bytes(), ID_BYTES),
        _ => bytes::text(encoded, ID_BYTES),
    }
}

fn base64_bytes(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in encoded.iter().take_while(|byte| **byte != b'=') {
        let sextet = bytes::base64_digit(*byte)?;
        bits = bits << 6 | u32::from(sextet);
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count) as u8);
        }
    }
    Some(decoded)
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
        check(("b3", "0"), "", "", "");
        check(("elastic-apm-traceparent", "00-4bf9-00f0-01"), "4bf9", "00f0", "");
        check(
            ("grpc-trace-bin", "AABL+S81d7NNpqPOkp0ODkc2AQDwZ6oLqQK3AgE"),
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "00f067aa0ba902b7",
            "",
        );
        check(("X-Amzn-Trace-Id", "Root=1-67-12;Parent=53;Sampled=1"), "1-67-12", "53", "");
        check(("X-Cloud-Trace-Context", "105445aa/7;o=1"), "105445aa", "7", "");
        check(("x-my-trace", "whatever"), "whatever", "whatever", "");
        check(("traceparent", "odd"), "odd", "", "");
    }

    #[test]
    fn zipkin_in_several_headers() {
        let headers = [
            ("X-B3-TraceId", "80f198ee56343ba864fe8b2a57d3eff7"),
            ("X-B3-ParentSpanId", "05e3ac9a4f6e3b90"),
            ("X-B3-SpanId", "e457b5a2e4d86bd1"),
            ("X-B3-Sampled", "1"),
        ];
        for names in [&["b3"][..], &["X-B3-TraceId", "X-B3-SpanId"]] {
            let (trace, other, span, parent) = ids(&headers, names);
            assert_eq!((&*trace, &*other), (headers[0].1, ""), "{names:?}");
            assert_eq!((&*span, &*parent), (headers[2].1, headers[1].1), "{names:?}");
        }
        assert_eq!(ids(&headers, &["traceparent"]), Default::default());
    }

    #[test]
    fn of_several_request_ids_the_first_configured_counts() {
        let names = vec!["x-request-id".to_owned(), "x-correlation-id".to_owned()];
        let config = TraceConfig { x_request_id: names, ..TraceConfig::default() };
        let mut id = None;
        offer_request_id(&mut id, &config, b"X-Correlation-Id", b"second");
        offer_request_id(&mut id, &config, b"X-Request-ID", b"first");
        assert_eq!(id.expect("an id").1, "first");
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
