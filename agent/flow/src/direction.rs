//! Who is the client: handshakes say so, else ports and what was seen before.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::table::SeededHasher;

/// Score of a direction told by a SYN or SYN-ACK.
pub(crate) const SCORE_HANDSHAKE: u8 = 255;
/// Score of a direction told by the application protocol.
pub(crate) const SCORE_APPLICATION: u8 = 254;
/// Score of a direction told by a configured server port.
pub(crate) const SCORE_CONFIGURED: u8 = 253;
/// Highest score of a direction found by heuristics.
const SCORE_HEURISTIC_MAX: u8 = 252;

/// Difference in popularity from which the more popular end is taken for the server.
const POPULARITY_THRESHOLD: u8 = 8;
/// Services that are remembered; a further one displaces the least popular of its set.
const SETS: usize = 4096;
const WAYS: usize = 4;

/// First port that Linux gives to clients (`net.ipv4.ip_local_port_range`).
const EPHEMERAL_PORT: u16 = 32768;
/// First port that needs no privilege.
const UNPRIVILEGED_PORT: u16 = 1024;

/// How often an address and port were the server's: a fixed-size table.
#[derive(Debug)]
pub(crate) struct Services {
    sets: Vec<[Service; WAYS]>,
    seed: u64,
    ports: Vec<u16>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Service {
    tag: u32,
    popularity: u8,
}

/// An address and port.
pub(crate) type Place = (IpAddr, u16);

impl Services {
    /// Knows none; `ports` are servers' by configuration.
    pub(crate) fn new(seed: u64, ports: &[u16]) -> Self {
        let mut out = Self { sets: Vec::new(), seed, ports: Vec::new() };
        out.set_ports(ports);
        out
    }

    /// Replaces the configured ports.
    pub(crate) fn set_ports(&mut self, ports: &[u16]) {
        self.ports = ports.to_vec();
        self.ports.sort_unstable();
    }

    /// Whether the sender of a flow's first packet is its client, and how sure that is. For
    /// packets that are no part of a handshake.
    pub(crate) fn guess(&mut self, src: Place, dst: Place) -> (bool, u8) {
        let configured = |port| self.ports.binary_search(&port).is_ok();
        match (configured(src.1), configured(dst.1)) {
            (true, false) => return (false, SCORE_CONFIGURED),
            (false, true) => return (true, SCORE_CONFIGURED),
            _ => {}
        }
        let (from, to) = (self.popularity(src), self.popularity(dst));
        let score = from.abs_diff(to).min(SCORE_HEURISTIC_MAX);
        let src_is_client = if score >= POPULARITY_THRESHOLD {
            to > from
        } else {
            // Without a history the lower class of port is the server's, then the receiver.
            class(dst.1) <= class(src.1)
        };
        self.learn(if src_is_client { dst } else { src }, 1);
        (src_is_client, score)
    }

    /// Takes note of a server that a handshake told.
    pub(crate) fn learn_certain(&mut self, server: Place) {
        self.learn(server, POPULARITY_THRESHOLD);
    }

    fn popularity(&self, place: Place) -> u8 {
        let (set, tag) = self.locate(place);
        let Some(set) = self.sets.get(set) else { return 0 };
        set.iter().find(|service| service.tag == tag).map_or(0, |service| service.popularity)
    }

    fn learn(&mut self, place: Place, weight: u8) {
        if self.sets.is_empty() {
            self.sets = vec![Default::default(); SETS];
        }
        let (set, tag) = self.locate(place);
        let set = &mut self.sets[set];
        let way = set.iter().position(|service| service.tag == tag).unwrap_or_else(|| {
            let least = (0..WAYS).min_by_key(|way| set[*way].popularity).unwrap_or(0);
            set[least] = Service { tag, popularity: 0 };
            least
        });
        let service = &mut set[way];
        service.popularity = service.popularity.saturating_add(weight).min(SCORE_HEURISTIC_MAX);
    }

    fn locate(&self, place: Place) -> (usize, u32) {
        let mut hasher = SeededHasher::new(self.seed);
        place.hash(&mut hasher);
        let hash = hasher.finish();
        (hash as usize % SETS, (hash >> 32) as u32 | 1)
    }
}

/// Rank of a port: the lower, the likelier a server's.
fn class(port: u16) -> u8 {
    match port {
        0..UNPRIVILEGED_PORT => 0,
        UNPRIVILEGED_PORT..EPHEMERAL_PORT => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn place(host: u8, port: u16) -> Place {
        (IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), port)
    }

    #[test]
    fn ports_decide_without_a_history() {
        let mut services = Services::new(0, &[50_000]);
        assert_eq!(services.guess(place(1, 40_000), place(2, 80)), (true, 0));
        assert_eq!(services.guess(place(2, 80), place(1, 40_000)), (false, 1));
        assert!(!services.guess(place(2, 6379), place(1, 44_526)).0);
        assert!(services.guess(place(2, 40_001), place(1, 40_002)).0, "else the receiver serves");
        assert_eq!(services.guess(place(1, 50_000), place(2, 80)), (false, SCORE_CONFIGURED));
    }

    #[test]
    fn popular_places_are_servers() {
        let mut services = Services::new(0, &[]);
        let server = place(9, 45_000);
        services.learn_certain(server);
        assert_eq!(services.guess(server, place(1, 80)), (false, 8));
        for port in 0..300 {
            services.guess(place(1, 33_000 + port), server);
        }
        assert_eq!(services.guess(server, place(1, 80)), (false, SCORE_HEURISTIC_MAX));
    }
}
