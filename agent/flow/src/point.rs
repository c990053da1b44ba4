//! Observation points: where on the path between client and server an interface lies.
//!
//! A host has several network namespaces: its own and those of its pods. An end is *at* the
//! interface where packets come straight from it: its MAC address belongs to the interface or to
//! what is attached to it (the pod's half of a pair), and its address to the same namespace. Where
//! an end of this host is seen elsewhere (a bridge, the uplink, inside of a tunnel) its packets have
//! been switched or routed, and the point is that of its node.

use std::net::IpAddr;

use schema::ObservationPoint;
use wire::Packet;

/// Addresses of this host. An empty one (replay) makes every flow `rest` or `local`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalAddresses {
    own: u32,
    macs: Vec<Mac>,
    ips: Vec<(IpAddr, u32)>,
    loopback_nics: Vec<u32>,
}

/// A MAC address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac {
    /// The address.
    pub mac: [u8; 6],
    /// Network namespace in which it is.
    pub space: u32,
    /// Interface at which packets come straight from it: its own, or the one it is attached to.
    pub nic: u32,
}

/// What is known of one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Its MAC address is one of this host's.
    pub mac_is_local: bool,
    /// Its address is one of this host's.
    pub ip_is_local: bool,
    /// How near the interface is to the end.
    pub nearness: Nearness,
    /// Its packets have not passed a router: the time to live is as systems send it. Only known of
    /// the end that sent the packet.
    pub is_unrouted: bool,
    /// The link layer has addresses.
    pub has_mac: bool,
}

/// How near an interface is to an end whose MAC address and address are of one namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// They are not of one namespace, or of a pod elsewhere.
    #[default]
    Apart,
    /// Both are the host's own, on another interface.
    Host,
    /// Packets come straight from it.
    Here,
}

impl LocalAddresses {
    /// MAC addresses, addresses with their namespaces, and the indexes of the loopbacks. `own` is
    /// the namespace in which packets are captured.
    pub fn new(
        own: u32,
        macs: impl IntoIterator<Item = Mac>,
        ips: impl IntoIterator<Item = (IpAddr, u32)>,
        loopback_nics: impl IntoIterator<Item = u32>,
    ) -> Self {
        let mut out = Self {
            own,
            macs: macs.into_iter().filter(|mac| mac.mac != [0; 6]).collect(),
            ips: ips.into_iter().collect(),
            loopback_nics: loopback_nics.into_iter().collect(),
        };
        out.macs.sort_unstable();
        out.macs.dedup();
        out.ips.sort_unstable();
        out.ips.dedup();
        out.loopback_nics.sort_unstable();
        out
    }

    /// Whether the interface is a loopback.
    pub fn is_loopback(&self, nic: u32) -> bool {
        self.loopback_nics.binary_search(&nic).is_ok()
    }

    /// Both ends of a packet at this interface, sender first.
    pub(crate) fn ends(&self, nic: u32, packet: &Packet<'_>) -> (End, End) {
        let is_unrouted = matches!(packet.ip.ttl, 64 | 128 | 255);
        (
            self.end(nic, packet.link.src_mac, packet.ip.src, is_unrouted),
            self.end(nic, packet.link.dst_mac, packet.ip.dst, false),
        )
    }

    fn end(&self, nic: u32, mac: [u8; 6], ip: IpAddr, is_unrouted: bool) -> End {
        let macs = self.macs_of(mac);
        let has_ip = |space: u32| self.ips.binary_search(&(ip, space)).is_ok();
        let nearness = macs.iter().filter(|known| has_ip(known.space)).map(|known| {
            match (known.nic == nic, known.space == self.own) {
                (true, _) => Nearness::Here,
                (false, true) => Nearness::Host,
                (false, false) => Nearness::Apart,
            }
        });
        End {
            mac_is_local: !macs.is_empty(),
            ip_is_local: self.has_ip(ip),
            nearness: nearness.max().unwrap_or_default(),
            is_unrouted,
            has_mac: mac != [0; 6],
        }
    }

    fn has_ip(&self, ip: IpAddr) -> bool {
        let at = self.ips.partition_point(|known| *known < (ip, 0));
        self.ips.get(at).is_some_and(|known| known.0 == ip)
    }

    fn macs_of(&self, mac: [u8; 6]) -> &[Mac] {
        let start = self.macs.partition_point(|known| known.mac < mac);
        let count = self.macs[start..].iter().take_while(|known| known.mac == mac).count();
        &self.macs[start..start + count]
    }
}

/// Whether both ends of the packet are on one loopback.
pub fn is_local(local: &LocalAddresses, nic: u32, packet: &Packet<'_>) -> bool {
    let macs = (packet.link.src_mac, packet.link.dst_mac);
    local.is_loopback(nic)
        || (macs.0 == macs.1 && macs.0 != [0; 6])
        || (packet.ip.src.is_loopback() && packet.ip.dst.is_loopback())
}

/// The point by what is known of client and server and the number of tunnels taken off:
/// `c`/`s` at an end, `c-nd`/`s-nd` where this host carries an end's packets in a tunnel or by
/// switching or routing. Of two ends the nearer one counts; `rest` where none is, or both alike.
pub fn observe(client: End, server: End, tunnel_tier: u8) -> ObservationPoint {
    let (client, server) = (place(client, tunnel_tier), place(server, tunnel_tier));
    match client.cmp(&server) {
        std::cmp::Ordering::Equal => ObservationPoint::Rest,
        std::cmp::Ordering::Greater if client == Place::Node => ObservationPoint::CNd,
        std::cmp::Ordering::Greater => ObservationPoint::C,
        std::cmp::Ordering::Less if server == Place::Node => ObservationPoint::SNd,
        std::cmp::Ordering::Less => ObservationPoint::S,
    }
}

/// Where the interface lies as an end sees it, the nearest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Elsewhere,
    Node,
    Host,
    End,
}

fn place(end: End, tunnel_tier: u8) -> Place {
    let in_tunnel = tunnel_tier > 0;
    match (end.mac_is_local, end.ip_is_local) {
        (true, true) if !in_tunnel && end.nearness == Nearness::Here => Place::End,
        (true, true) if !in_tunnel && end.nearness == Nearness::Host => Place::Host,
        // A link without MAC addresses (tun, raw IP).
        (false, true) if !in_tunnel && !end.has_mac => Place::End,
        // An address of this host: in a tunnel, or routed or switched here.
        (_, true) => Place::Node,
        // Another's address behind our MAC: carried in a tunnel, or switched without routing.
        (true, false) if in_tunnel || end.is_unrouted => Place::Node,
        _ => Place::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: End = End {
        mac_is_local: true,
        ip_is_local: true,
        nearness: Nearness::Here,
        is_unrouted: true,
        has_mac: true,
    };
    const OTHER: End = End {
        mac_is_local: false,
        ip_is_local: false,
        nearness: Nearness::Apart,
        is_unrouted: true,
        has_mac: true,
    };

    #[test]
    fn points() {
        assert_eq!(observe(OWN, OTHER, 0), ObservationPoint::C);
        assert_eq!(observe(OTHER, OWN, 0), ObservationPoint::S);
        assert_eq!(observe(OWN, OWN, 0), ObservationPoint::Rest);
        assert_eq!(observe(OTHER, OTHER, 0), ObservationPoint::Rest);
        assert_eq!(observe(OWN, OTHER, 1), ObservationPoint::CNd);
        assert_eq!(observe(OWN, OWN, 1), ObservationPoint::Rest);
        let routed_here = End { mac_is_local: false, nearness: Nearness::Apart, ..OWN };
        assert_eq!(observe(OTHER, routed_here, 0), ObservationPoint::SNd);
        let tun = End { has_mac: false, ..routed_here };
        assert_eq!(observe(tun, OTHER, 0), ObservationPoint::C);
        let forwarded = End { mac_is_local: true, is_unrouted: false, ..OTHER };
        assert_eq!(observe(forwarded, OTHER, 0), ObservationPoint::Rest);
        let switched = End { is_unrouted: true, ..forwarded };
        assert_eq!(observe(switched, OTHER, 0), ObservationPoint::CNd);
    }

    const HOST: u32 = 1;
    const POD_A: u32 = 2;
    const POD_B: u32 = 3;
    const UPLINK: u32 = 10;
    const BRIDGE: u32 = 11;
    const VETH_A: u32 = 12;
    const VETH_B: u32 = 13;

    /// A node with two pods on a bridge, as most container networks make them.
    fn node() -> LocalAddresses {
        let mac = |last: u32, space: u32, nic: u32| Mac { mac: mac(last), space, nic };
        let macs = [
            mac(UPLINK, HOST, UPLINK),
            mac(BRIDGE, HOST, BRIDGE),
            mac(VETH_A, HOST, VETH_A),
            mac(VETH_B, HOST, VETH_B),
            mac(100, POD_A, VETH_A),
            mac(101, POD_B, VETH_B),
        ];
        let ips = [(ip(1), HOST), (ip(2), HOST), (ip(100), POD_A), (ip(101), POD_B)];
        LocalAddresses::new(HOST, macs, ips, [])
    }

    fn mac(last: u32) -> [u8; 6] {
        [2, 0, 0, 0, 0, last as u8]
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    /// The point of a flow whose client and server have these MAC addresses and addresses.
    fn at(nic: u32, client: (u32, u8), server: (u32, u8), tier: u8) -> ObservationPoint {
        let node = node();
        let end = |(mac_number, last)| node.end(nic, mac(mac_number), ip(last), false);
        observe(end(client), end(server), tier)
    }

    #[test]
    fn pods_of_one_node() {
        let (a, b) = ((100, 100), (101, 101));
        assert_eq!(at(VETH_A, a, b, 0), ObservationPoint::C, "at the client's half");
        assert_eq!(at(VETH_B, a, b, 0), ObservationPoint::S, "at the server's half");
        assert_eq!(at(BRIDGE, a, b, 0), ObservationPoint::Rest, "both are of the node");
    }

    #[test]
    fn a_pod_and_another_host() {
        assert_eq!(at(VETH_A, (100, 100), (BRIDGE, 200), 0), ObservationPoint::C);
        assert_eq!(at(BRIDGE, (100, 100), (BRIDGE, 200), 0), ObservationPoint::CNd);
        assert_eq!(at(UPLINK, (UPLINK, 100), (250, 200), 0), ObservationPoint::CNd, "routed");
        assert_eq!(at(UPLINK, (250, 200), (UPLINK, 100), 0), ObservationPoint::SNd);
        assert_eq!(at(UPLINK, (240, 100), (241, 200), 1), ObservationPoint::CNd, "in a tunnel");
    }

    #[test]
    fn the_host_itself_and_its_pod() {
        assert_eq!(at(VETH_A, (BRIDGE, 1), (100, 100), 0), ObservationPoint::S);
        assert_eq!(at(BRIDGE, (BRIDGE, 1), (100, 100), 0), ObservationPoint::C);
        assert_eq!(at(UPLINK, (UPLINK, 1), (250, 200), 0), ObservationPoint::C);
        assert_eq!(at(UPLINK, (BRIDGE, 1), (250, 200), 0), ObservationPoint::C, "through a bridge");
    }
}
