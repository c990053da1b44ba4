//! Between whom something was measured: the key that all documents share.

use std::net::IpAddr;

use schema::{ObservationPoint, SignalSource, Text, TunnelType};

/// A process, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    /// Process id (tgid) in the host's namespace; 0 = not local or not known.
    pub id: u32,
    /// Its name as the kernel has it; empty = not known.
    pub name: Text,
}

/// Client, server and where on the path they were observed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
