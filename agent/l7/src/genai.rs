//! Calls of generative models in HTTP: what was asked of which model, at what cost, how it ended.
//!
//! In: the path of a request (`call`), bodies of request and answer as they come (`reader`, `json`,
//! `facts`). Out: attributes and metrics named by OpenTelemetry's semantic conventions for
//! generative AI. Never: a text of a prompt or an answer, nor memory that grows with them.

mod call;
mod facts;
mod json;
mod reader;

pub(crate) use call::Call;
pub(crate) use reader::{AnswerReader, RequestReader};
