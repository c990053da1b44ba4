//! Which process owns a connection.
//!
//! In: connections with their owners, from BPF as they are made and from `/proc` for those that
//! were there before. Out: the owner of one end of a flow. Bounded: the least recently used half
//! goes when the table is full; a closed connection stays until then, so that records which are
//! finished late still find their process.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use schema::Text;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Process id in the host's namespace.
    pub tgid: u32,
    /// Name as the kernel has it.
    pub name: Text,
}

/// Connections and listeners with their owners. Shared by all threads.
#[derive(Debug)]
pub struct SocketTable {
    tables: Mutex<Tables>,
}

#[derive(Debug)]
struct Tables {
    connections: Generations<Connection>,
    listeners: Generations<(u8, IpAddr, u16)>,
}

impl SocketTable {
    /// A table for up to `capacity` connections and as many listeners.
    pub fn new(capacity: usize) -> Self {
        let tables = Tables {
            connections: Generations::new(capacity),
            listeners: Generations::new(capacity),
        };
        Self { tables: Mutex::new(tables) }
    }

    /// Notes the owner of a connection; a later owner replaces an earlier one.
    pub fn insert(&self, connection: Connection, owner: Owner) {
        self.lock().connections.insert(connection, owner);
    }

    /// Notes the owner of a socket that has no remote end yet: a listener, or an unconnected UDP
    /// socket. `address` may be unspecified.
    pub fn insert_listener(&self, protocol: u8, address: SocketAddr, owner: Owner) {
        self.lock().listeners.insert((protocol, address.ip(), address.port()), owner);
    }

    /// The owner of `local`'s end of a connection. A listener stands in for connections that were
    /// never seen themselves, if `local_is_here` says that the address is this host's.
    pub fn owner(&self, connection: &Connection, local_is_here: bool) -> Option<Owner> {
        let mut tables = self.lock();
        if let Some(owner) = tables.connections.find(connection) {
            return Some(owner.clone());
        }
        if !local_is_here {
            return None;
        }
        let (ip, port) = (connection.local.ip(), connection.local.port());
        let any: [IpAddr; 2] = [[0; 4].into(), [0; 16].into()];
        [ip, any[0], any[1]]
            .into_iter()
            .find_map(|ip| tables.listeners.find(&(connection.protocol, ip, port)).cloned())
    }

    /// Connections known.
    pub fn len(&self) -> usize {
        self.lock().connections.len()
    }

    /// Whether no connection is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

    fn connection(port: u16) -> Connection {
        Connection {
            protocol: 6,
            local: SocketAddr::from(([127, 0, 0, 1], port)),
            remote: SocketAddr::from(([127, 0, 0, 1], 80)),
        }
    }

    fn owner(tgid: u32) -> Owner {
        Owner { tgid, name: Text::from("curl") }
    }

    #[test]
    fn the_latest_owner_counts_and_ends_are_told_apart() {
        let table = SocketTable::new(16);
        table.insert(connection(1000), owner(1));
        table.insert(connection(1000), owner(2));
        assert_eq!(table.owner(&connection(1000), true), Some(owner(2)));
        let Connection { protocol, local, remote } = connection(1000);
        let other_end = Connection { protocol, local: remote, remote: local };
        assert_eq!(table.owner(&other_end, true), None);
    }

    #[test]
    fn a_listener_stands_in_only_on_this_host() {
        let table = SocketTable::new(16);
        table.insert_listener(17, SocketAddr::from(([0, 0, 0, 0], 53)), owner(9));
        let asked = Connection {
            protocol: 17,
            local: SocketAddr::from(([10, 0, 0, 1], 53)),
            remote: SocketAddr::from(([10, 0, 0, 2], 4000)),
        };
        assert_eq!(table.owner(&asked, true), Some(owner(9)));
        assert_eq!(table.owner(&asked, false), None);
        assert_eq!(table.owner(&Connection { protocol: 6, ..asked }, true), None);
    }

    #[test]
    fn the_table_is_bounded_and_what_is_used_stays() {
        let table = SocketTable::new(100);
        table.insert(connection(1), owner(1));
        for port in 2..2000 {
            table.insert(connection(port), owner(u32::from(port)));
            assert_eq!(table.owner(&connection(1), true), Some(owner(1)), "after {port}");
            assert!(table.len() <= 101, "{} entries", table.len());
        }
        assert_eq!(table.owner(&connection(3), true), None);
    }
}
