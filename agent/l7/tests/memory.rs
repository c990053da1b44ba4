//! Memory: whatever comes, a conversation holds no more than its limits allow, as counted by an
//! allocator and not by the conversation itself; and nothing once it is closed.

#![expect(unsafe_code, reason = "a counting allocator")]

#[expect(dead_code, reason = "only segments are needed")]
#[path = "l7/pcap.rs"]
mod pcap;
#[path = "l7/policies.rs"]
mod policies;
#[expect(dead_code, reason = "only scripts are read")]
#[path = "l7/script.rs"]
mod script;

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use l7::{
    Config, Conversation, ConversationContext, Direction, Origin, Output, ProtocolSet, Segment,
    Shared, Transport,
};
use schema::{L7Protocol, SignalSource};

struct Counting;

static HELD_BYTES: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD_BYTES.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD_BYTES.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Protocols whose every case is driven to its limits.
const PROTOCOLS: [(L7Protocol, &str); 4] = [
    (L7Protocol::Ldap, "ldap"),
    (L7Protocol::Smtp, "smtp"),
    (L7Protocol::Oracle, "oracle"),
    (L7Protocol::Iso8583, "iso8583"),
];

const STREAM_BYTES: usize = 32 << 10;
const SESSIONS: usize = 64;
const TEXT_BYTES: usize = 1024;
const STATEMENTS: usize = 16;

/// What the limits allow: two buffers, which grow by doubling; sessions with a few texts each;
/// statements; 64 KiB for all that has a bound of its own.
const HELD_MAX: i64 =
    (4 * STREAM_BYTES + SESSIONS * 4 * TEXT_BYTES + STATEMENTS * 2 * TEXT_BYTES + (64 << 10))
        as i64;

/// Segments of each attack: many times what the limits allow.
const ROUNDS: usize = 4000;

fn config(protocol: L7Protocol) -> Config {
    let mut config = Config::live();
    config.protocols = ProtocolSet::of(&[protocol]);
    config.limits.stream_bytes = STREAM_BYTES;
    config.limits.conversation_sessions = SESSIONS;
    config.limits.text_bytes = TEXT_BYTES;
    config.limits.statements = STATEMENTS;
    config
}

fn payloads(folder: &Path) -> Vec<(bool, Vec<u8>)> {
    let text = std::fs::read_to_string(folder.join("input.txt")).expect("an input");
    let segments = script::Script::parse(&text).segments;
    let is_first = |source| segments.first().is_some_and(|first| first.source == source);
    segments
        .iter()
        .filter(|segment| !segment.payload.is_empty())
        .map(|segment| (is_first(segment.source), segment.payload[..].to_vec()))
        .map(|(from_client, payload)| (from_client, payload.into_iter().take(4000).collect()))
        .collect()
}

/// What follows a case's opening, round by round.
fn attack(kind: usize, round: usize, seed: &[u8]) -> Vec<u8> {
    let mut state = (round as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let mut bytes = seed.to_vec();
    match kind {
        0 => vec![0; 1400],
        1 => vec![b'a'; 1400],
        // The same again, and again with other numbers in it.
        2 => bytes,
        3 => {
            for _ in 0..3 {
                let at = random() % bytes.len();
                bytes[at] = random() as u8;
            }
            bytes
        }
        // Always another number at the same place: ids and cursors that are never answered.
        4 => {
            let at = kind + round % 12;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = round as u8;
            }
            if let Some(byte) = bytes.get_mut(at + 1) {
                *byte = (round >> 8) as u8;
            }
            bytes
        }
        // The head of a message, then anything.
        _ => {
            bytes.truncate(12);
            bytes.extend((0..1000).map(|_| random() as u8));
            bytes
        }
    }
}

struct Run {
    shared: Shared,
    conversation: Conversation,
    time_ns: u64,
}

impl Run {
    fn feed(&mut self, from_client: bool, payload: &[u8], cut_bytes: u32) {
        self.time_ns += 1000;
        let direction = match from_client {
            true => Direction::ClientToServer,
            false => Direction::ServerToClient,
        };
        let segment = Segment {
            time_ns: self.time_ns,
            direction,
            seq: None,
            payload,
            wire_bytes: payload.len() as u32 + cut_bytes,
            syn: false,
            fin: false,
            origin: Origin::default(),
        };
        self.conversation.on_segment(&mut self.shared, &segment, &mut Output::default());
    }
}

/// The most that was held, beyond what was held before.
fn most_held(protocol: L7Protocol, opening: &[(bool, Vec<u8>)], kind: usize) -> i64 {
    let before = HELD_BYTES.load(Ordering::Relaxed);
    let context = ConversationContext {
        transport: Transport::Tcp,
        client_port: 1,
        server_port: 2,
        server_key: 3,
        signal_source: SignalSource::Packet,
        direction_known: true,
        is_tls: false,
    };
    let shared = Shared::new(config(protocol));
    let mut run = Run { conversation: Conversation::new(context), shared, time_ns: 1 };
    opening.iter().for_each(|(from_client, payload)| run.feed(*from_client, payload, 0));
    let mut most = 0;
    for round in 0..ROUNDS {
        let (from_client, seed) = &opening[round % opening.len()];
        // One side alone leaves the other's answers out.
        if kind == 4 && !from_client {
            continue;
        }
        let cut_bytes = if kind == 3 && round % 16 == 0 { 100 } else { 0 };
        run.feed(*from_client, &attack(kind, round, seed), cut_bytes);
        most = most.max(HELD_BYTES.load(Ordering::Relaxed) - before);
    }
    run.conversation.on_close(&mut run.shared, run.time_ns, &mut Output::default());
    assert_eq!((run.shared.buffered_bytes(), run.shared.sessions()), (0, 0), "{protocol:?}");
    most
}

#[test]
fn no_input_makes_a_conversation_hold_more_than_its_limits() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    for (protocol, name) in PROTOCOLS {
        let mut worst = 0;
        let mut cases: Vec<_> = std::fs::read_dir(root.join(name))
            .expect("cases")
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        cases.sort();
        for folder in cases {
            let opening = payloads(&folder);
            for kind in 0..6 {
                let most = most_held(protocol, &opening, kind);
                let case = folder.display();
                assert!(most <= HELD_MAX, "{case}: {most} bytes held in attack {kind}");
                worst = worst.max(most);
            }
        }
        println!("{name}: at most {worst} of {HELD_MAX} bytes held");
        assert!(worst > 4096, "{name}: nothing was held at all");
    }
}
