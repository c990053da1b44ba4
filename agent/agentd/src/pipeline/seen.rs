//! What a conversation is to the rows made of it: ends, place, owners.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use metadata::{Connection, Owner, SocketTable};
use meter::{Edge, Process};
use schema::{ObservationPoint, SignalSource, TunnelType};

/// A conversation as it was observed.
#[derive(Debug)]
pub struct Seen {
    /// The end that opened or asked.
    pub client: SocketAddr,
    /// The end that answered.
    pub server: SocketAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Packets or system calls.
    pub signal_source: SignalSource,
    /// Where on the path.
    pub point: ObservationPoint,
    /// Interface index; 0 for eBPF.
    pub nic: u32,
    /// Outermost tunnel taken off.
    pub tunnel: TunnelType,
    /// Flow or socket.
    pub flow_id: u64,
    /// How sure client and server are.
    pub direction_score: u8,
    /// The client's process, where the source itself says it.
    pub client_owner: Option<Owner>,
    /// The server's process, where the source itself says it.
    pub server_owner: Option<Owner>,
    /// Ends and processes, as last looked up.
    pub lookup: RefCell<Lookup>,
}

/// The last look-up of a conversation's owners.
#[derive(Debug, Default)]
pub struct Lookup {
    edge: Option<Arc<Edge>>,
    complete: bool,
    /// An end of this host has no owner yet.
    awaits: bool,
    time_ns: u64,
}

/// An owner that was not found is looked for again after this. unit ns
const RETRY_NS: u64 = 100_000_000;

impl Seen {
    /// The edge with the processes of both ends, as far as they are known at `now_ns`.
    pub fn edge(&self, owners: &Owners, now_ns: u64) -> Arc<Edge> {
        let mut lookup = self.lookup.borrow_mut();
        let Lookup { edge, complete, time_ns, .. } = &*lookup;
        if let Some(edge) = edge
            && (*complete || now_ns < time_ns.saturating_add(RETRY_NS))
        {
            return Arc::clone(edge);
        }
        let client = self.owner(&self.client_owner, owners, self.client, self.server);
        let server = self.owner(&self.server_owner, owners, self.server, self.client);
        let complete = client.is_some() && server.is_some();
        let missing = |found: &Option<Owner>, end| found.is_none() && owners.is_here(end);
        let awaits = missing(&client, self.client) || missing(&server, self.server);
        let process = |owner: Option<Owner>| {
            owner
                .map_or_else(Process::default, |owner| Process { id: owner.tgid, name: owner.name })
        };
        let edge = Arc::new(Edge {
            client_ip: self.client.ip(),
            server_ip: self.server.ip(),
            protocol: self.protocol,
            server_port: self.server.port(),
            signal_source: self.signal_source,
            point: self.point,
            nic: self.nic,
            tunnel: self.tunnel,
            client: process(client),
            server: process(server),
        });
        *lookup = Lookup { edge: Some(Arc::clone(&edge)), complete, awaits, time_ns: now_ns };
        edge
    }

    /// Whether the last look-up missed the owner of an end that is on this host.
    pub fn awaits_owner(&self) -> bool {
        self.lookup.borrow().awaits
    }

    fn owner(
        &self,
        known: &Option<Owner>,
        owners: &Owners,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<Owner> {
        if known.is_some() {
            return known.clone();
        }
        let table = owners.table.as_ref()?;
        let connection = Connection { protocol: self.protocol, local, remote };
        table.owner(&connection, owners.is_here(local))
    }
}

/// Where owners are looked up; nowhere in a replay.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// Connections of this host.
    pub table: Option<Arc<SocketTable>>,
    /// Addresses of this host.
    pub addresses: Arc<BTreeSet<IpAddr>>,
}

impl Owners {
    /// The address of a socket that is bound to none: its peer's where that is this host, else
    /// the one that the routing table gives.
    pub fn local_ip(&self, bound: IpAddr, remote: IpAddr) -> IpAddr {
        if !bound.is_unspecified() {
            return bound;
        }
        if remote.is_loopback() || self.addresses.contains(&remote) {
            return remote;
        }
        let any: SocketAddr =
            if remote.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
        let route = UdpSocket::bind(any)
            .and_then(|socket| socket.connect((remote, 53)).and_then(|()| socket.local_addr()));
        route.map_or(bound, |address| address.ip())
    }

    /// Whether owners are looked up and either address is of this host.
    pub fn has_end_of(&self, client: IpAddr, server: IpAddr) -> bool {
        let is_here = |ip: IpAddr| ip.is_loopback() || self.addresses.contains(&ip);
        self.table.is_some() && (is_here(client) || is_here(server))
    }

    fn is_here(&self, end: SocketAddr) -> bool {
        end.ip().is_loopback() || self.addresses.contains(&end.ip())
    }
}
