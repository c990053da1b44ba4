//! What a conversation is to the rows made of it: ends, place, owners.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use metadata::{Connection, Netns, Owner, SocketTable};
use meter::{Edge, Process};
use schema::{ObservationPoint, SignalSource, TunnelType};

use crate::surroundings::{Known, Surroundings};

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
    /// Handovers of the table by then.
    handovers: u64,
    /// An end of this host has no owner yet.
    awaits: bool,
    /// Sockets of client and server; 0 = not known.
    sockets: (u64, u64),
    time_ns: u64,
}

/// An owner that was not found is looked for again after this. unit ns
const RETRY_NS: u64 = 100_000_000;

impl Seen {
    /// The edge with the processes of both ends, as far as they are known at `now_ns`.
    pub fn edge(&self, owners: &Owners, now_ns: u64) -> Arc<Edge> {
        let mut lookup = self.lookup.borrow_mut();
        let Lookup { edge, complete, handovers, time_ns, .. } = &*lookup;
        let handovers_now = owners.table.as_ref().map_or(0, |table| table.handovers());
        if let Some(edge) = edge
            && *handovers == handovers_now
            && (*complete || now_ns < time_ns.saturating_add(RETRY_NS))
        {
            return Arc::clone(edge);
        }
        let client = self.owner(&self.client_owner, owners, self.client, self.server);
        let server = self.owner(&self.server_owner, owners, self.server, self.client);
        let complete = client.is_some() && server.is_some();
        let missing = |found: &Option<Owner>, end| found.is_none() && owners.is_here(end);
        let awaits = missing(&client, self.client) || missing(&server, self.server);
        let socket = |owner: &Option<Owner>| owner.as_ref().map_or(0, |owner| owner.socket_id);
        let sockets = (socket(&client), socket(&server));
        let process = |owner: Option<Owner>| {
            let Owner { tgid, name, container, .. } = owner.unwrap_or_default();
            Process { id: tgid, name, container }
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
        let kept = Some(Arc::clone(&edge));
        *lookup = Lookup {
            edge: kept,
            complete,
            handovers: handovers_now,
            awaits,
            sockets,
            time_ns: now_ns,
        };
        edge
    }

    /// Sockets of client and server by the last look-up; 0 = not known.
    pub fn sockets(&self) -> (u64, u64) {
        self.lookup.borrow().sockets
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
        table.owner(&connection, &owners.known.places)
    }
}

/// Where owners are looked up; nowhere in a replay.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// Connections of this host.
    table: Option<Arc<SocketTable>>,
    surroundings: Arc<Surroundings>,
    /// Addresses of this host and its namespaces, as last taken from `surroundings`.
    known: Arc<Known>,
    version: u64,
}

impl Owners {
    /// Of a live agent.
    pub fn new(table: Arc<SocketTable>, surroundings: Arc<Surroundings>) -> Self {
        let (version, known) = surroundings.get();
        Self { table: Some(table), surroundings, known, version }
    }

    /// Takes what became known since; whether there was anything.
    pub fn refresh(&mut self) -> bool {
        if self.surroundings.version() == self.version {
            return false;
        }
        (self.version, self.known) = self.surroundings.get();
        true
    }

    /// Addresses of this host and its namespaces.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// The table of connections.
    pub fn table(&self) -> Option<&SocketTable> {
        self.table.as_deref()
    }

    /// Something was seen in this namespace: if it is not known, it will be looked at.
    pub fn meet(&self, netns: Netns) {
        if netns != 0 && !self.known.spaces.contains(&netns) {
            self.surroundings.ask();
        }
    }

    /// The address of a socket of `netns` that is bound to none: its peer's where that is the same
    /// place, else the one that it would send from.
    pub fn local_ip(&self, netns: Netns, bound: IpAddr, remote: IpAddr) -> IpAddr {
        if !bound.is_unspecified() {
            return bound;
        }
        let places = &self.known.places;
        if netns != 0 && netns != places.own() {
            return places.source(netns, remote).unwrap_or(bound);
        }
        if remote.is_loopback() || places.homes(remote).next() == Some(places.own()) {
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
        let places = &self.known.places;
        self.table.is_some() && (places.is_here(client) || places.is_here(server))
    }

    fn is_here(&self, end: SocketAddr) -> bool {
        self.known.places.is_here(end.ip())
    }
}
