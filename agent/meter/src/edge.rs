//! Between whom something was measured: the key that all documents share.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use flow::FlowInfo;
use schema::{ObservationPoint, SignalSource, Text, TunnelType};

/// A process, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    /// Process id (tgid) in the host's namespace; 0 = not local or not known.
    pub id: u32,
    /// Its name as the kernel has it; empty = not known.
    pub name: Text,
    /// Container that it runs in; empty = none, or not known.
    pub container: Text,
}

/// Client, server and where on the path they were observed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Address of the client.
    pub client_ip: IpAddr,
    /// Address of the server.
    pub server_ip: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Port of the server; 0 = none.
    pub server_port: u16,
    /// Packets or system calls.
    pub signal_source: SignalSource,
    /// Where on the path.
    pub point: ObservationPoint,
    /// Interface index; 0 for eBPF.
    pub nic: u32,
    /// Outermost tunnel taken off.
    pub tunnel: TunnelType,
    /// Process of the client.
    pub client: Process,
    /// Process of the server.
    pub server: Process,
}

impl From<&FlowInfo> for Edge {
    /// The edge of a flow of packets of which no process is known.
    fn from(info: &FlowInfo) -> Self {
        Self {
            client_ip: info.client.ip,
            server_ip: info.server.ip,
            protocol: info.protocol,
            server_port: info.server.port,
            signal_source: SignalSource::Packet,
            point: info.observation_point,
            nic: info.nic,
            tunnel: info.tunnel_type(),
            client: Process::default(),
            server: Process::default(),
        }
    }
}

impl Hash for Edge {
    /// A few numbers: names of processes are known by their ids. It is done for every second of
    /// every flow.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match (self.client_ip, self.server_ip) {
            (IpAddr::V4(client), IpAddr::V4(server)) => {
                state.write_u64(u64::from(client.to_bits()) << 32 | u64::from(server.to_bits()));
            }
            (client, server) => {
                for ip in [client, server] {
                    match ip {
                        IpAddr::V4(ip) => state.write_u32(ip.to_bits()),
                        IpAddr::V6(ip) => state.write_u128(ip.to_bits()),
                    }
                }
            }
        }
        let kinds = [self.protocol, self.signal_source.id(), self.point.id(), self.tunnel.id()];
        state.write_u64(u64::from(u32::from_le_bytes(kinds)) << 16 | u64::from(self.server_port));
        state.write_u64(u64::from(self.client.id) << 32 | u64::from(self.server.id));
        state.write_u32(self.nic);
    }
}

/// Addresses as the store has them.
pub(crate) struct Addresses {
    pub is_ipv4: u8,
    pub ip4: u32,
    pub ip6: [u8; 16],
}

impl From<IpAddr> for Addresses {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self { is_ipv4: 1, ip4: ip.to_bits(), ip6: [0; 16] },
            IpAddr::V6(ip) => Self { is_ipv4: 0, ip4: 0, ip6: ip.octets() },
        }
    }
}
