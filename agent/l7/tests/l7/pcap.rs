//! Reads capture files: as little as the peer's captures need (classic pcap; Ethernet, cooked,
//! raw; IPv4 and IPv6; TCP, UDP and ICMP).

use std::net::IpAddr;

/// One TCP segment, UDP datagram or ICMP message.
#[derive(Clone, Debug)]
pub struct Captured {
    pub time_ns: u64,
    pub source: (IpAddr, u16),
    pub target: (IpAddr, u16),
    /// `None`: UDP or an ICMP echo.
    pub seq: Option<u32>,
    /// An ICMP message, its header included.
    pub is_icmp: bool,
    pub syn: bool,
    pub fin: bool,
    pub payload: Vec<u8>,
    pub wire_bytes: u32,
}

/// Every segment of a capture file.
pub fn read(file: &[u8]) -> Vec<Captured> {
    let big = matches!(file.get(..4), Some([0xa1, 0xb2, ..]));
    let nanos = matches!(file.get(..4), Some([0x4d, 0x3c, ..] | [0xa1, 0xb2, 0x3c, 0x4d]));
    let number = |at: usize| {
        let octets: [u8; 4] = file[at..at + 4].try_into().expect("four bytes");
        if big { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) }
    };
    // A variant with eight more bytes a record.
    let head = if matches!(file.get(..4), Some([0x34, 0xcd, ..])) { 24 } else { 16 };
    let link = number(20);
    let mut at = 24;
    let mut segments = Vec::new();
    while at + head <= file.len() {
        let fraction = u64::from(number(at + 4));
        let time_ns =
            u64::from(number(at)) * 1_000_000_000 + if nanos { fraction } else { fraction * 1000 };
        let captured = number(at + 8) as usize;
        let Some(frame) = file.get(at + head..at + head + captured) else { break };
        at += head + captured;
        segments.extend(segment(time_ns, link, frame));
    }
    segments
}

fn segment(time_ns: u64, link: u32, frame: &[u8]) -> Option<Captured> {
    let ip = match link {
        1 => {
            let mut at = 12;
            while matches!(frame.get(at..at + 2)?, [0x81, 0] | [0x88, 0xa8]) {
                at += 4;
            }
            frame.get(at + 2..)?
        }
        113 => frame.get(16..)?,
        0 => frame.get(4..)?,
        _ => frame,
    };
    let (protocol, source, target, body, ip_bytes) = match ip.first()? >> 4 {
        4 => {
            let header = usize::from(ip[0] & 15) * 4;
            let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
            let address = |at: usize| -> Option<IpAddr> {
                Some(IpAddr::from(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?))
            };
            (ip[9], address(12)?, address(16)?, ip.get(header..)?, total.checked_sub(header)?)
        }
        6 => {
            let address = |at: usize| -> Option<IpAddr> {
                Some(IpAddr::from(<[u8; 16]>::try_from(ip.get(at..at + 16)?).ok()?))
            };
            let total = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
            (ip[6], address(8)?, address(24)?, ip.get(40..)?, total)
        }
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]));
    let (header, seq, flags) = match protocol {
        6 => {
            let seq = u32::from_be_bytes(body.get(4..8)?.try_into().ok()?);
            (usize::from(body.get(12)? >> 4) * 4, Some(seq), *body.get(13)?)
        }
        17 => (8, None, 0),
        1 | 58 => (0, None, 0),
        _ => return None,
    };
    let is_icmp = matches!(protocol, 1 | 58);
    let port = |at: usize| if is_icmp { Some(0) } else { port(at) };
    let wire = ip_bytes.checked_sub(header)?;
    let payload = body.get(header..).unwrap_or(&[]);
    Some(Captured {
        time_ns,
        source: (source, port(0)?),
        target: (target, port(2)?),
        seq,
        is_icmp,
        syn: flags & 2 != 0,
        fin: flags & 1 != 0,
        payload: payload[..payload.len().min(wire)].to_vec(),
        wire_bytes: wire as u32,
    })
}
