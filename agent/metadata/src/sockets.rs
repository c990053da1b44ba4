//! Which process owns a connection.
//!
//! In: connections with their owners, from BPF as they are made and from `/proc` for those that
//! were there before. Out: the owner of one end of a flow. Bounded: the least recently used half
//! goes when a table is full; a closed connection stays until then, so that records which are
//! finished late still find their process.
//!
//! An end is looked for exactly, then by its own address and port alone (translation of addresses
//! changes the other end only), then among the sockets that listen on every address of a namespace
//! in which its address is at home.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use schema::Text;

use crate::places::{Netns, Places};

/// One end of a connection as a process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// IP protocol number: 6 TCP, 17 UDP.
    pub protocol: u8,
    /// The process's end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

/// The process behind a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Process id in the host's namespace.
    pub tgid: u32,
    /// Name as the kernel has it.
    pub name: Text,
    /// Container that it runs in: 64 hexadecimal digits; empty = none known.
    pub container: Text,
    /// The socket, as system calls tell it; 0 = not known.
    pub socket_id: u64,
}

/// Connections and listeners with their owners. Shared by all threads.
#[derive(Debug)]
pub struct SocketTable {
    /// The agent's own namespace: loopbacks of others are never captured.
    own: Netns,
    tables: Mutex<Tables>,
    /// Times that a connection passed from one process to another.
    handovers: AtomicU64,
}

#[derive(Debug)]
struct Tables {
    connections: Generations<Connection>,
    /// By protocol, address and port, of connections and of what listens on one address.
    ends: Generations<(u8, SocketAddr)>,
    /// What listens on every address: by namespace, protocol and port.
    listeners: Generations<(Netns, u8, u16)>,
}

impl SocketTable {
    /// A table for up to `capacity` connections, ends and listeners each. `own` is the agent's
    /// namespace.
    pub fn new(capacity: usize, own: Netns) -> Self {
        let tables = Tables {
            connections: Generations::new(capacity),
            ends: Generations::new(capacity),
            listeners: Generations::new(capacity),
        };
        Self { own, tables: Mutex::new(tables), handovers: AtomicU64::new(0) }
    }

    /// Notes the owner of a connection in a namespace (0: not known, taken for the agent's own); a
    /// later owner replaces an earlier one.
    pub fn insert(&self, netns: Netns, connection: Connection, owner: Owner) {
        if self.is_hidden(netns, connection.local.ip()) {
            return;
        }
        let mut tables = self.lock();
        let before = tables.connections.find(&connection);
        if before.is_some_and(|before| (before.tgid, &before.name) != (owner.tgid, &owner.name)) {
            self.handovers.fetch_add(1, Ordering::Relaxed);
        }
        tables.ends.insert((connection.protocol, connection.local), owner.clone());
        tables.connections.insert(connection, owner);
    }

    /// Notes the owner of a connection that was found standing. One that is known with its socket
    /// stays as it is.
    pub fn insert_unless_known(&self, netns: Netns, connection: Connection, owner: Owner) {
        let is_known = |known: &Owner| known.tgid == owner.tgid && known.socket_id != 0;
        if !self.lock().connections.find(&connection).is_some_and(is_known) {
            self.insert(netns, connection, owner);
        }
    }

    /// Notes the owner of a socket that has no remote end yet: a listener, or an unconnected UDP
    /// socket. `address` may be unspecified.
    pub fn insert_listener(&self, netns: Netns, protocol: u8, address: SocketAddr, owner: Owner) {
        let netns = if netns == 0 { self.own } else { netns };
        if address.ip().is_unspecified() {
            self.lock().listeners.insert((netns, protocol, address.port()), owner);
        } else if !self.is_hidden(netns, address.ip()) {
            self.lock().ends.insert((protocol, address), owner);
        }
    }

    /// The owner of `local`'s end of a connection. A socket that listens on every address stands in
    /// for connections that were never seen themselves, where the address is at home.
    pub fn owner(&self, connection: &Connection, places: &Places) -> Option<Owner> {
        let Connection { protocol, local, .. } = *connection;
        let mut tables = self.lock();
        if let Some(owner) = tables.connections.find(connection) {
            return Some(owner.clone());
        }
        if let Some(owner) = tables.ends.find(&(protocol, local)) {
            return Some(owner.clone());
        }
        places
            .homes(local.ip())
            .find_map(|netns| tables.listeners.find(&(netns, protocol, local.port())).cloned())
    }

    /// Grows when a known connection gets another owner: a server that accepts for others, a child
    /// that begins to run its program. What was looked up before may be wrong then.
    pub fn handovers(&self) -> u64 {
        self.handovers.load(Ordering::Relaxed)
    }

    /// Connections known.
    pub fn len(&self) -> usize {
        self.lock().connections.len()
    }

    /// Whether no connection is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no packet of this address can be captured here.
    fn is_hidden(&self, netns: Netns, ip: IpAddr) -> bool {
        ip.is_loopback() && netns != 0 && netns != self.own
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bounded map: two generations, the older forgotten when the younger is full.
#[derive(Debug)]
struct Generations<K> {
    young: HashMap<K, Owner>,
    old: HashMap<K, Owner>,
    generation_entries: usize,
}

impl<K: Copy + Eq + std::hash::Hash> Generations<K> {
    fn new(capacity: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation_entries: capacity.div_ceil(2).max(1),
        }
    }

    fn insert(&mut self, key: K, owner: Owner) {
        if self.young.len() >= self.generation_entries && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, owner);
    }

    fn find(&mut self, key: &K) -> Option<&Owner> {
        if !self.young.contains_key(key) {
            let owner = self.old.remove(key)?;
            self.insert(*key, owner);
        }
        self.young.get(key)
    }

    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Netns = 1;
    const POD: Netns = 2;

    fn connection(port: u16) -> Connection {
        Connection {
            protocol: 6,
            local: SocketAddr::from(([127, 0, 0, 1], port)),
            remote: SocketAddr::from(([127, 0, 0, 1], 80)),
        }
    }

    fn owner(tgid: u32) -> Owner {
        Owner { tgid, name: Text::from("curl"), ..Owner::default() }
    }

    fn places() -> Places {
        let mut places = Places::new(OWN);
        places.insert(OWN, IpAddr::from([10, 0, 0, 1]), 24);
        places.insert(POD, IpAddr::from([10, 0, 0, 2]), 24);
        places
    }

    #[test]
    fn the_latest_owner_counts_and_ends_are_told_apart() {
        let table = SocketTable::new(16, OWN);
        table.insert(OWN, connection(1000), owner(1));
        assert_eq!(table.handovers(), 0);
        table.insert(OWN, connection(1000), owner(1));
        assert_eq!(table.handovers(), 0, "the same again");
        table.insert(0, connection(1000), owner(2));
        assert_eq!(table.handovers(), 1);
        assert_eq!(table.owner(&connection(1000), &places()), Some(owner(2)));
        let Connection { protocol, local, remote } = connection(1000);
        let other_end = Connection { protocol, local: remote, remote: local };
        assert_eq!(table.owner(&other_end, &places()), None);
    }

    #[test]
    fn a_loopback_of_another_namespace_is_not_ours() {
        let table = SocketTable::new(16, OWN);
        table.insert(POD, connection(1000), owner(1));
        assert_eq!(table.owner(&connection(1000), &places()), None);
        table.insert_listener(POD, 6, ([127, 0, 0, 1], 80).into(), owner(2));
        let served = Connection { local: ([127, 0, 0, 1], 80).into(), ..connection(1000) };
        assert_eq!(table.owner(&served, &places()), None);
    }

    #[test]
    fn a_listener_stands_in_where_the_address_is_at_home() {
        let table = SocketTable::new(16, OWN);
        table.insert_listener(OWN, 17, SocketAddr::from(([0, 0, 0, 0], 53)), owner(9));
        table.insert_listener(POD, 17, SocketAddr::from(([0; 16], 53)), owner(8));
        let asked = |last: u8, protocol: u8| Connection {
            protocol,
            local: SocketAddr::from(([10, 0, 0, last], 53)),
            remote: SocketAddr::from(([10, 0, 0, 9], 4000)),
        };
        assert_eq!(table.owner(&asked(1, 17), &places()), Some(owner(9)));
        assert_eq!(table.owner(&asked(2, 17), &places()), Some(owner(8)));
        assert_eq!(table.owner(&asked(3, 17), &places()), None);
        assert_eq!(table.owner(&asked(1, 6), &places()), None);
    }

    #[test]
    fn an_end_is_found_behind_translated_addresses() {
        let table = SocketTable::new(16, OWN);
        let local = SocketAddr::from(([10, 0, 0, 2], 40_000));
        // The socket was connected to a service; behind the translation its packets go to a pod.
        let remote = SocketAddr::from(([10, 96, 0, 10], 80));
        table.insert(POD, Connection { protocol: 6, local, remote }, owner(7));
        let remote = SocketAddr::from(([10, 0, 0, 5], 8080));
        let seen = Connection { protocol: 6, local, remote };
        assert_eq!(table.owner(&seen, &places()), Some(owner(7)));
        assert_eq!(table.owner(&Connection { protocol: 17, ..seen }, &places()), None);
    }

    #[test]
    fn the_table_is_bounded_and_what_is_used_stays() {
        let table = SocketTable::new(100, OWN);
        table.insert(OWN, connection(1), owner(1));
        for port in 2..2000 {
            table.insert(OWN, connection(port), owner(u32::from(port)));
            assert_eq!(table.owner(&connection(1), &places()), Some(owner(1)), "after {port}");
            assert!(table.len() <= 101, "{} entries", table.len());
        }
        assert_eq!(table.owner(&connection(3), &places()), None);
    }
}
