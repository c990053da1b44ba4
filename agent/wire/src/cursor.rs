//! A place in a frame: what was captured of it and how long it was on the wire.

use crate::error::Malformed;

/// Reads big-endian fields in order. Bounds are checked in one place: [`Cursor::take`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    /// Bytes from here to the end of the layer as its lengths say; may exceed what was captured.
    wire_left: u32,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `bytes`, of which `wire_left` were on the wire.
    pub(crate) fn new(bytes: &'a [u8], wire_left: u32) -> Self {
        Self { bytes, wire_left }
    }

    /// Bytes from here to the layer's end on the wire.
    pub(crate) fn wire_left(&self) -> u32 {
        self.wire_left
    }

    /// Captured bytes from here to the layer's end.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Takes `N` bytes as an array.
    pub(crate) fn take<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<&'a [u8; N], Malformed> {
        let (head, tail) = self.bytes.split_first_chunk().ok_or(Malformed::Truncated(field))?;
        self.bytes = tail;
        self.wire_left = self.wire_left.saturating_sub(N as u32);
        Ok(head)
    }

    /// Takes `len` bytes.
    pub(crate) fn take_slice(
        &mut self,
        len: usize,
        field: &'static str,
    ) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.bytes.split_at_checked(len).ok_or(Malformed::Truncated(field))?;
        self.bytes = tail;
        self.wire_left = self.wire_left.saturating_sub(len as u32);
        Ok(head)
    }

    /// Steps over up to `len` bytes, as many as were captured; `len` counts on the wire.
    pub(crate) fn take_captured(&mut self, len: usize) -> &'a [u8] {
        let (head, tail) = self.bytes.split_at(len.min(self.bytes.len()));
        self.bytes = tail;
        self.wire_left = self.wire_left.saturating_sub(len as u32);
        head
    }

    /// Looks at `N` bytes without taking them.
    pub(crate) fn peek<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.bytes.first_chunk()
    }

    /// Takes a big-endian u16.
    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(*self.take(field)?))
    }

    /// Ends the layer `wire_len` bytes from here: padding and trailers fall away.
    pub(crate) fn bound(&mut self, wire_len: u32) {
        self.wire_left = wire_len;
        self.bytes = &self.bytes[..self.bytes.len().min(wire_len as usize)];
    }
}
