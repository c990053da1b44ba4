//! Errors of AMQP 1.0 (part 2, §2.8.14 and following): a condition, a description.
//!
//! In: the error field of a performative. Out: a text, and whose fault it is.

use schema::{ResponseStatus, Text};

use crate::amqp::value::Value;
use crate::bytes;
use crate::session::Response;

/// An error.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// `condition: description`.
    pub text: Text,
}

const ERROR: u64 = 0x1d;

/// Conditions that say nothing about what the client did.
const OF_THE_SERVER: [&str; 6] = [
    "amqp:internal-error",
    "amqp:not-implemented",
    "amqp:resource-limit-exceeded",
    "amqp:connection:forced",
    "amqp:connection:redirect",
    "amqp:link:redirect",
];

impl Fault {
    /// The error in a field; `None`: there is none.
    pub fn read(field: Option<Value<'_>>, limit: usize) -> Option<Self> {
        let Some(Value::Described(ERROR, mut fields)) = field else { return None };
        let condition = fields.next().and_then(Value::text).unwrap_or_default();
        let description = fields.next().and_then(Value::text).unwrap_or_default();
        let mut text = bytes::text(condition, limit);
        if !description.is_empty() {
            text.push_str(": ");
            text.push_str(&bytes::text(description, limit));
        }
        Some(Self { text })
    }

    /// A link that is refused, before the reason is known.
    pub fn refusal() -> Self {
        Self { text: Text::const_new("link refused") }
    }

    /// Writes it into a response.
    pub fn fill(self, response: &mut Response) {
        response.status = Self::status_of(&self.text);
        response.exception = self.text;
    }

    /// Whose fault an error is, by its condition.
    pub fn status_of(text: &str) -> ResponseStatus {
        match OF_THE_SERVER.iter().any(|condition| text.starts_with(condition)) {
            true => ResponseStatus::ServerError,
            false => ResponseStatus::ClientError,
        }
    }
}
