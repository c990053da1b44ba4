//! Payloads that are none of ours: what encrypted, compressed and filmed bytes look like.
//!
//! In: a seed. Out: conversations of a few segments each, in both directions, that start somewhere
//! in the middle, on ports that say nothing. The same seed gives the same bytes.

use l7::{
    Config, Conversation, ConversationContext, Direction, Origin, Output, Segment, Shared,
    Transport,
};
use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use schema::{L7Protocol, SignalSource};

/// A kind of payload.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What it is.
    pub name: &'static str,
    /// What it may rightly be taken for.
    pub allowed: &'static [L7Protocol],
    transport: Transport,
    fill: fn(&mut Noise, &mut Vec<u8>),
}

/// What came of a kind.
#[derive(Debug, Default)]
pub struct Misread {
    /// Segments that inference looked at.
    pub segments: u64,
    /// Those in which it found a protocol that is not there.
    pub taken: Vec<Taken>,
}

/// A conversation that was taken for something.
#[derive(Debug)]
pub struct Taken {
    /// What for.
    pub protocol: L7Protocol,
    /// Its segments, and whether the server sent them.
    pub segments: Vec<(bool, Vec<u8>)>,
}

/// Segments of a conversation: as many as inference looks at before it gives up.
const SEGMENTS: u64 = 5;
/// Longest payload of random length. unit byte
const PAYLOAD_BYTES: u64 = 300;

const TCP: Transport = Transport::Tcp;
const UDP: Transport = Transport::Udp;

/// Every kind.
pub const KINDS: &[Kind] = &[
    kind("random bytes", &[], TCP, Noise::random),
    kind("random datagrams", &[], UDP, Noise::random),
    kind("TLS application data", &[L7Protocol::Tls], TCP, Noise::tls_records),
    kind("middle of a TLS record", &[], TCP, Noise::random),
    kind("SSH after its key exchange", &[], TCP, Noise::ssh),
    kind("QUIC", &[], UDP, Noise::quic),
    kind("WireGuard", &[], UDP, Noise::wireguard),
    kind("MPEG transport stream", &[], UDP, Noise::mpeg_ts),
    kind("MPEG transport stream by TCP", &[], TCP, Noise::mpeg_ts),
    kind("RTP", &[], UDP, Noise::rtp),
    kind("H.264", &[], TCP, Noise::h264),
    kind("RTMP chunks", &[], TCP, Noise::rtmp),
    kind("gzip", &[], TCP, Noise::gzip),
    kind("zlib", &[], TCP, Noise::zlib),
    kind("lengths and random bytes", &[], TCP, Noise::framed),
    kind("small numbers", &[], TCP, Noise::small_numbers),
];

const fn kind(
    name: &'static str,
    allowed: &'static [L7Protocol],
    transport: Transport,
    fill: fn(&mut Noise, &mut Vec<u8>),
) -> Kind {
    Kind { name, allowed, transport, fill }
}

impl Kind {
    /// Feeds at least `segments` of this kind to inference, each conversation to a server of its
    /// own.
    pub fn measure(&self, segments: u64, seed: u64) -> Misread {
        let mut noise = Noise::new(seed);
        let mut shared = Shared::new(Config::live());
        let mut out = Output::default();
        let mut misread = Misread::default();
        let mut payload = Vec::new();
        while misread.segments < segments {
            let mut conversation = Conversation::new(self.context(noise.number()));
            let mut seqs = [noise.number() as u32, noise.number() as u32];
            let mut segments = Vec::new();
            for place in 0..SEGMENTS {
                payload.clear();
                (self.fill)(&mut noise, &mut payload);
                let from_server = noise.number() & 1 == 1;
                let side = usize::from(from_server);
                let segment = Segment {
                    time_ns: 1_000_000_000 + place,
                    direction: [Direction::ClientToServer, Direction::ServerToClient][side],
                    seq: (self.transport == TCP).then_some(seqs[side]),
                    payload: &payload,
                    wire_bytes: payload.len() as u32,
                    syn: false,
                    fin: false,
                    origin: Origin::default(),
                };
                seqs[side] = seqs[side].wrapping_add(segment.wire_bytes);
                conversation.on_segment(&mut shared, &segment, &mut out);
                misread.segments += 1;
                segments.push((from_server, payload[..payload.len().min(64)].to_vec()));
                if let Some(protocol) = conversation.protocol() {
                    if !self.allowed.contains(&protocol) {
                        misread.taken.push(Taken { protocol, segments });
                    }
                    break;
                }
            }
            conversation.on_close(&mut shared, 2_000_000_000, &mut out);
            out.clear();
        }
        misread
    }

    fn context(&self, server_key: u64) -> ConversationContext {
        ConversationContext {
            transport: self.transport,
            client_port: 50_001,
            server_port: 50_002,
            server_key,
            signal_source: SignalSource::Packet,
            direction_known: false,
            is_tls: false,
        }
    }
}

/// Makes payloads.
#[derive(Debug)]
pub struct Noise {
    state: u64,
    /// Of sequence numbers, continuity counters and the like.
    count: u64,
}

impl Noise {
    fn new(seed: u64) -> Self {
        Self { state: seed | 1, count: seed >> 32 }
    }

    /// The next number (xorshift).
    fn number(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.number() >> 16) % end
    }

    fn bytes(&mut self, count: u64, out: &mut Vec<u8>) {
        let end = out.len() + count as usize;
        while out.len() < end {
            out.extend_from_slice(&self.number().to_le_bytes());
        }
        out.truncate(end);
    }

    fn random(&mut self, out: &mut Vec<u8>) {
        let count = 1 + self.below(PAYLOAD_BYTES);
        self.bytes(count, out);
    }

    /// Whole records, the last one reaching beyond the segment now and then.
    fn tls_records(&mut self, out: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let length = 17 + self.below(PAYLOAD_BYTES);
            let minor = [3, 3, 3, 1, 2][self.below(5) as usize];
            out.extend_from_slice(&[23, 3, minor]);
            out.extend_from_slice(&(length as u16).to_be_bytes());
            self.bytes(length, out);
        }
        if self.below(4) == 0 {
            let kept = out.len() / 2 + 5;
            out.truncate(kept);
        }
    }

    /// RFC 4253 §6 with an encrypted length, and with a plain one as `chacha20-poly1305` of others
    /// and AES-GCM have it.
    fn ssh(&mut self, out: &mut Vec<u8>) {
        let length = 16 + 8 * self.below(40);
        if self.below(2) == 0 {
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
        self.bytes(length + 16, out);
    }

    /// RFC 9000 §17: long headers of each type and version, and short ones.
    fn quic(&mut self, out: &mut Vec<u8>) {
        let kind = self.below(6) as u8;
        if kind < 3 {
            out.push(0xc0 | kind << 4 | self.below(4) as u8);
            out.extend_from_slice([&[0, 0, 0, 1], b"k3\x43\xcf"][self.below(2) as usize]);
            for _ in 0..2 {
                let length = [0, 8, 16, 20][self.below(4) as usize];
                out.push(length as u8);
                self.bytes(length, out);
            }
            out.push(0);
            let length = 0x4000 | (20 + self.below(1100)) as u16;
            out.extend_from_slice(&length.to_be_bytes());
        } else {
            out.push(0x40 | self.below(64) as u8);
        }
        let count = 20 + self.below(1100);
        self.bytes(count, out);
    }

    /// Transport data, and handshakes, of WireGuard.
    fn wireguard(&mut self, out: &mut Vec<u8>) {
        let (kind, count) =
            [(1, 144), (2, 88), (4, 28 + 16 * self.below(60))][self.below(3) as usize];
        out.extend_from_slice(&[kind, 0, 0, 0]);
        self.bytes(count, out);
    }

    /// ISO/IEC 13818-1: seven packets of 188 bytes.
    fn mpeg_ts(&mut self, out: &mut Vec<u8>) {
        for _ in 0..7 {
            self.count += 1;
            let start = if self.below(30) == 0 { 0x40 } else { 0 };
            out.extend_from_slice(&[0x47, start | 1, 0, 0x10 | (self.count & 15) as u8]);
            if start == 0 {
                self.bytes(184, out);
            } else {
                out.extend_from_slice(&[0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5]);
                self.bytes(175, out);
            }
        }
    }

    /// RFC 3550 §5.1: audio of 20 ms and video with marks.
    fn rtp(&mut self, out: &mut Vec<u8>) {
        self.count += 1;
        let (kind, bytes) =
            [(0, 160), (8, 160), (96, 40 + self.below(1100)), (111, 60)][self.below(4) as usize];
        let mark = if self.below(20) == 0 { 0x80 } else { 0 };
        out.extend_from_slice(&[0x80, mark | kind]);
        out.extend_from_slice(&(self.count as u16).to_be_bytes());
        out.extend_from_slice(&(self.count as u32).wrapping_mul(160).to_be_bytes());
        out.extend_from_slice(&[0x12, 0x34, 0x56, 0x78]);
        self.bytes(bytes, out);
    }

    /// Slices after start codes (Annex B) or lengths, as in MP4.
    fn h264(&mut self, out: &mut Vec<u8>) {
        let count = 20 + self.below(PAYLOAD_BYTES);
        match self.below(3) {
            0 => out.extend_from_slice(&[0, 0, 0, 1, 0x41]),
            1 => out.extend_from_slice(&(count as u32 + 1).to_be_bytes()),
            _ => {
                out.extend_from_slice(&(count as u32 + 8).to_be_bytes());
                out.extend_from_slice(b"mdat");
            }
        }
        self.bytes(count, out);
    }

    /// Video and audio messages of RTMP 1.0 §5.3.1, with their four kinds of heads.
    fn rtmp(&mut self, out: &mut Vec<u8>) {
        let format = self.below(4) as u8;
        let stream = [2, 4, 6][self.below(3) as usize];
        out.push(format << 6 | stream);
        self.count += 1;
        let (stamp, length) =
            (&(self.count as u32).wrapping_mul(40).to_be_bytes()[1..], self.below(60_000));
        if format < 3 {
            out.extend_from_slice(stamp);
        }
        if format < 2 {
            out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
            out.push([8, 9][self.below(2) as usize]);
        }
        if format == 0 {
            out.extend_from_slice(&[1, 0, 0, 0]);
        }
        out.extend_from_slice(&[0x27, 1, 0, 0, 0]);
        self.bytes(128, out);
    }

    fn gzip(&mut self, out: &mut Vec<u8>) {
        let text = self.text();
        out.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
        out.extend_from_slice(&compress_to_vec(&text, 6));
        self.middle(out);
    }

    fn zlib(&mut self, out: &mut Vec<u8>) {
        let text = self.text();
        out.extend_from_slice(&compress_to_vec_zlib(&text, 6));
        self.middle(out);
    }

    /// Words with numbers: something that can be compressed.
    fn text(&mut self) -> Vec<u8> {
        const WORDS: [&str; 8] =
            ["order ", "customer ", "{\"id\": ", "price ", "the ", "shipped\n", "<td>", "item "];
        let mut text = Vec::new();
        for _ in 0..20 + self.below(30) {
            text.extend_from_slice(WORDS[self.below(8) as usize].as_bytes());
            text.extend_from_slice(self.below(100_000).to_string().as_bytes());
        }
        text
    }

    /// Half of the time what is in the middle of it.
    fn middle(&mut self, out: &mut Vec<u8>) {
        if self.below(2) == 0 {
            let start = self.below(out.len() as u64 / 2);
            out.drain(..start as usize);
        }
    }

    /// Protocols of somebody's own, encrypted: lengths of any width and order that add up.
    fn framed(&mut self, out: &mut Vec<u8>) {
        let form = self.below(6);
        for _ in 0..=self.below(3) {
            let count = 8 + self.below(200);
            let length = count as u32 + if form & 1 == 1 { 4 } else { 0 };
            match form / 2 {
                0 => out.extend_from_slice(&length.to_be_bytes()),
                1 => out.extend_from_slice(&length.to_le_bytes()),
                _ => out.extend_from_slice(&(length as u16).to_be_bytes()),
            }
            self.bytes(count, out);
        }
    }

    /// Samples of sound, pixels, counters: mostly bytes near zero.
    fn small_numbers(&mut self, out: &mut Vec<u8>) {
        for _ in 0..8 + self.below(PAYLOAD_BYTES) {
            let wide = self.below(4) == 0;
            let byte = self.number() >> 32;
            out.push(if wide { byte as u8 } else { (byte & 3) as u8 });
        }
    }
}
