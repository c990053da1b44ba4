//! What the body of an HTTP message holds, as far as it makes a difference here.
//!
//! In: `content-type` and `content-encoding`. Out: a kind. Never: a guess from the body itself.

/// Kind of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Other,
    /// `application/grpc`, with or without a format.
    Grpc,
    /// `application/grpc-web`.
    GrpcWeb,
    /// `application/grpc-web-text`: the same in base64.
    GrpcWebText,
    /// `application/json` and the like.
    Json,
    /// JSON texts, one a line.
    JsonLines,
    /// `text/event-stream`.
    Events,
}

/// How a body is compressed (`content-encoding`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Coding {
    #[default]
    Identity,
    Gzip,
    Deflate,
    /// By something that is not read here, or more than once.
    Other,
}

/// What a body holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub kind: Kind,
    pub coding: Coding,
}

impl Content {
    /// Takes a header field.
    pub fn take(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"content-type") {
            self.kind = kind(value);
        } else if name.eq_ignore_ascii_case(b"content-encoding") {
            self.coding = coding(value);
        }
    }

    /// The same, where there is no memory to decompress: as if it could not be read.
    pub fn bounded(self, has_room: bool) -> Self {
        match has_room || !self.is_encoded() {
            true => self,
            false => Self { coding: Coding::Other, ..self },
        }
    }

    /// Whether it is compressed: its bytes say nothing as they are.
    pub fn is_encoded(self) -> bool {
        self.coding != Coding::Identity
    }

    /// Whether it holds texts of JSON.
    pub fn is_json(self) -> bool {
        matches!(self.kind, Kind::Json | Kind::JsonLines | Kind::Events)
    }

    /// Whether it is a call of gRPC, or of gRPC-Web.
    pub fn is_grpc(self) -> bool {
        matches!(self.kind, Kind::Grpc | Kind::GrpcWeb | Kind::GrpcWebText)
    }
}

fn coding(value: &[u8]) -> Coding {
    let is = |known: &[u8]| value.eq_ignore_ascii_case(known);
    match () {
        () if is(b"identity") => Coding::Identity,
        () if is(b"gzip") || is(b"x-gzip") => Coding::Gzip,
        () if is(b"deflate") => Coding::Deflate,
        () => Coding::Other,
    }
}

/// The kind of a media type, whatever its parameters.
fn kind(value: &[u8]) -> Kind {
    let end = value.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t'));
    let media = &value[..end.unwrap_or(value.len())];
    let is = |known: &[u8]| media.eq_ignore_ascii_case(known);
    // A format of messages may follow.
    let starts = |known: &[u8]| {
        media.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known))
            && matches!(media.get(known.len()), None | Some(b'+'))
    };
    match () {
        () if is(b"application/json") => Kind::Json,
        () if is(b"text/event-stream") => Kind::Events,
        () if is(b"application/x-ndjson") || is(b"application/jsonl") => Kind::JsonLines,
        () if starts(b"application/grpc") => Kind::Grpc,
        () if starts(b"application/grpc-web") => Kind::GrpcWeb,
        () if starts(b"application/grpc-web-text") => Kind::GrpcWebText,
        () if media.ends_with(b"+json") => Kind::Json,
        () => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (text, expected) in [
            ("application/grpc", Kind::Grpc),
            ("application/grpc+proto", Kind::Grpc),
            ("application/grpc;v=1", Kind::Grpc),
            ("application/grpc+json", Kind::Grpc),
            ("Application/gRPC-Web", Kind::GrpcWeb),
            ("application/grpc-web+proto", Kind::GrpcWeb),
            ("application/grpc-web-text+proto", Kind::GrpcWebText),
            ("application/grpcx", Kind::Other),
            ("application/json; charset=utf-8", Kind::Json),
            ("application/problem+json", Kind::Json),
            ("text/event-stream;charset=UTF-8", Kind::Events),
            ("application/x-ndjson", Kind::JsonLines),
            ("text/plain", Kind::Other),
            ("", Kind::Other),
        ] {
            assert_eq!(kind(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn encodings() {
        let content = |encoding: &[u8]| {
            let mut content = Content::default();
            content.take(b"Content-Encoding", encoding);
            content.coding
        };
        assert_eq!(content(b"GZip"), Coding::Gzip);
        assert_eq!(content(b"deflate"), Coding::Deflate);
        assert_eq!(content(b"identity"), Coding::Identity);
        for other in ["br", "zstd", "gzip, br"] {
            assert_eq!(content(other.as_bytes()), Coding::Other, "{other}");
        }
    }
}
