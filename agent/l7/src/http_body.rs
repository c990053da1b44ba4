//! What is wanted of the body of an HTTP message: its start, where the configuration or an error
//! asks for it, and what its messages say.
//!
//! In: what head and configuration say, then bytes of the body in any pieces. Out: columns of the
//! record. Never: more than the start held; of a body that nothing is wanted of, no byte looked
//! at.

use schema::Text;

use crate::bytes;
use crate::config::Config;
use crate::field_policy::{self, Finder};
use crate::genai::{AnswerReader, Call, RequestReader};
use crate::grpc::Outcome;
use crate::grpc_web::GrpcWeb;
use crate::http_coding::Decoder;
use crate::http_content::{Content, Kind};
use crate::record::Record;
use crate::session::Response;

/// The attribute with the start of a request's body.
const REQUEST_PAYLOAD: Text = Text::const_new("request_payload");

/// Follows one body.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// The first bytes.
    start: Vec<u8>,
    /// How many of them are wanted. unit byte
    wanted_bytes: usize,
    /// How many of them a record may show. unit byte
    shown_bytes: usize,
    /// Takes the coding off, where the start is wanted of a body that has one.
    decoder: Option<Decoder>,
    /// Looks for fields of the configuration in the start.
    finder: Option<Box<Finder>>,
    scan: Scan,
}

/// What is looked for in it.
#[derive(Debug, Default)]
enum Scan {
    #[default]
    Nothing,
    /// Trailers of gRPC-Web.
    GrpcWeb(Box<GrpcWeb>),
    /// What is asked of a generative model.
    Asked(Box<RequestReader>),
    /// What one answers.
    Answer(Box<AnswerReader>),
}

impl Body {
    /// Of a request with such a head. What a generative model is asked is never kept.
    pub fn of_request(config: &Config, content: Content, record: &Record) -> Self {
        if content.kind == Kind::Json
            && let Some(call) = Call::of(record)
        {
            let scan = Scan::Asked(Box::new(RequestReader::new(call, content)));
            return Self { scan, ..Self::default() };
        }
        let wanted_bytes = if content.is_encoded() { 0 } else { config.raw.error_request_payload };
        Self { wanted_bytes, shown_bytes: wanted_bytes, ..Self::default() }
    }

    /// Of a response with such a head. `asked`: the request, as far as it is known.
    pub fn of_response(
        config: &Config,
        content: Content,
        is_error: bool,
        asked: Option<&Record>,
    ) -> Self {
        let wants_start = is_error && !content.is_encoded();
        let wanted_bytes = if wants_start { config.raw.error_response_payload } else { 0 };
        let scan = match content.kind {
            Kind::GrpcWeb | Kind::GrpcWebText if content.is_encoded() => Scan::Nothing,
            Kind::GrpcWeb => Scan::GrpcWeb(Box::new(GrpcWeb::new(false))),
            Kind::GrpcWebText => Scan::GrpcWeb(Box::new(GrpcWeb::new(true))),
            _ if content.is_json() => match asked.and_then(Call::of) {
                Some(call) => Scan::Answer(Box::new(AnswerReader::new(call, content))),
                None => Scan::Nothing,
            },
            _ => Scan::Nothing,
        };
        Self { wanted_bytes, shown_bytes: wanted_bytes, scan, ..Self::default() }
    }

    /// The same, in which fields of the configuration are looked for.
    pub fn with_fields(
        mut self,
        config: &Config,
        content: Content,
        finder: Option<Box<Finder>>,
    ) -> Self {
        if finder.as_ref().is_some_and(|finder| finder.wants_body(config)) {
            self.decoder = Decoder::new(content.coding);
            if self.decoder.is_some() || !content.is_encoded() {
                self.wanted_bytes = self.wanted_bytes.max(field_policy::BODY_BYTES);
            }
        }
        self.finder = finder;
        self
    }

    /// Adds what was found in the trailers.
    pub fn add_fields(&mut self, trailers: Finder) {
        if let Some(finder) = &mut self.finder {
            finder.merge(trailers);
        }
    }

    /// Whether nothing more of it is wanted.
    pub fn is_idle(&self) -> bool {
        let is_full = self.start.len() >= self.wanted_bytes
            || self.decoder.as_ref().is_some_and(Decoder::is_over);
        is_full
            && match &self.scan {
                Scan::Nothing => true,
                Scan::GrpcWeb(messages) => messages.is_done(),
                Scan::Asked(reader) => reader.is_done(),
                Scan::Answer(reader) => reader.is_done(),
            }
    }

    /// Takes the next bytes, seen at that time.
    pub fn take(&mut self, bytes: &[u8], time_ns: u64) {
        let (start, wanted_bytes) = (&mut self.start, self.wanted_bytes);
        let mut keep = |bytes: &[u8]| {
            let room = wanted_bytes.saturating_sub(start.len());
            start.extend_from_slice(&bytes[..bytes.len().min(room)]);
        };
        match &mut self.decoder {
            Some(decoder) => decoder.take(bytes, keep),
            None => keep(bytes),
        }
        match &mut self.scan {
            Scan::Nothing => {}
            Scan::GrpcWeb(messages) => messages.take(bytes),
            Scan::Asked(reader) => reader.take(bytes),
            Scan::Answer(reader) => reader.take(bytes, time_ns),
        }
    }

    /// Bytes were never seen.
    pub fn lost(&mut self) {
        self.wanted_bytes = self.start.len();
        match &mut self.scan {
            Scan::Nothing => {}
            Scan::GrpcWeb(messages) => messages.lost(),
            Scan::Asked(reader) => reader.lost(),
            Scan::Answer(reader) => reader.lost(),
        }
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        let scan = match &self.scan {
            Scan::Asked(reader) => reader.held_bytes(),
            Scan::Answer(reader) => reader.held_bytes(),
            Scan::Nothing | Scan::GrpcWeb(_) => 0,
        };
        self.start.capacity() + scan + self.decoder.as_ref().map_or(0, Decoder::held_bytes)
    }

    /// Writes what was found in a request's body.
    pub fn conclude_request(self, config: &Config, record: &mut Record) {
        if let Some(text) = self.shown() {
            record.attributes.push((REQUEST_PAYLOAD, text));
        }
        if let Some(mut finder) = self.finder {
            finder.body(config, &self.start);
            finder.apply_request(config, record);
        }
        if let Scan::Asked(reader) = self.scan {
            reader.conclude(record);
        }
    }

    /// Writes what was found in a response's body; how a call of gRPC-Web ended is given back.
    pub fn conclude_response(
        self,
        config: &Config,
        asked: Option<&mut Record>,
        response: &mut Response,
    ) -> Outcome {
        if let Some(text) = self.shown() {
            response.result = text;
        }
        let mut asked = asked;
        let outcome = match self.scan {
            Scan::Nothing | Scan::Asked(_) => Outcome::default(),
            Scan::Answer(reader) => {
                reader.conclude(asked.as_deref(), response);
                Outcome::default()
            }
            Scan::GrpcWeb(messages) => messages.outcome(config.limits.text_bytes),
        };
        if let Some(mut finder) = self.finder {
            finder.body(config, &self.start);
            finder.apply_response(config, asked.take(), response);
        }
        outcome
    }

    /// What a record may show of the start.
    fn shown(&self) -> Option<Text> {
        let shown = &self.start[..self.start.len().min(self.shown_bytes)];
        (!shown.is_empty()).then(|| bytes::text(shown, shown.len()))
    }
}

/// The request turned out well: what is kept of it for errors only goes.
pub(crate) fn forget_request(config: &Config, record: &mut Record) {
    if config.raw.error_request_payload > 0 {
        record.attributes.retain(|(name, _)| *name != REQUEST_PAYLOAD);
    }
}
