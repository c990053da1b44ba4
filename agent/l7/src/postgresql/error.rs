//! `ErrorResponse`: fields, each a letter and a text.

use schema::{ResponseStatus, Text};

use crate::bytes::{self, Reader};
use crate::session::Response;

/// What a record shows of an error.
#[derive(Debug, Default)]
pub(super) struct ServerError<'a> {
    /// SQLSTATE, five characters.
    code: &'a [u8],
    message: &'a [u8],
}

/// SQLSTATE classes that blame the client; all others blame the server.
const CLIENT_CLASSES: [&[u8; 2]; 15] = [
    b"03", b"0A", b"0B", b"0F", b"0L", b"0P", b"20", b"22", b"23", b"26", b"2F", b"34", b"3D",
    b"3F", b"42",
];

impl<'a> ServerError<'a> {
    pub fn read(body: &'a [u8]) -> Self {
        let mut error = Self::default();
        let mut reader = Reader::new(body);
        while let Some(field) = reader.u8().filter(|field| *field != 0) {
            let Some(text) = reader.until_nul() else { break };
            match field {
                b'C' => error.code = text,
                b'M' => error.message = text,
                _ => {}
            }
        }
        error
    }

    pub fn status(&self) -> ResponseStatus {
        let class = self.code.first_chunk::<2>();
        match class.is_some_and(|class| CLIENT_CLASSES.contains(&class)) {
            true => ResponseStatus::ClientError,
            false => ResponseStatus::ServerError,
        }
    }

    /// Writes `SQLSTATE: message`.
    pub fn fill(&self, response: &mut Response, limit: usize) {
        let mut text: Text = bytes::text(self.code, 16);
        text.push_str(": ");
        text.push_str(&bytes::text(self.message, limit));
        response.exception = text;
    }
}
