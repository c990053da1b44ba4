//! What a flow is, apart from what is counted of it; and what the table hands out.

use std::net::IpAddr;
use std::sync::Arc;

use schema::{CloseType, ObservationPoint, TunnelType};
use wire::Tunnel;

use crate::counters::Counters;
use crate::minute::FlowReport;

/// Direction of a packet within its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Sent by the client.
    ClientToServer,
    /// Sent by the server.
    ServerToClient,
}

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address.
    pub ip: IpAddr,
    /// Port; 0 where the protocol has none.
    pub port: u16,
    /// MAC address as seen on the interface; zeros where the link has none.
    pub mac: [u8; 6],
    /// Whether the MAC address belongs to this end (column `l2_end`).
    pub l2_end: bool,
    /// Whether the address belongs to this end, not one behind a router (column `l3_end`).
    pub l3_end: bool,
}

/// Outermost tunnels of a flow's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnels {
    /// Tunnels that were opened.
    pub tier: u8,
    /// Of packets from the client.
    pub tx: Option<Tunnel>,
    /// Of packets from the server.
    pub rx: Option<Tunnel>,
}

/// A flow, oriented from client to server.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowInfo {
    /// Id: second-scale time, thread and counter; unique on this agent.
    pub flow_id: u64,
    /// Time of the first packet. unit ns since the epoch, clock: capture
    pub start_ns: u64,
    /// The client.
    pub client: Endpoint,
    /// The server.
    pub server: Endpoint,
    /// Tunnels; shared, since nearly every flow has none.
    pub tunnel: Option<Arc<Tunnels>>,
    /// Interface it was captured on.
    pub nic: u32,
    /// Tunnel ids that are part of the key, see [`wire::Packet::network_id`]; 0 outside of overlay
    /// networks.
    pub network_id: u64,
    /// IP identification of the first packet.
    pub init_ipid: u32,
    /// EtherType.
    pub eth_type: u16,
    /// Innermost VLAN id; 0 = none.
    pub vlan: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// How sure client and server are: 255 handshake, 254 application protocol, 253 configured,
    /// less by heuristics.
    pub direction_score: u8,
    /// Where on the path it was observed.
    pub observation_point: ObservationPoint,
}

impl FlowInfo {
    /// Its outermost tunnel, as rows name it.
    pub fn tunnel_type(&self) -> TunnelType {
        let outermost = self.tunnel.as_ref().and_then(|tunnels| tunnels.tx.or(tunnels.rx));
        let kind = outermost.and_then(|tunnel| TunnelType::from_id(tunnel.kind.id()));
        kind.unwrap_or(TunnelType::None)
    }
}

/// What a packet did to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// Place of the flow, the same while it lives.
    pub slot: u32,
    /// Tells apart flows that used the slot one after the other.
    pub generation: u32,
    /// Id of the flow.
    pub flow_id: u64,
    /// Direction of this packet.
    pub direction: Direction,
    /// Whether this is the first packet of the flow.
    pub new_flow: bool,
    /// Whether the segment's bytes had all been seen before.
    pub retransmitted: bool,
}

/// One second of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowTick {
    /// Place of the flow in its table.
    pub slot: u32,
    /// Tells apart flows that used the slot one after the other.
    pub generation: u32,
    /// The flow.
    pub info: FlowInfo,
    /// The second that was counted. unit s since the epoch
    pub time_s: u64,
    /// Last packet of the flow until the end of it. unit ns
    pub last_ns: u64,
    /// Whether the flow began in this tick.
    pub is_new: bool,
    /// Whether this is the flow's first tick in its minute, on the clock's.
    pub is_first_of_minute: bool,
    /// How the flow ended, when it did in this tick.
    pub close: Option<CloseType>,
    /// What was counted.
    pub counters: Counters,
}

/// Takes what a table gives out, in its order.
pub trait Sink {
    /// A second of a flow. In the order of time for a flow, of slots for a second.
    fn tick(&mut self, tick: &FlowTick);

    /// A minute of a flow, or what there is of one when the flow ends; comes after its ticks.
    fn report(&mut self, report: &FlowReport);
}

/// Keeps everything, for tests and tools.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// Ticks in their order.
    pub ticks: Vec<FlowTick>,
    /// Reports in their order.
    pub reports: Vec<FlowReport>,
}

impl Sink for Kept {
    fn tick(&mut self, tick: &FlowTick) {
        self.ticks.push(tick.clone());
    }

    fn report(&mut self, report: &FlowReport) {
        self.reports.push(report.clone());
    }
}

// === impl Direction ===

impl Direction {
    /// The other direction.
    pub fn reverse(self) -> Self {
        match self {
            Self::ClientToServer => Self::ServerToClient,
            Self::ServerToClient => Self::ClientToServer,
        }
    }

    /// Index of the sending side: client 0, server 1.
    pub(crate) fn sender(self) -> usize {
        match self {
            Self::ClientToServer => 0,
            Self::ServerToClient => 1,
        }
    }
}

// === impl FlowInfo ===

impl FlowInfo {
    /// Exchanges client and server.
    pub(crate) fn reverse(&mut self) {
        std::mem::swap(&mut self.client, &mut self.server);
        if let Some(tunnel) = &mut self.tunnel {
            let tunnel = Arc::make_mut(tunnel);
            std::mem::swap(&mut tunnel.tx, &mut tunnel.rx);
        }
        self.observation_point = match self.observation_point {
            ObservationPoint::C => ObservationPoint::S,
            ObservationPoint::S => ObservationPoint::C,
            ObservationPoint::CNd => ObservationPoint::SNd,
            ObservationPoint::SNd => ObservationPoint::CNd,
            other => other,
        };
    }

    /// Whether the addresses are IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.client.ip.is_ipv4()
    }
}
