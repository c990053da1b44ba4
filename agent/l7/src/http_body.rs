//! What is wanted of the body of an HTTP message: its start, where the configuration or an error
//! asks for it, and what its messages say.
//!
//! In: what head and configuration say, then bytes of the body in any pieces. Out: columns of the
//! record. Never: more than the start held; of a body that nothing is wanted of, no byte looked
//! at.

use schema::Text;

use crate::bytes;
use crate::config::Config;
use crate::grpc::Outcome;
use crate::grpc_web::GrpcWeb;
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
    scan: Scan,
}

/// What is looked for in it.
#[derive(Debug, Default)]
enum Scan {
    #[default]
    Nothing,
    /// Trailers of gRPC-Web.
    GrpcWeb(Box<GrpcWeb>),
}

impl Body {
    /// Of a request with such a head.
    pub fn of_request(config: &Config, content: Content) -> Self {
        let wanted_bytes = if content.is_encoded { 0 } else { config.raw.error_request_payload };
        Self { wanted_bytes, ..Self::default() }
    }

    /// Of a response with such a head.
    pub fn of_response(config: &Config, content: Content, is_error: bool) -> Self {
        if content.is_encoded {
            return Self::default();
        }
        let wanted_bytes = if is_error { config.raw.error_response_payload } else { 0 };
        let scan = match content.kind {
            Kind::GrpcWeb => Scan::GrpcWeb(Box::new(GrpcWeb::new(false))),
            Kind::GrpcWebText => Scan::GrpcWeb(Box::new(GrpcWeb::new(true))),
            _ => Scan::Nothing,
        };
        Self { wanted_bytes, scan, ..Self::default() }
    }

    /// Whether nothing more of it is wanted.
    pub fn is_idle(&self) -> bool {
        self.start.len() >= self.wanted_bytes
            && match &self.scan {
                Scan::Nothing => true,
                Scan::GrpcWeb(messages) => messages.is_done(),
            }
    }

    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        let room = self.wanted_bytes.saturating_sub(self.start.len());
        if room > 0 {
            self.start.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        match &mut self.scan {
            Scan::Nothing => {}
            Scan::GrpcWeb(messages) => messages.take(bytes),
        }
    }

    /// Bytes were never seen.
    pub fn lost(&mut self) {
        self.wanted_bytes = self.start.len();
        match &mut self.scan {
            Scan::Nothing => {}
            Scan::GrpcWeb(messages) => messages.lost(),
        }
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.start.capacity()
    }

    /// Writes what was found in a request's body.
    pub fn conclude_request(self, record: &mut Record) {
        if !self.start.is_empty() {
            let text = bytes::text(&self.start, self.start.len());
            record.attributes.push((REQUEST_PAYLOAD, text));
        }
    }

    /// Writes what was found in a response's body; how a call of gRPC-Web ended is given back.
    pub fn conclude_response(self, config: &Config, response: &mut Response) -> Outcome {
        if !self.start.is_empty() {
            response.result = bytes::text(&self.start, self.start.len());
        }
        match self.scan {
            Scan::Nothing => Outcome::default(),
            Scan::GrpcWeb(messages) => messages.outcome(config.limits.text_bytes),
        }
    }
}

/// The request turned out well: what is kept of it for errors only goes.
pub(crate) fn forget_request(config: &Config, record: &mut Record) {
    if config.raw.error_request_payload > 0 {
        record.attributes.retain(|(name, _)| *name != REQUEST_PAYLOAD);
    }
}
