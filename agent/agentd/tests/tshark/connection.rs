//! A connection in which everything goes wrong once, as IP packets with their times.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::TcpFlags;
use wire::build::{self, Tcp};

/// Packets of which all data, or the SYN or SYN-ACK, was sent before.
pub const RETRANSMISSIONS: i64 = 5;

const SYN: TcpFlags = TcpFlags::SYN;
const SYN_ACK: TcpFlags = TcpFlags::SYN_ACK;
const ACK: TcpFlags = TcpFlags::ACK;
const PUSH: TcpFlags = TcpFlags(0x18);
const FIN: TcpFlags = TcpFlags(0x11);

/// A packet of the connection.
#[derive(Clone)]
pub struct Sent {
    /// unit µs
    pub at_us: u64,
    pub by_client: bool,
    /// From the IP header on.
    pub ip: Vec<u8>,
}

/// Addresses of IPv4 or IPv6, client first.
pub fn addresses(is_v6: bool) -> [IpAddr; 2] {
    let v4 = |host| IpAddr::V4(Ipv4Addr::new(10, 7, 0, host));
    let v6 = |host| IpAddr::V6(Ipv6Addr::new(0xfd07, 0, 0, 0, 0, 0, 0, host));
    if is_v6 { [v6(1), v6(2)] } else { [v4(1), v4(2)] }
}

/// The whole connection, whose sequence numbers begin near `seq` for both sides.
pub fn packets(is_v6: bool, seq: u32) -> Vec<Sent> {
    let (client, server) = (seq, seq.wrapping_add(5000));
    let mut line = Line { is_v6, client, server, sent: Vec::new(), window: 512 };
    line.handshake();
    line.losses();
    line.windows();
    line.end();
    line.sent
}

struct Line {
    is_v6: bool,
    client: u32,
    server: u32,
    sent: Vec<Sent>,
    window: u16,
}

impl Line {
    /// Offsets are from the side's first number.
    fn send(
        &mut self,
        at_us: u64,
        by_client: bool,
        place: (u32, u32),
        flags: TcpFlags,
        len: usize,
    ) {
        let (from, to) =
            if by_client { (self.client, self.server) } else { (self.server, self.client) };
        let (src_port, dst_port) = if by_client { (40_000, 80) } else { (80, 40_000) };
        let has_ack = flags.contains(ACK);
        let tcp = Tcp {
            src_port,
            dst_port,
            seq: from.wrapping_add(place.0),
            ack: if has_ack { to.wrapping_add(place.1) } else { 0 },
            flags,
            window: self.window,
            options: Vec::new(),
        };
        let [client, server] = addresses(self.is_v6);
        let (src, dst) = if by_client { (client, server) } else { (server, client) };
        // The frame of the builder without its Ethernet header.
        let ip = build::ip_frame(src, dst, 6, &tcp.with(&vec![7; len]))[14..].to_vec();
        self.sent.push(Sent { at_us, by_client, ip });
    }

    /// SYN and SYN-ACK are sent twice each.
    fn handshake(&mut self) {
        self.send(0, true, (0, 0), SYN, 0);
        self.send(1_000_000, true, (0, 0), SYN, 0);
        self.send(1_020_000, false, (0, 1), SYN_ACK, 0);
        self.send(2_020_000, false, (0, 1), SYN_ACK, 0);
        self.send(2_030_000, true, (1, 1), ACK, 0);
    }

    /// A request sent twice, a lost and a late segment of the response, and overlaps.
    fn losses(&mut self) {
        self.send(2_040_000, true, (1, 1), PUSH, 100);
        self.send(2_340_000, true, (1, 1), PUSH, 100);
        self.send(2_350_000, false, (1, 101), ACK, 0);
        self.send(2_360_000, false, (1, 101), ACK, 400);
        self.send(2_361_000, false, (801, 101), ACK, 400);
        self.send(2_361_500, false, (401, 101), ACK, 400);
        self.send(2_362_000, false, (1601, 101), PUSH, 400);
        self.send(2_380_000, true, (101, 1201), ACK, 0);
        self.send(2_700_000, false, (1201, 101), ACK, 400);
        self.send(2_710_000, false, (1601, 101), ACK, 400);
        self.send(2_720_000, false, (1801, 101), PUSH, 400);
        self.send(2_730_000, true, (101, 2201), ACK, 0);
    }

    /// A window of 0, probes of it, and keep-alives.
    fn windows(&mut self) {
        self.window = 0;
        self.send(2_740_000, true, (101, 2201), ACK, 0);
        self.window = 512;
        self.send(3_000_000, false, (2201, 101), ACK, 1);
        self.send(3_400_000, false, (2201, 101), ACK, 1);
        self.send(3_500_000, true, (101, 2202), ACK, 0);
        self.send(8_000_000, true, (100, 2202), ACK, 0);
        self.send(8_001_000, false, (2202, 101), ACK, 0);
        self.send(9_000_000, true, (100, 2202), ACK, 1);
    }

    /// FIN with data twice, FIN without twice, and a reset.
    fn end(&mut self) {
        self.send(9_100_000, true, (101, 2202), FIN, 20);
        self.send(9_400_000, true, (101, 2202), FIN, 20);
        self.send(9_410_000, false, (2202, 122), FIN, 0);
        self.send(9_700_000, false, (2202, 122), FIN, 0);
        self.send(9_710_000, true, (122, 2203), ACK, 0);
        self.send(9_720_000, false, (2203, 122), TcpFlags(0x14), 0);
    }
}
