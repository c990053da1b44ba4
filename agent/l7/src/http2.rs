//! HTTP/2: RFC 9113, and gRPC over it.
//!
//! ```text
//! connection := client: preface *frame   server: *frame
//! message    := HEADERS *CONTINUATION *DATA [HEADERS *CONTINUATION]      (head, body, trailers)
//! ```
//! Each stream is a session; its id is the request's. A request is told when its head was read, a
//! response when its stream ends; the response's time is that of its head. Data is passed over
//! without being held, its length counted. A call is gRPC when its content type says so; its
//! status stands in the trailers. Of a connection that was joined in its middle, header fields
//! that refer to earlier ones are left empty.

mod error;
mod frame;
mod hpack;
mod message;
mod probe;
mod stream;

use schema::L7Protocol;

use crate::bytes::Reader;
use crate::field_policy::Finder;
use crate::http2::frame::{HEADER_BYTES, Header, PREFACE, flag, kind};
use crate::http2::hpack::Decoder;
use crate::http2::message::{RequestHead, ResponseHead};
use crate::http2::stream::Streams;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::Pairing;
use crate::stream::Mark;

/// One HTTP/2 connection.
#[derive(Debug, Default)]
pub(crate) struct Http2 {
    sides: [Side; 2],
    streams: Streams,
}

/// What is known of one direction.
#[derive(Debug, Default)]
struct Side {
    hpack: Decoder,
    /// A header block was read, or missed.
    has_blocks: bool,
    /// A header block whose end is still to come.
    open_block: Option<OpenBlock>,
    /// Data that is being looked at.
    data: Option<Data>,
}

/// What is left of a DATA frame.
#[derive(Clone, Copy, Debug)]
struct Data {
    stream: u32,
    /// Without padding. unit byte
    left: u32,
    padding: u32,
    ends_stream: bool,
}

/// A header block in more than one frame.
#[derive(Debug)]
struct OpenBlock {
    head: BlockHead,
    bytes: Vec<u8>,
}

/// What a header block belongs to.
#[derive(Clone, Copy, Debug)]
struct BlockHead {
    stream: u32,
    /// The stream that a PUSH_PROMISE announces.
    promised: Option<u32>,
    ends_stream: bool,
    mark: Mark,
    captured_bytes: u32,
    /// Nothing of it was cut off.
    is_whole: bool,
}

/// A frame of interest.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    /// HEADERS or PUSH_PROMISE.
    Block {
        header: Header,
        promised: Option<u32>,
        fragment: &'a [u8],
        is_whole: bool,
    },
    Continuation {
        header: Header,
        fragment: &'a [u8],
        is_whole: bool,
    },
    /// `bytes`: without padding.
    Data {
        stream: u32,
        bytes: u32,
        ends_stream: bool,
    },
    /// Bytes of data that are wanted.
    Body {
        stream: u32,
        bytes: &'a [u8],
        ends_stream: bool,
    },
    Reset {
        stream: u32,
        code: u32,
    },
    GoAway {
        last_stream: u32,
        code: u32,
    },
}

/// Longest header block that is read; of a longer one the rest is left unread. unit byte
const BLOCK_BYTES: usize = 64 << 10;

impl Protocol for Http2 {
    const ID: L7Protocol = L7Protocol::Http2;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        probe::first_bytes(context.direction, first, context.cut)
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        let bytes = input.bytes;
        if let Some(data) = self.sides[direction.index()].data {
            return self.cut_data(direction, data, bytes);
        }
        if direction == Direction::ClientToServer && bytes[0] == PREFACE[0] {
            let common = bytes.len().min(PREFACE.len());
            if bytes[..common] == PREFACE[..common] {
                self.start(direction);
                return match common == PREFACE.len() {
                    true => Step::Skip(PREFACE.len() as u64),
                    false => Step::Need(PREFACE.len()),
                };
            }
        }
        let Some(header) = Header::read(bytes) else { return Step::Need(HEADER_BYTES) };
        if !header.is_sound(direction) {
            return Step::Lost;
        }
        let looked_at = match header.kind {
            kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => {
                header.frame_bytes().min(HEADER_BYTES + BLOCK_BYTES)
            }
            kind::DATA if header.has(flag::PADDED) => HEADER_BYTES + 1,
            kind::RST_STREAM => header.frame_bytes(),
            kind::GOAWAY => HEADER_BYTES + 8,
            _ => HEADER_BYTES,
        };
        if bytes.len() < looked_at && !input.cut {
            return Step::Need(looked_at);
        }
        let payload = &bytes[HEADER_BYTES..header.frame_bytes().min(bytes.len())];
        let used = header.frame_bytes() as u64;
        if header.kind == kind::SETTINGS && !header.has(flag::ACK) {
            self.start(direction);
        }
        match read(&header, payload) {
            Some(Frame::Data { stream, bytes, ends_stream })
                if bytes > 0 && self.streams.wants(stream, direction) =>
            {
                let before = looked_at - HEADER_BYTES;
                let padding = header.length - bytes - before as u32;
                let data = Data { stream, left: bytes, padding, ends_stream };
                self.sides[direction.index()].data = Some(data);
                let frame = Frame::Data { stream, bytes, ends_stream: false };
                Step::Frame { frame, used: looked_at as u64 }
            }
            Some(frame) => Step::Frame { frame, used },
            None => Step::Skip(used),
        }
    }

    fn pair(&mut self, direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        match frame {
            Frame::Block { header, promised, fragment, is_whole } => {
                let head = BlockHead {
                    stream: header.stream,
                    promised,
                    ends_stream: promised.is_none() && header.has(flag::END_STREAM),
                    mark: out.mark,
                    captured_bytes: out.captured_bytes,
                    is_whole,
                };
                self.block(direction, head, header.has(flag::END_HEADERS), fragment, out);
            }
            Frame::Continuation { header, fragment, is_whole } => {
                self.continuation(direction, &header, fragment, is_whole, out);
            }
            Frame::Data { stream, bytes, ends_stream } => {
                self.streams.data(stream, direction, bytes);
                if ends_stream {
                    self.streams.end(stream, direction, out);
                }
            }
            Frame::Body { stream, bytes, ends_stream } => {
                self.streams.body(stream, direction, bytes, out.mark.time_ns);
                if ends_stream {
                    self.streams.end(stream, direction, out);
                }
            }
            Frame::Reset { stream, code } => self.streams.reset(stream, direction, code, out),
            Frame::GoAway { last_stream, code } if direction == Direction::ServerToClient => {
                self.streams.refuse_after(last_stream, code, out);
            }
            Frame::GoAway { .. } => {}
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        probe::may_start(direction, bytes)
    }

    fn pass_gap(&mut self, direction: Direction, bytes: u64, out: &mut Pairing<'_>) -> bool {
        let Some(data) = self.sides[direction.index()].data else { return false };
        if bytes > u64::from(data.left) + u64::from(data.padding) {
            return false;
        }
        self.streams.lost_body(data.stream, direction);
        let left = data.left.saturating_sub(bytes as u32);
        let padding = data.padding - (bytes as u32).saturating_sub(data.left);
        let is_over = left == 0 && padding == 0;
        self.sides[direction.index()].data = (!is_over).then_some(Data { left, padding, ..data });
        if is_over && data.ends_stream {
            self.streams.end(data.stream, direction, out);
        }
        true
    }

    fn lost(&mut self, direction: Direction, _out: &mut Pairing<'_>) {
        let side = &mut self.sides[direction.index()];
        if let Some(data) = side.data.take() {
            self.streams.lost_body(data.stream, direction);
        }
        side.hpack.forget();
        side.has_blocks = true;
        side.open_block = None;
        self.streams.lost(direction);
    }

    fn expire(&mut self, now_ns: u64, out: &mut Pairing<'_>) {
        let before_ns = now_ns.saturating_sub(out.config.windows.session_ns);
        self.streams.expire(before_ns, out);
    }

    fn close(&mut self, out: &mut Pairing<'_>) {
        self.streams.close(out);
    }

    fn held_bytes(&self) -> usize {
        let sides: usize = self.sides.iter().map(Side::held_bytes).sum();
        sides + self.streams.held_bytes()
    }
}

impl Side {
    fn held_bytes(&self) -> usize {
        let open = self.open_block.as_ref().map_or(0, |block| block.bytes.capacity());
        self.hpack.held_bytes() + open
    }
}

impl Http2 {
    /// Cuts what is there of the data that is looked at.
    fn cut_data<'a>(
        &mut self,
        direction: Direction,
        mut data: Data,
        bytes: &'a [u8],
    ) -> Step<Frame<'a>> {
        let taken = match self.streams.wants(data.stream, direction) {
            true => data.left.min(bytes.len() as u32),
            false => data.left,
        };
        data.left -= taken;
        let is_over = data.left == 0;
        let padding = if is_over { data.padding } else { 0 };
        self.sides[direction.index()].data = (!is_over).then_some(data);
        let seen = (taken as usize).min(bytes.len());
        let frame = Frame::Body {
            stream: data.stream,
            bytes: &bytes[..seen],
            ends_stream: is_over && data.ends_stream,
        };
        Step::Frame { frame, used: u64::from(taken) + u64::from(padding) }
    }

    /// A direction starts here, unless header blocks of it went before.
    fn start(&mut self, direction: Direction) {
        let side = &mut self.sides[direction.index()];
        if !side.has_blocks {
            side.hpack.start();
        }
    }

    /// The first, or only, frame of a header block.
    fn block(
        &mut self,
        direction: Direction,
        head: BlockHead,
        is_complete: bool,
        fragment: &[u8],
        out: &mut Pairing<'_>,
    ) {
        let side = &mut self.sides[direction.index()];
        if side.open_block.take().is_some() {
            side.hpack.forget();
        }
        if is_complete {
            self.read_block(direction, head, fragment, out);
        } else {
            side.open_block = Some(OpenBlock { head, bytes: fragment.to_vec() });
        }
    }

    fn continuation(
        &mut self,
        direction: Direction,
        header: &Header,
        fragment: &[u8],
        is_whole: bool,
        out: &mut Pairing<'_>,
    ) {
        let side = &mut self.sides[direction.index()];
        let is_same = |block: &OpenBlock| block.head.stream == header.stream;
        let Some(mut block) = side.open_block.take().filter(is_same) else {
            // The frames before it were not seen.
            side.hpack.forget();
            side.has_blocks = true;
            return;
        };
        if block.head.is_whole {
            let room = BLOCK_BYTES.saturating_sub(block.bytes.len()).min(fragment.len());
            block.bytes.extend_from_slice(&fragment[..room]);
            block.head.is_whole = is_whole && room == fragment.len();
        }
        block.head.captured_bytes += out.captured_bytes;
        if header.has(flag::END_HEADERS) {
            self.read_block(direction, block.head, &block.bytes, out);
        } else {
            side.open_block = Some(block);
        }
    }

    /// A header block that is complete, or as complete as it will be.
    fn read_block(
        &mut self,
        direction: Direction,
        head: BlockHead,
        block: &[u8],
        out: &mut Pairing<'_>,
    ) {
        out.mark = head.mark;
        out.captured_bytes = head.captured_bytes;
        self.sides[direction.index()].has_blocks = true;
        match (direction, head.promised) {
            (Direction::ClientToServer, _) => self.read_request(direction, head, block, out),
            (Direction::ServerToClient, Some(promised)) => {
                self.read_request(direction, BlockHead { stream: promised, ..head }, block, out);
            }
            (Direction::ServerToClient, None) => {
                let finder = Finder::new(out.config, Self::ID, out.server_port, direction);
                let mut response = ResponseHead::new(finder);
                self.decode(direction, head, block, |field| response.take(out.config, field));
                self.streams.response(head.stream, response, head.ends_stream, out);
            }
        }
    }

    fn read_request(
        &mut self,
        direction: Direction,
        head: BlockHead,
        block: &[u8],
        out: &mut Pairing<'_>,
    ) {
        let has_head = self.streams.is_asked(head.stream, out);
        let asks = Direction::ClientToServer;
        let finder = Finder::new(out.config, Self::ID, out.server_port, asks);
        let mut request = RequestHead::new(out.record(), finder);
        self.decode(direction, head, block, |field| request.take(out.config, field));
        if !has_head && request.is_request() {
            let (record, content, finder) = request.finish(out.config);
            self.streams.request(head.stream, record, content, finder, out);
        }
        if head.ends_stream {
            self.streams.end(head.stream, direction, out);
        }
    }

    fn decode(
        &mut self,
        direction: Direction,
        head: BlockHead,
        block: &[u8],
        take: impl FnMut(hpack::Field<'_>),
    ) {
        let hpack = &mut self.sides[direction.index()].hpack;
        let outcome = hpack.decode(block, take);
        if outcome.is_err() || !head.is_whole {
            hpack.forget();
        }
    }
}

/// Reads the payload of a frame, as far as it was captured. `None`: of no interest.
fn read<'a>(header: &Header, payload: &'a [u8]) -> Option<Frame<'a>> {
    let is_whole = payload.len() == header.length as usize;
    let mut reader = Reader::new(payload);
    let stream = header.stream;
    match header.kind {
        kind::HEADERS => {
            let fragment = frame::unpadded(header, payload)?;
            let priority = if header.has(flag::PRIORITY) { 5 } else { 0 };
            let fragment = fragment.get(priority..).unwrap_or(&[]);
            Some(Frame::Block { header: *header, promised: None, fragment, is_whole })
        }
        kind::PUSH_PROMISE => {
            let mut reader = Reader::new(frame::unpadded(header, payload)?);
            let promised = reader.u32_be().map(|id| id & u32::MAX >> 1);
            Some(Frame::Block { header: *header, promised, fragment: reader.rest(), is_whole })
        }
        kind::CONTINUATION => {
            Some(Frame::Continuation { header: *header, fragment: payload, is_whole })
        }
        kind::DATA => {
            let padding = match header.has(flag::PADDED) {
                true => 1 + u32::from(reader.u8().unwrap_or(0)),
                false => 0,
            };
            let bytes = header.length.saturating_sub(padding);
            Some(Frame::Data { stream, bytes, ends_stream: header.has(flag::END_STREAM) })
        }
        kind::RST_STREAM => Some(Frame::Reset { stream, code: reader.u32_be()? }),
        kind::GOAWAY => {
            let last_stream = reader.u32_be()? & u32::MAX >> 1;
            Some(Frame::GoAway { last_stream, code: reader.u32_be()? })
        }
        _ => None,
    }
}
