//! The pipeline of system calls: socket events in, rows out.
//!
//! A TCP socket is one conversation, and another for the plaintext of what is encrypted on it; a UDP
//! socket is one for each peer. A socket whose close was told lives on for a moment, because calls
//! of other threads may still be on their way.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use l7::{Conversation, ConversationContext, Direction, Origin, Output, Segment, Shared, StatKind};
use metadata::{Connection, Netns, Owner};
use schema::{Drop, L7Protocol, ObservationPoint, SignalSource, TunnelType};
use source::bpf::{self, Data, Event, ProcessChange, SocketChange, SocketRole, Transport};

use super::file_rows;
use super::packets::Load;
use super::plugins;
use super::seen::Seen;
use super::stage::Stage;
use crate::owners::Processes;
use crate::telemetry::Losses;

/// Conversations at once; beyond, new ones are not followed.
const CONVERSATIONS_MAX: usize = 131_072;
/// After a close was told. unit ns
const LINGER_NS: u64 = 1_000_000_000;
/// A TCP socket that says nothing for so long is forgotten. unit ns
const TCP_IDLE_NS: u64 = 600_000_000_000;
/// A UDP peer that says nothing for so long is forgotten. unit ns
const UDP_IDLE_NS: u64 = 30_000_000_000;
/// Direction scores: see `flow_log.l7_flow_log.direction_score`.
const SCORE_CERTAIN: u8 = 255;
const SCORE_BY_PROTOCOL: u8 = 254;
const SCORE_BY_PORT: u8 = 1;

/// A conversation's name: socket, peer where the socket has many, and whether it is plaintext that
/// is encrypted on the wire.
type Key = (u64, Option<SocketAddr>, bool);

struct Followed {
    conversation: Conversation,
    seen: Rc<Seen>,
    local_is_client: bool,
    tgid: u32,
    last_ns: u64,
    /// When it ends, once a close was told. unit ns
    ends_ns: Option<u64>,
    /// A datagram of which parts are missing.
    datagram: Vec<u8>,
    /// What goes over this socket is told as plaintext, too: encrypted, it is not read any more.
    decoded: bool,
}

/// The pipeline of system calls. One thread.
pub struct SocketPipeline {
    shared: Shared,
    conversations: HashMap<Key, Followed>,
    /// UDP sockets that were closed and processes that ended since the last tick, with the time:
    /// their conversations are found in the tick's own walk over all of them. unit ns
    closed: HashMap<u64, u64>,
    exited: HashMap<u32, u64>,
    processes: Processes,
    output: Output,
    stage: Stage,
    losses: Losses,
    /// Responses may have gone by unseen.
    passes_over: bool,
    /// TLS connections of which no plaintext is told.
    undecoded: usize,
    /// Address of this host, and how long a call on a file takes that is told. unit ns
    host_ip: IpAddr,
    file_min_ns: u64,
}

impl Followed {
    /// Whether this is a TLS connection.
    fn is_encrypted(&self) -> bool {
        self.conversation.protocol() == Some(L7Protocol::Tls)
    }
}

impl SocketPipeline {
    /// With nothing seen yet.
    pub fn new(
        config: l7::Config,
        modules: &[plugin::Module],
        processes: Processes,
        stage: Stage,
    ) -> Self {
        Self {
            shared: plugins::shared(config, modules),
            conversations: HashMap::new(),
            closed: HashMap::new(),
            exited: HashMap::new(),
            processes,
            output: Output::default(),
            stage,
            losses: Losses::default(),
            passes_over: false,
            undecoded: 0,
            host_ip: IpAddr::from([0, 0, 0, 0]),
            file_min_ns: 0,
        }
    }

    /// Calls on files that took at least `min_ns` become rows of the host with this address.
    pub fn tell_files(&mut self, host_ip: IpAddr, min_ns: u64) {
        (self.host_ip, self.file_min_ns) = (host_ip, min_ns);
    }

    /// Takes one event; events come in the order of their times.
    pub fn on_event(&mut self, event: &Event<'_>) {
        match event {
            Event::Data(data) => self.on_data(data),
            Event::Socket(socket) => self.on_socket(socket),
            // The programs tell some that were shorter than a long limit.
            Event::File(file) if file.duration_ns < self.file_min_ns => {}
            Event::File(file) => {
                let owner = self.owner(&file.caller, 0);
                self.stage.take_file(file_rows::row(self.host_ip, owner, file));
            }
            Event::Process(process) => match process.change {
                ProcessChange::Exec { cgroup, netns, .. } => {
                    let bpf::event::Caller { tgid, comm, .. } = process.caller;
                    self.processes.on_exec(tgid, comm.as_str(), cgroup, netns);
                    self.stage.owners().meet(netns);
                }
                ProcessChange::Fork => {
                    let bpf::event::Caller { tgid, comm, .. } = process.caller;
                    self.processes.on_fork(tgid, process.parent_tgid, comm.as_str());
                }
                ProcessChange::Exit { .. } => {
                    self.exited.insert(process.caller.tgid, process.caller.time_ns);
                    self.processes.on_exit(process.caller.tgid);
                }
            },
        }
    }

    /// To be called several times a second: what waited long enough goes on, what is silent for
    /// too long is forgotten, and all rows come out.
    pub fn tick(&mut self, now_ns: u64, second: u64) {
        self.stage.refresh();
        let mut ended: Vec<Key> = Vec::new();
        self.undecoded = 0;
        let (closed, exited) = (std::mem::take(&mut self.closed), std::mem::take(&mut self.exited));
        for (key, followed) in &mut self.conversations {
            let is_undecoded = !followed.decoded && !key.2;
            self.undecoded += usize::from(is_undecoded && followed.is_encrypted());
            let told_ns = closed.get(&key.0).or_else(|| exited.get(&followed.tgid));
            if let Some(told_ns) = told_ns.filter(|told_ns| **told_ns >= followed.last_ns) {
                followed.ends_ns.get_or_insert(told_ns.saturating_add(LINGER_NS));
            }
            let idle_ns = if key.1.is_some() { UDP_IDLE_NS } else { TCP_IDLE_NS };
            let idle_end_ns = followed.last_ns.saturating_add(idle_ns);
            if followed.ends_ns.is_some_and(|at| at <= now_ns) || idle_end_ns <= now_ns {
                ended.push(*key);
            } else if followed.conversation.pending() > 0 {
                followed.conversation.expire(&mut self.shared, now_ns, &mut self.output);
                self.stage.take(now_ns, &followed.seen, &mut self.output);
            }
        }
        for key in ended {
            self.end(key, now_ns);
        }
        for (reason, count) in self.shared.take_drops() {
            self.losses.add(reason, count);
        }
        plugins::tell(&self.shared);
        self.stage.flush(now_ns, second);
    }

    /// Ends every conversation and gives out what there is.
    pub fn finish(&mut self, now_ns: u64) {
        for key in self.keys() {
            self.end(key, now_ns);
        }
        plugins::tell(&self.shared);
        self.stage.finish();
    }

    /// For a while nothing was watched: every conversation ends, and nothing is said of requests without
    /// a response. What comes next is as if the agent had started anew.
    pub fn let_go(&mut self, now_ns: u64) {
        self.passes_over = true;
        for key in self.keys() {
            self.end(key, now_ns);
        }
        self.passes_over = false;
    }

    /// All conversations, in an order that does not depend on chance.
    fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.conversations.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    /// What it holds now.
    pub fn load(&self) -> Load {
        Load { flows: 0, conversations: self.conversations.len(), sessions: self.shared.sessions() }
    }

    /// TLS connections of which no plaintext is told, at the last tick.
    pub fn undecoded(&self) -> usize {
        self.undecoded
    }

    /// What was lost since the last call.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    fn on_data(&mut self, data: &Data<'_>) {
        let now_ns = data.caller.time_ns;
        let udp = data.tuple.transport == Transport::Udp;
        let remote = SocketAddr::new(data.tuple.remote_ip, data.tuple.remote_port);
        let key = (data.socket_id, udp.then_some(remote), data.is_tls);
        if !self.conversations.contains_key(&key) {
            if self.conversations.len() >= CONVERSATIONS_MAX {
                self.losses.add(Drop::FlowTableFull, 1);
                return;
            }
            let mut followed = self.follow(data);
            followed.decoded =
                !data.is_tls && self.conversations.contains_key(&(key.0, key.1, true));
            self.conversations.insert(key, followed);
            if data.is_tls
                && let Some(carrier) = self.conversations.get_mut(&(key.0, key.1, false))
            {
                carrier.decoded = true;
            }
        }
        let Some(followed) = self.conversations.get_mut(&key) else { return };
        followed.last_ns = now_ns;
        followed.tgid = data.caller.tgid;
        followed.ends_ns = None;
        if followed.decoded {
            return;
        }
        let whole: Vec<u8>;
        let mut payload = data.payload;
        let mut wire_bytes = data.wire_bytes();
        if udp && (data.offset_bytes > 0 || !data.last) {
            followed.datagram.truncate(data.offset_bytes as usize);
            followed.datagram.extend_from_slice(payload);
            if !data.last {
                return;
            }
            whole = std::mem::take(&mut followed.datagram);
            payload = &whole;
            wire_bytes = data.message_bytes;
        }
        let from_client = (data.direction == bpf::Direction::Egress) == followed.local_is_client;
        let segment = Segment {
            time_ns: now_ns,
            direction: if from_client {
                Direction::ClientToServer
            } else {
                Direction::ServerToClient
            },
            seq: data.tcp_seq.filter(|_| !data.seq_unsure && !data.is_tls),
            payload,
            wire_bytes,
            syn: false,
            fin: false,
            origin: Origin {
                thread: data.caller.tid,
                coroutine: data.coroutine_id,
                trace_id: data.trace_id,
                cap_seq: data.cap_seq,
                encrypted_seq: data.tcp_seq.filter(|_| data.is_tls).unwrap_or(0),
            },
        };
        followed.conversation.on_segment(&mut self.shared, &segment, &mut self.output);
        if std::mem::take(&mut self.output.reversed) {
            followed.local_is_client = !followed.local_is_client;
            followed.seen = Rc::new(reversed(&followed.seen));
        }
        self.stage.take(now_ns, &followed.seen, &mut self.output);
    }

    fn follow(&mut self, data: &Data<'_>) -> Followed {
        let tuple = &data.tuple;
        let remote = SocketAddr::new(tuple.remote_ip, tuple.remote_port);
        let netns = self.processes.netns(data.caller.tgid, data.caller.comm.as_str());
        let local = self.local(netns, tuple);
        let udp = tuple.transport == Transport::Udp;
        let owner = self.owner(&data.caller, data.socket_id);
        self.note_owner(netns, tuple, local, &owner);
        let (local_is_client, score) = match tuple.role {
            SocketRole::Connect => (true, SCORE_CERTAIN),
            SocketRole::Accept => (false, SCORE_CERTAIN),
            SocketRole::Unknown if udp => (data.direction == bpf::Direction::Egress, SCORE_BY_PORT),
            SocketRole::Unknown => (local.port() > remote.port(), SCORE_BY_PORT),
        };
        let (client, server) = if local_is_client { (local, remote) } else { (remote, local) };
        let protocol = if udp { 17 } else { 6 };
        let seen = Seen {
            client,
            server,
            protocol,
            signal_source: SignalSource::Ebpf,
            point: if local_is_client { ObservationPoint::CP } else { ObservationPoint::SP },
            nic: 0,
            tunnel: TunnelType::None,
            flow_id: data.socket_id,
            direction_score: score,
            client_owner: local_is_client.then(|| owner.clone()),
            server_owner: (!local_is_client).then_some(owner),
            lookup: Default::default(),
        };
        let listener = if local_is_client { 0 } else { data.caller.tgid };
        let key = server_key(server, protocol, listener);
        let context = ConversationContext {
            transport: if udp { l7::Transport::Udp } else { l7::Transport::Tcp },
            client_port: client.port(),
            server_port: server.port(),
            // What is learned of the plaintext says nothing of what carries it.
            server_key: if data.is_tls { !key } else { key },
            signal_source: SignalSource::Ebpf,
            direction_known: score == SCORE_CERTAIN,
            is_tls: data.is_tls,
        };
        Followed {
            conversation: Conversation::new(context),
            seen: Rc::new(seen),
            local_is_client,
            tgid: data.caller.tgid,
            last_ns: data.caller.time_ns,
            ends_ns: None,
            datagram: Vec::new(),
            decoded: false,
        }
    }

    fn on_socket(&mut self, event: &bpf::SocketEvent) {
        match event.change {
            SocketChange::Connect(_) | SocketChange::Accept => {
                let owner = self.owner(&event.caller, event.socket_id);
                self.stage.owners().meet(event.netns);
                let local = self.local(event.netns, &event.tuple);
                self.note_owner(event.netns, &event.tuple, local, &owner);
            }
            SocketChange::Close if event.tuple.transport == Transport::Udp => {
                self.closed.insert(event.socket_id, event.caller.time_ns);
            }
            SocketChange::Close => {
                for is_tls in [false, true] {
                    let key = (event.socket_id, None, is_tls);
                    if let Some(followed) = self.conversations.get_mut(&key) {
                        followed.ends_ns = Some(event.caller.time_ns.saturating_add(LINGER_NS));
                    }
                }
            }
        }
    }

    fn end(&mut self, key: Key, now_ns: u64) {
        let Some(mut followed) = self.conversations.remove(&key) else { return };
        followed.conversation.on_close(&mut self.shared, now_ns, &mut self.output);
        if self.passes_over {
            self.output.stats.retain(|stat| stat.kind != StatKind::Timeout);
        }
        self.stage.take(now_ns, &followed.seen, &mut self.output);
    }

    fn owner(&mut self, caller: &bpf::event::Caller, socket_id: u64) -> Owner {
        self.processes.owner(caller.tgid, caller.comm.as_str(), socket_id)
    }

    /// The process's end of a socket.
    fn local(&self, netns: Netns, tuple: &bpf::Tuple) -> SocketAddr {
        let ip = self.stage.owners().local_ip(netns, tuple.local_ip, tuple.remote_ip);
        SocketAddr::new(ip, tuple.local_port)
    }

    fn note_owner(&self, netns: Netns, tuple: &bpf::Tuple, local: SocketAddr, owner: &Owner) {
        let Some(table) = self.stage.owners().table() else { return };
        let protocol = if tuple.transport == Transport::Udp { 17 } else { 6 };
        if tuple.remote_port != 0 {
            let remote = SocketAddr::new(tuple.remote_ip, tuple.remote_port);
            table.insert(netns, Connection { protocol, local, remote }, owner.clone());
        }
        if protocol == 17 {
            let bound = SocketAddr::new(tuple.local_ip, tuple.local_port);
            table.insert_listener(netns, protocol, bound, owner.clone());
        }
    }
}

/// The same conversation with client and server the other way round.
fn reversed(seen: &Seen) -> Seen {
    Seen {
        client: seen.server,
        server: seen.client,
        protocol: seen.protocol,
        signal_source: seen.signal_source,
        point: match seen.point {
            ObservationPoint::CP => ObservationPoint::SP,
            ObservationPoint::SP => ObservationPoint::CP,
            point => point,
        },
        nic: seen.nic,
        tunnel: seen.tunnel,
        flow_id: seen.flow_id,
        direction_score: SCORE_BY_PROTOCOL,
        client_owner: seen.server_owner.clone(),
        server_owner: seen.client_owner.clone(),
        lookup: Default::default(),
    }
}

/// Key of the inference cache: FNV-1a of the server's end, and its process where that is known.
pub fn server_key(server: SocketAddr, protocol: u8, tgid: u32) -> u64 {
    let ip = match server.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    let port = server.port().to_be_bytes();
    let bytes = ip.iter().chain(&port).chain(std::slice::from_ref(&protocol)).copied();
    bytes.chain(tgid.to_be_bytes()).fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
