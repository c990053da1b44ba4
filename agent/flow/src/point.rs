//! Observation points: where on the path between client and server an interface lies.

use std::net::IpAddr;

use schema::ObservationPoint;
use wire::Packet;

/// Addresses of this host. An empty one (replay) makes every flow `rest` or `local`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalAddresses {
    macs: Vec<[u8; 6]>,
    ips: Vec<IpAddr>,
    loopback_nics: Vec<u32>,
}

/// What is known of one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its MAC address is one of this host's.
    pub mac_is_local: bool,
    /// Its address is one of this host's.
    pub ip_is_local: bool,
    /// Its packets have not passed a router: the time to live is as systems send it. Only known of
    /// the end that sent the packet.
    pub is_unrouted: bool,
    /// The link layer has addresses.
    pub has_mac: bool,
}

impl LocalAddresses {
    /// From the interfaces of a host: MAC addresses, addresses, and the indexes of its loopbacks.
    pub fn new(
        macs: impl IntoIterator<Item = [u8; 6]>,
        ips: impl IntoIterator<Item = IpAddr>,
        loopback_nics: impl IntoIterator<Item = u32>,
    ) -> Self {
        let mut out = Self {
            macs: macs.into_iter().filter(|mac| *mac != [0; 6]).collect(),
            ips: ips.into_iter().collect(),
            loopback_nics: loopback_nics.into_iter().collect(),
        };
        out.macs.sort_unstable();
        out.ips.sort_unstable();
        out.loopback_nics.sort_unstable();
        out
    }

    /// Whether the interface is a loopback.
    pub fn is_loopback(&self, nic: u32) -> bool {
        self.loopback_nics.binary_search(&nic).is_ok()
    }

    /// Whether the address is one of this host's.
    pub fn has_ip(&self, ip: IpAddr) -> bool {
        self.ips.binary_search(&ip).is_ok()
    }

    /// Whether the MAC address is one of this host's.
    pub fn has_mac(&self, mac: [u8; 6]) -> bool {
        self.macs.binary_search(&mac).is_ok()
    }

    /// Both ends of a packet, sender first.
    pub(crate) fn ends(&self, packet: &Packet<'_>) -> (End, End) {
        let end = |mac: [u8; 6], ip, is_unrouted| End {
            mac_is_local: self.has_mac(mac),
            ip_is_local: self.has_ip(ip),
            is_unrouted,
            has_mac: mac != [0; 6],
        };
        let is_unrouted = matches!(packet.ip.ttl, 64 | 128 | 255);
        (
            end(packet.link.src_mac, packet.ip.src, is_unrouted),
            end(packet.link.dst_mac, packet.ip.dst, false),
        )
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
/// `c`/`s` where exactly one end is this host, `c-nd`/`s-nd` where this host carries an end's
/// packets in a tunnel or by routing, else `rest`.
pub fn observe(client: End, server: End, tunnel_tier: u8) -> ObservationPoint {
    let client = side(client, tunnel_tier)
        .map(|node| if node { ObservationPoint::CNd } else { ObservationPoint::C });
    let server = side(server, tunnel_tier)
        .map(|node| if node { ObservationPoint::SNd } else { ObservationPoint::S });
    match (client, server) {
        (Some(point), None) | (None, Some(point)) => point,
        _ => ObservationPoint::Rest,
    }
}

/// Whether an end is at this host (`false`) or at its node (`true`).
fn side(end: End, tunnel_tier: u8) -> Option<bool> {
    match (end.mac_is_local, end.ip_is_local) {
        (true, true) => Some(tunnel_tier > 0),
        // A link without MAC addresses (tun, raw IP).
        (false, true) if !end.has_mac => Some(tunnel_tier > 0),
        // An address of this host behind another MAC: routed or bridged here.
        (false, true) => Some(true),
        // Another's address behind our MAC: carried in a tunnel, or switched without routing.
        (true, false) if tunnel_tier > 0 || end.is_unrouted => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: End =
        End { mac_is_local: true, ip_is_local: true, is_unrouted: true, has_mac: true };
    const OTHER: End =
        End { mac_is_local: false, ip_is_local: false, is_unrouted: true, has_mac: true };

    #[test]
    fn points() {
        assert_eq!(observe(OWN, OTHER, 0), ObservationPoint::C);
        assert_eq!(observe(OTHER, OWN, 0), ObservationPoint::S);
        assert_eq!(observe(OWN, OWN, 0), ObservationPoint::Rest);
        assert_eq!(observe(OTHER, OTHER, 0), ObservationPoint::Rest);
        assert_eq!(observe(OWN, OTHER, 1), ObservationPoint::CNd);
        let routed_here = End { mac_is_local: false, ..OWN };
        assert_eq!(observe(OTHER, routed_here, 0), ObservationPoint::SNd);
        let tun = End { has_mac: false, ..routed_here };
        assert_eq!(observe(tun, OTHER, 0), ObservationPoint::C);
        let forwarded = End { mac_is_local: true, is_unrouted: false, ..OTHER };
        assert_eq!(observe(forwarded, OTHER, 0), ObservationPoint::Rest);
        let switched = End { is_unrouted: true, ..forwarded };
        assert_eq!(observe(switched, OTHER, 0), ObservationPoint::CNd);
    }
}
