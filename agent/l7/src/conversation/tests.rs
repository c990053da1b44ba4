//! Windows, budgets and counters of whole conversations.

use schema::{Drop, RecordType, ResponseStatus, SignalSource};

use super::*;
use crate::config::Config;
use crate::record::StatKind;
use crate::segment::Origin;

fn tcp() -> Conversation {
    Conversation::new(ConversationContext {
        transport: Transport::Tcp,
        client_port: 1,
        server_port: 2,
        server_key: 3,
        signal_source: SignalSource::Ebpf,
        direction_known: true,
        is_tls: true,
    })
}

fn segment(time_ms: u64, direction: Direction, payload: &[u8]) -> Segment<'_> {
    Segment {
        time_ns: time_ms * 1_000_000,
        direction,
        seq: None,
        payload,
        wire_bytes: payload.len() as u32,
        syn: false,
        fin: false,
        origin: Origin {
            thread: 7,
            coroutine: 8,
            trace_id: 9,
            cap_seq: time_ms as u32,
            encrypted_seq: 0,
        },
    }
}

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const C: Direction = Direction::ClientToServer;
const S: Direction = Direction::ServerToClient;

#[test]
fn system_calls_without_numbers_come_in_order_and_keep_their_origin() {
    let (mut shared, mut out) = (Shared::new(Config::live()), Output::default());
    let mut conversation = tcp();
    for (time_ms, direction, bytes) in [(1, C, &GET[..9]), (2, C, &GET[9..]), (4, S, OK)] {
        conversation.on_segment(&mut shared, &segment(time_ms, direction, bytes), &mut out);
    }
    let record = &out.records[0];
    assert_eq!((record.kind, record.is_tls), (RecordType::Session, true));
    assert_eq!((record.req_tcp_seq, record.duration_ns), (0, Some(3_000_000)));
    assert_eq!((record.request_origin.cap_seq, record.response_origin.cap_seq), (1, 4));
    assert_eq!((record.request_origin.thread, record.response_origin.trace_id), (7, 9));
    assert_eq!(conversation.pending(), 0);
}

#[test]
fn a_request_times_out_after_its_window() {
    let (mut shared, mut out) = (Shared::new(Config::live()), Output::default());
    let mut conversation = tcp();
    conversation.on_segment(&mut shared, &segment(1000, C, GET), &mut out);
    assert_eq!((conversation.pending(), shared.sessions()), (1, 1));
    conversation.expire(&mut shared, 120_999_000_000, &mut out);
    assert!(out.records.is_empty());
    conversation.expire(&mut shared, 121_000_000_000, &mut out);
    assert_eq!(out.records[0].response_status, ResponseStatus::Timeout);
    assert_eq!(out.records[0].kind, RecordType::Request);
    assert_eq!(out.stats.last().map(|stat| stat.kind), Some(StatKind::Timeout));
    assert_eq!(out.stats.last().map(|stat| stat.time_ns), Some(121_000_000_000));
    assert_eq!(shared.sessions(), 0);
}

#[test]
fn a_response_seen_before_its_request_is_held() {
    let (mut shared, mut out) = (Shared::new(Config::live()), Output::default());
    let mut conversation = tcp();
    conversation.on_segment(&mut shared, &segment(1, C, GET), &mut out);
    conversation.on_segment(&mut shared, &segment(2, S, OK), &mut out);
    // Two processors reported the next pair the other way round.
    conversation.on_segment(&mut shared, &segment(11, S, OK), &mut out);
    conversation.on_segment(&mut shared, &segment(10, C, GET), &mut out);
    assert_eq!(out.records.len(), 2);
    assert_eq!(out.records[1].duration_ns, Some(1_000_000));
}

#[test]
fn full_tables_let_the_oldest_go_and_count_it() {
    let mut config = Config::live();
    config.limits.conversation_sessions = 3;
    let (mut shared, mut out) = (Shared::new(config), Output::default());
    let mut conversation = tcp();
    for time_ms in 1..=5 {
        conversation.on_segment(&mut shared, &segment(time_ms, C, GET), &mut out);
    }
    let unknown = out.records.iter().map(|record| record.response_status);
    assert_eq!(unknown.filter(|status| *status == ResponseStatus::Unknown).count(), 2);
    // Responses to the two that went answer neither of the others.
    for time_ms in 6..=10 {
        conversation.on_segment(&mut shared, &segment(time_ms, S, OK), &mut out);
    }
    let sessions = out.records.iter().filter(|record| record.kind == RecordType::Session);
    let durations: Vec<_> = sessions.map(|record| record.duration_ns).collect();
    assert_eq!(durations, [Some(5_000_000); 3]);
    assert_eq!(shared.take_drops().collect::<Vec<_>>(), [(Drop::SessionTableFull, 2)]);
}

#[test]
fn bytes_beyond_the_bound_are_let_go_and_counted() {
    let mut config = Config::live();
    config.limits.stream_bytes = 1000;
    let (mut shared, mut out) = (Shared::new(config), Output::default());
    let mut conversation = tcp();
    conversation.on_segment(&mut shared, &segment(1, C, GET), &mut out);
    let head = [b"GET /".as_slice(), &[b'a'; 900]].concat();
    conversation.on_segment(&mut shared, &segment(2, C, &head), &mut out);
    conversation.on_segment(&mut shared, &segment(3, C, &[b'b'; 900]), &mut out);
    assert!(shared.buffered_bytes() < 5000);
    conversation.on_segment(&mut shared, &segment(4, C, GET), &mut out);
    conversation.on_close(&mut shared, 5, &mut out);
    let dropped: u64 = shared.take_drops().map(|(_, count)| count).sum();
    assert!(dropped >= 1805, "{dropped}");
    assert_eq!((shared.buffered_bytes(), shared.sessions()), (0, 0));
    assert_eq!(out.records.len(), 2);
}

#[test]
fn what_is_no_protocol_of_ours_is_left_alone() {
    let (mut shared, mut out) = (Shared::new(Config::live()), Output::default());
    let mut conversation = tcp();
    for time_ms in 0..10 {
        conversation.on_segment(
            &mut shared,
            &segment(time_ms, C, b"SSH-2.0-OpenSSH_9.2p1\r\n"),
            &mut out,
        );
    }
    assert!(matches!(conversation.state, State::Opaque));
    assert_eq!(shared.buffered_bytes(), 0);
}
