//! A running `BpfSource` and the events it gave, as owned values.

use std::time::{Duration, Instant};

use source::bpf::{
    BpfConfig, BpfCounters, BpfSource, Direction, Event, FileEvent, Hook, Mechanism, ProcessChange,
    SocketChange, SocketEvent, Tier, Tuple, requirements,
};

/// One data event with its own payload.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Moved {
    pub hook: Hook,
    pub tgid: u32,
    pub tid: u32,
    pub fd: i32,
    pub mono_ns: u64,
    pub time_ns: u64,
    pub comm: String,
    pub tuple: Tuple,
    pub socket_id: u64,
    pub trace_id: u64,
    pub coroutine_id: u64,
    pub cap_seq: u32,
    pub tcp_seq: Option<u32>,
    pub seq_unsure: bool,
    pub direction: Direction,
    pub message_bytes: u32,
    pub wire_bytes: u32,
    pub last: bool,
    pub payload: Vec<u8>,
}

/// A process event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Lived {
    Fork { tgid: u32, parent_tgid: u32, comm: String },
    Exec { tgid: u32, parent_tgid: u32, comm: String, path: Vec<u8>, cgroup: String, netns: u32 },
    Exit { tgid: u32, status: i32 },
}

/// A call on a file that took long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Filed {
    pub hook: Hook,
    pub tgid: u32,
    pub tid: u32,
    pub fd: i32,
    pub time_ns: u64,
    pub trace_id: u64,
    pub duration_ns: u64,
    pub offset_bytes: u64,
    pub asked_bytes: Option<u64>,
    pub moved: Result<u64, i32>,
    pub inode: u64,
    pub device: (u32, u32),
    pub name: String,
    pub folder: String,
    pub mount_point: String,
    pub source: String,
}

/// The source under test and what came out of it.
pub struct Capture {
    source: BpfSource,
    /// Data events in the order in which they were given.
    pub moved: Vec<Moved>,
    /// Socket events in that order.
    pub sockets: Vec<SocketEvent>,
    /// Process events in that order.
    pub lived: Vec<Lived>,
    /// Calls on files in that order.
    pub filed: Vec<Filed>,
}

impl Capture {
    /// Starts capture of this process too. `None`, with a printed reason: BPF is not to be had here.
    pub fn start(change: impl FnOnce(&mut BpfConfig)) -> Option<Self> {
        if let Some(missing) = requirements().into_iter().find(|one| !one.works) {
            println!("SKIPPED: {}: {}", missing.feature, missing.why_not);
            return None;
        }
        let tier = env!("CARGO_CRATE_NAME").ends_with("_v310").then_some(Tier::V310);
        let mut config =
            BpfConfig { trace_self: true, tier, mechanism: mechanism(), ..BpfConfig::default() };
        change(&mut config);
        let (source, reports) = BpfSource::load(config).expect("everything it needs is there");
        for report in &reports {
            assert!(report.attached || report.reason.contains("switched off"), "{report:?}");
        }
        let (moved, sockets, lived, filed) = Default::default();
        Some(Self { source, moved, sockets, lived, filed })
    }

    /// Reads events until `done` says so; after 5 s the test fails with what came.
    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !done(self) {
            assert!(
                Instant::now() < deadline,
                "no {what}; data {:#?} sockets {:#?}",
                self.moved,
                self.sockets
            );
            let Self { source, moved, sockets, lived, filed } = self;
            source
                .poll(Duration::from_millis(10), &mut |event| match event {
                    Event::File(file) => filed.push(keep_file(&file)),
                    event => keep(event, moved, sockets, lived),
                })
                .expect("the ring can be read");
        }
    }

    /// Takes everything that has happened so far.
    pub fn all(&mut self) {
        let Self { source, moved, sockets, lived, filed } = self;
        source.drain(&mut |event| match event {
            Event::File(file) => filed.push(keep_file(&file)),
            event => keep(event, moved, sockets, lived),
        });
    }

    /// Data events of sockets with this local port and direction.
    pub fn of(&self, local_port: u16, direction: Direction) -> Vec<Moved> {
        self.moved
            .iter()
            .filter(|one| one.tuple.local_port == local_port && one.direction == direction)
            .cloned()
            .collect()
    }

    /// Socket events with this local port.
    pub fn changes(&self, local_port: u16) -> Vec<SocketChange> {
        let of_port = self.sockets.iter().filter(|one| one.tuple.local_port == local_port);
        of_port.map(|one| one.change).collect()
    }

    /// Whether the programs are those for kernels without BTF and loops.
    pub fn is_oldest_tier(&self) -> bool {
        self.source.tier() == Tier::V310
    }

    pub fn source(&mut self) -> &mut BpfSource {
        &mut self.source
    }

    pub fn counters(&self) -> BpfCounters {
        self.source.counters().expect("counters can be read")
    }
}

/// `DEEPFLOW_TEST_MECHANISM=tracepoint` runs the same tests on the other mechanism.
fn mechanism() -> Mechanism {
    match std::env::var("DEEPFLOW_TEST_MECHANISM").as_deref() {
        Ok("tracepoint") => Mechanism::Tracepoint,
        Ok("all-calls") => Mechanism::AllCalls,
        _ => Mechanism::Auto,
    }
}

fn keep_file(file: &FileEvent<'_>) -> Filed {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Filed {
        hook: file.caller.hook,
        tgid: file.caller.tgid,
        tid: file.caller.tid,
        fd: file.caller.fd,
        time_ns: file.caller.time_ns,
        trace_id: file.trace_id,
        duration_ns: file.duration_ns,
        offset_bytes: file.offset_bytes,
        asked_bytes: file.asked_bytes,
        moved: file.moved,
        inode: file.inode,
        device: file.device,
        name: text(file.path.name()),
        folder: text(&file.path.folder().unwrap_or_default()),
        mount_point: text(&file.path.mount_point().unwrap_or_default()),
        source: text(file.path.source),
    }
}

fn keep(
    event: Event<'_>,
    moved: &mut Vec<Moved>,
    sockets: &mut Vec<SocketEvent>,
    lived: &mut Vec<Lived>,
) {
    match event {
        Event::Data(data) => moved.push(Moved {
            hook: data.caller.hook,
            tgid: data.caller.tgid,
            tid: data.caller.tid,
            fd: data.caller.fd,
            mono_ns: data.caller.mono_ns,
            time_ns: data.caller.time_ns,
            comm: data.caller.comm.as_str().to_owned(),
            tuple: data.tuple,
            socket_id: data.socket_id,
            trace_id: data.trace_id,
            coroutine_id: data.coroutine_id,
            cap_seq: data.cap_seq,
            tcp_seq: data.tcp_seq,
            seq_unsure: data.seq_unsure,
            direction: data.direction,
            message_bytes: data.message_bytes,
            wire_bytes: data.wire_bytes(),
            last: data.last,
            payload: data.payload.to_vec(),
        }),
        Event::Socket(socket) => sockets.push(socket),
        Event::Process(process) => lived.push(match process.change {
            ProcessChange::Exec { path, cgroup, netns } => Lived::Exec {
                tgid: process.caller.tgid,
                parent_tgid: process.parent_tgid,
                comm: process.caller.comm.as_str().to_owned(),
                path: path.to_vec(),
                cgroup: String::from_utf8_lossy(cgroup.unwrap_or_default()).into_owned(),
                netns,
            },
            ProcessChange::Fork => Lived::Fork {
                tgid: process.caller.tgid,
                parent_tgid: process.parent_tgid,
                comm: process.caller.comm.as_str().to_owned(),
            },
            ProcessChange::Exit { status } => Lived::Exit { tgid: process.caller.tgid, status },
        }),
        Event::File(_) => unreachable!("kept by keep_file"),
    }
}
