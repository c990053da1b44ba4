//! Inflates zlib streams piece by piece.
//!
//! In: a zlib stream, perhaps damaged or cut off. Out: its plain bytes, as far as they go. Never:
//! more memory than the window and a chunk of the caller's.

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

/// Inflates one zlib stream.
pub(crate) struct Inflater<'a> {
    state: Box<InflateState>,
    rest: &'a [u8],
    done: bool,
}

impl<'a> Inflater<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Self { state: InflateState::new_boxed(DataFormat::Zlib), rest: body, done: false }
    }

    /// The next plain bytes; `None` at the end, or where the stream is damaged or cut off.
    pub fn next_chunk<'b>(&mut self, chunk: &'b mut [u8]) -> Option<&'b [u8]> {
        if self.done {
            return None;
        }
        let result = inflate(&mut self.state, self.rest, chunk, MZFlush::None);
        self.rest = self.rest.get(result.bytes_consumed..).unwrap_or(&[]);
        self.done = !matches!(result.status, Ok(MZStatus::Ok)) || result.bytes_written == 0;
        (result.bytes_written > 0).then(|| &chunk[..result.bytes_written])
    }
}
