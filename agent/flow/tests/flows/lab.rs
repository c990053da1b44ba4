//! A flow table with hand-made packets between one client and one server.

use std::net::{IpAddr, Ipv4Addr};

use flow::{FlowConfig, FlowReport, FlowTable, Kept, Update};
use wire::build::{self, Tcp};
use wire::{DecapConfig, LinkType, TcpFlags};

/// Address of the client.
pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
/// Address of the server.
pub const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;
/// Time 0 of a lab: a whole minute.
pub const START_NS: u64 = 1_700_000_040_000_000_000;

/// A segment from port 40000 to port 80.
pub fn from_client(seq: u32, ack: u32, flags: TcpFlags) -> Tcp {
    let (src_port, dst_port) = (40_000, 80);
    Tcp { src_port, dst_port, seq, ack, flags, window: 512, options: Vec::new() }
}

/// A segment from port 80 to port 40000.
pub fn from_server(seq: u32, ack: u32, flags: TcpFlags) -> Tcp {
    let (src_port, dst_port) = (80, 40_000);
    Tcp { src_port, dst_port, ..from_client(seq, ack, flags) }
}

/// A table, what came out of it, and the clock.
pub struct Lab {
    pub table: FlowTable,
    pub kept: Kept,
    pub now_ns: u64,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(FlowConfig::default())
    }

    pub fn with(config: FlowConfig) -> Self {
        Self { table: FlowTable::new(config), kept: Kept::default(), now_ns: START_NS }
    }

    /// A TCP segment at this millisecond.
    pub fn send(&mut self, at_ms: u64, tcp: Tcp, payload: &[u8]) -> Update {
        let (src, dst) = if tcp.dst_port == 80 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        self.frame(at_ms, src, dst, 6, &tcp.with(payload))
    }

    /// An IP packet.
    pub fn frame(&mut self, at_ms: u64, src: IpAddr, dst: IpAddr, kind: u8, data: &[u8]) -> Update {
        self.raw(at_ms, 0, &build::ip_frame(src, dst, kind, data))
    }

    /// An Ethernet frame on this interface.
    pub fn raw(&mut self, at_ms: u64, nic: u32, frame: &[u8]) -> Update {
        let packet =
            wire::parse(LinkType::Ethernet, frame, frame.len() as u32, &DecapConfig::all());
        let packet = packet.expect("a sound packet");
        self.now_ns = START_NS + at_ms * MS;
        let update = self.table.on_packet(self.now_ns, nic, &packet, &mut self.kept);
        update.expect("room in the table")
    }

    /// Lets time pass second by second.
    pub fn advance(&mut self, to_ms: u64) {
        let end_ns = START_NS + to_ms * MS;
        while self.now_ns < end_ns {
            self.now_ns = (self.now_ns + 1_000 * MS).min(end_ns);
            self.table.tick(self.now_ns, &mut self.kept);
        }
    }

    /// Ends the capture; every report in the order in which it came out.
    pub fn reports(&mut self) -> Vec<FlowReport> {
        self.table.flush(self.now_ns, &mut self.kept);
        assert_eq!(self.table.stats().held, 0);
        std::mem::take(&mut self.kept.reports)
    }

    pub fn only_report(&mut self) -> FlowReport {
        let mut reports = self.reports();
        assert_eq!(reports.len(), 1, "{reports:#?}");
        reports.remove(0)
    }

    /// The report with the packets of the one flow, whose end comes minutes later in another.
    pub fn first_report_of(&mut self, flows: u64) -> FlowReport {
        let mut reports = self.reports();
        assert_eq!(self.table.stats().opened, flows);
        reports.remove(0)
    }
}
