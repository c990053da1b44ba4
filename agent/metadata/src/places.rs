//! Which address is at home in which network namespace of this host.
//!
//! In: the interfaces of each namespace in which processes live. Out: the namespaces of an address,
//! and the address that a namespace uses towards another. Never: a system call.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Inode number of a network namespace, as `/proc/<pid>/ns/net` names it.
pub type Netns = u32;

/// Addresses by namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    own: Netns,
    homes: BTreeMap<IpAddr, BTreeSet<Netns>>,
    networks: BTreeMap<Netns, Vec<(IpAddr, u8)>>,
}

impl Places {
    /// Knows the agent's own namespace and nothing of its addresses but the loopback.
    pub fn new(own: Netns) -> Self {
        Self { own, ..Self::default() }
    }

    /// Enters an address with the length of its network's prefix. Loopbacks are everybody's own.
    pub fn insert(&mut self, netns: Netns, ip: IpAddr, prefix: u8) {
        if ip.is_loopback() {
            return;
        }
        self.homes.entry(ip).or_default().insert(netns);
        self.networks.entry(netns).or_default().push((ip, prefix));
    }

    /// The agent's own namespace, in which packets are captured.
    pub fn own(&self) -> Netns {
        self.own
    }

    /// Whether the address is at home on this host, in any namespace.
    pub fn is_here(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.homes.contains_key(&ip)
    }

    /// Namespaces in which the address is at home, the agent's own first.
    pub fn homes(&self, ip: IpAddr) -> impl Iterator<Item = Netns> + '_ {
        let found = self.homes.get(&ip);
        let is_own = ip.is_loopback() || found.is_some_and(|homes| homes.contains(&self.own));
        let others = found.into_iter().flatten().copied().filter(|netns| *netns != self.own);
        is_own.then_some(self.own).into_iter().chain(others)
    }

    /// The address that a socket of `netns` sends from to `remote`: one of the same network, else
    /// the first of its family.
    pub fn source(&self, netns: Netns, remote: IpAddr) -> Option<IpAddr> {
        if remote.is_loopback() || self.homes.get(&remote).is_some_and(|h| h.contains(&netns)) {
            return Some(remote);
        }
        let networks = self.networks.get(&netns)?;
        let family = || networks.iter().filter(|(ip, _)| ip.is_ipv4() == remote.is_ipv4());
        let near = family().filter(|(ip, prefix)| is_in(remote, *ip, *prefix));
        let near = near.max_by_key(|(_, prefix)| *prefix);
        near.or_else(|| family().find(|(ip, _)| !is_link_local(*ip))).map(|(ip, _)| *ip)
    }
}

fn is_in(ip: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let (a, b, bits) = match (ip, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128_u32),
        _ => return false,
    };
    let rest = bits.saturating_sub(prefix.into());
    let shifted = |address: u128| address.checked_shr(rest).unwrap_or(0);
    shifted(a) == shifted(b)
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn places() -> Places {
        let mut places = Places::new(1);
        places.insert(1, ip("192.0.2.7"), 24);
        places.insert(2, ip("10.1.0.5"), 16);
        places.insert(2, ip("fe80::5"), 64);
        places.insert(2, ip("2001:db8::5"), 64);
        places.insert(3, ip("10.1.0.5"), 16);
        places.insert(3, ip("127.0.0.1"), 8);
        places
    }

    #[test]
    fn an_address_may_have_several_homes() {
        let places = places();
        assert_eq!(places.homes(ip("192.0.2.7")).collect::<Vec<_>>(), [1]);
        assert_eq!(places.homes(ip("10.1.0.5")).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(places.homes(ip("127.0.0.1")).collect::<Vec<_>>(), [1], "the agent's own");
        assert!(places.is_here(ip("::1")) && !places.is_here(ip("192.0.2.8")));
    }

    #[test]
    fn the_source_is_of_the_same_network() {
        let places = places();
        assert_eq!(places.source(2, ip("10.1.9.9")), Some(ip("10.1.0.5")));
        assert_eq!(places.source(2, ip("8.8.8.8")), Some(ip("10.1.0.5")), "else the first");
        assert_eq!(places.source(2, ip("2001:db8:1::1")), Some(ip("2001:db8::5")));
        assert_eq!(places.source(2, ip("fe80::9")), Some(ip("fe80::5")));
        assert_eq!(places.source(3, ip("10.1.0.5")), Some(ip("10.1.0.5")), "itself");
        assert_eq!(places.source(9, ip("10.1.0.5")), None);
    }
}
