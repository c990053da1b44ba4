//! Captures for comparisons: connections in turn, opened, used and closed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;
use wire::build::{self, Tcp};
use wire::{TcpFlags, eth_type, protocol};

/// What the connections of a capture say.
pub(super) struct Dialogue {
    /// Connections of the capture.
    pub connections: u32,
    /// How many run at a time.
    pub at_a_time: u32,
    /// Requests with their answers in each.
    pub exchanges: u32,
    pub server_port: u16,
    /// UDP instead of TCP.
    pub is_udp: bool,
    pub request: Vec<u8>,
    pub answer: Vec<u8>,
}

/// Writes the capture; returns the number of packets.
pub(super) fn write(path: &Path, dialogue: &Dialogue) -> Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    let (mut packets, mut now_us) = (0, 1_700_000_000_000_000_u64);
    for first in (0..dialogue.connections).step_by(dialogue.at_a_time as usize) {
        let numbers = first..(first + dialogue.at_a_time).min(dialogue.connections);
        let mut connections: Vec<_> = numbers.map(|n| Connection::new(dialogue, n)).collect();
        while !connections.is_empty() {
            connections.retain_mut(Connection::prepare);
            for connection in &connections {
                let frame = connection.frame();
                now_us += 3;
                for word in [now_us / 1_000_000, now_us % 1_000_000] {
                    out.write_all(&(word as u32).to_le_bytes())?;
                }
                out.write_all(&(frame.len() as u32).to_le_bytes())?;
                out.write_all(&(frame.len() as u32).to_le_bytes())?;
                out.write_all(&frame)?;
                packets += 1;
            }
        }
    }
    out.flush()?;
    Ok(packets)
}

/// A connection at one of its packets.
struct Connection<'a> {
    dialogue: &'a Dialogue,
    number: u32,
    step: u32,
    /// Next sequence numbers of client and server.
    seqs: [u32; 2],
    packet: Part<'a>,
}

/// What a packet is of.
struct Part<'a> {
    from_client: bool,
    flags: TcpFlags,
    payload: &'a [u8],
    seqs: [u32; 2],
}

impl<'a> Connection<'a> {
    fn new(dialogue: &'a Dialogue, number: u32) -> Self {
        let flags = TcpFlags::SYN;
        let packet = Part { from_client: true, flags, payload: &[], seqs: [0; 2] };
        Self { dialogue, number, step: 0, seqs: [1000, 9000], packet }
    }

    /// Goes on to the next packet; false at the end.
    fn prepare(&mut self) -> bool {
        let next = if self.dialogue.is_udp { self.next_datagram() } else { self.next_segment() };
        let Some((from_client, flags, payload)) = next else { return false };
        self.packet = Part { from_client, flags, payload, seqs: self.seqs };
        let counts = flags.intersects(TcpFlags::SYN | TcpFlags::FIN);
        let sender = &mut self.seqs[usize::from(!from_client)];
        *sender = sender.wrapping_add(payload.len() as u32 + u32::from(counts));
        self.step += 1;
        true
    }

    fn next_datagram(&self) -> Option<(bool, TcpFlags, &'a [u8])> {
        let Dialogue { request, answer, exchanges, .. } = self.dialogue;
        let (from_client, payload) = match self.step % 2 {
            0 => (true, request),
            _ => (false, answer),
        };
        (self.step < 2 * exchanges).then_some((from_client, TcpFlags::default(), payload))
    }

    fn next_segment(&self) -> Option<(bool, TcpFlags, &'a [u8])> {
        let Dialogue { request, answer, exchanges, .. } = self.dialogue;
        let data = TcpFlags::PSH | TcpFlags::ACK;
        let fin = TcpFlags::FIN | TcpFlags::ACK;
        let last = 3 + 3 * exchanges;
        Some(match self.step {
            0 => (true, TcpFlags::SYN, &[]),
            1 => (false, TcpFlags::SYN_ACK, &[]),
            2 => (true, TcpFlags::ACK, &[]),
            step if step < last => match step % 3 {
                0 => (true, data, request),
                1 => (false, data, answer),
                _ => (true, TcpFlags::ACK, &[]),
            },
            step if step == last => (true, fin, &[]),
            step if step == last + 1 => (false, fin, &[]),
            step if step == last + 2 => (true, TcpFlags::ACK, &[]),
            _ => return None,
        })
    }

    fn frame(&self) -> Vec<u8> {
        let Part { from_client, flags, payload, seqs: [client_seq, server_seq] } = self.packet;
        let client = Ipv4Addr::from(0x0a00_0000 + self.number / 50);
        let server = Ipv4Addr::from(0xc0a8_0001 + self.number % 20);
        let ports = (10_000 + (self.number % 50 * 1000) as u16, self.dialogue.server_port);
        let (ends, ports, seq, ack) = match from_client {
            true => ((client, server), ports, client_seq, server_seq),
            false => ((server, client), (ports.1, ports.0), server_seq, client_seq),
        };
        let (src_port, dst_port) = ports;
        let (kind, segment) = if self.dialogue.is_udp {
            (protocol::UDP, build::udp(src_port, dst_port, payload))
        } else {
            let tcp = Tcp { src_port, dst_port, seq, ack, flags, window: 512, options: Vec::new() };
            (protocol::TCP, tcp.with(payload))
        };
        build::ethernet(eth_type::IPV4, &build::ipv4(ends.0, ends.1, kind, &segment))
    }
}
