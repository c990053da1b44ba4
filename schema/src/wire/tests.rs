//! Every message round-trips; garbage, cut and foreign bytes give typed errors.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn samples() -> Vec<Message> {
    let hello = Hello {
        protocol_version: PROTOCOL_VERSION,
        schema_version: SCHEMA_VERSION,
        agent_uuid: AgentUuid([7; 16]),
        agent_version: "0.1.0".into(),
        configuration_version: 3,
        host: HostFacts {
            hostname: "büro-1".into(),
            kernel: "6.1.0".into(),
            arch: "x86_64".into(),
            cpu_count: 2,
            memory_bytes: u64::MAX,
            interfaces: vec![NetworkInterface {
                index: 2,
                name: "eth0".into(),
                mac: [1, 2, 3, 4, 5, 6],
                addresses: vec![IpAddr::from([10, 0, 0, 1]), IpAddr::from([9; 16])],
            }],
            ..HostFacts::default()
        },
        oldest_unsettled: vec![(Signal::RequestLogs, 1), (Signal::Telemetry, u64::MAX)],
    };
    let ack = HelloAck {
        agent_id: 5,
        server_version: "0.1.0".into(),
        server_time_us: -1,
        streams: vec![StreamState { signal: Signal::FlowLogs, watermark: 9, rejected: vec![4, 8] }],
        configuration: Configuration { version: 2, yaml: "a: 1\n".into() },
    };
    let batch = BatchHeader {
        signal: Signal::RequestLogs,
        sequence: 1 << 40,
        table_id: 1,
        rows: 10_000,
        payload_bytes: 220_000,
    };
    let outcomes = [
        AckOutcome::Stored,
        AckOutcome::Duplicate,
        AckOutcome::Rejected(Rejection::TooManyRows),
        AckOutcome::Rejected(Rejection::BlockVersion),
    ];
    let mut messages = vec![
        Message::EnrolRequest(EnrolRequest {
            token_secret: "s3cret".into(),
            agent_uuid: AgentUuid([1; 16]),
            hostname: "h".into(),
            csr_der: vec![0x30, 0x82],
        }),
        Message::EnrolReply(EnrolReply::Issued {
            certificate_der: vec![1; 700],
            authority_der: vec![2; 500],
        }),
        Message::EnrolReply(EnrolReply::Refused("wrong token".into())),
        Message::Hello(hello),
        Message::HelloAck(ack),
        Message::Statistics(AgentStatistics {
            time_us: 1,
            configuration_version: 2,
            metrics: vec![("agent_flows".into(), 1.5)],
            problems: vec!["no BPF".into()],
        }),
        Message::Configuration(Configuration::default()),
        Message::Open(Signal::SecondMetrics),
        Message::Batch(batch),
    ];
    messages.extend(outcomes.map(|outcome| Message::Ack(Ack { sequence: 300, outcome })));
    messages
}

fn decode_frame(frame: &[u8]) -> Result<Message, WireError> {
    let header = frame[..FRAME_HEADER_BYTES].try_into().unwrap();
    let header = FrameHeader::decode(header)?;
    assert_eq!(header.body_bytes, frame.len() - FRAME_HEADER_BYTES);
    Message::decode(header.kind, &frame[FRAME_HEADER_BYTES..])
}

#[test]
fn every_message_round_trips() {
    for message in samples() {
        assert_eq!(decode_frame(&message.encode()), Ok(message));
    }
}

#[test]
fn cut_messages_are_truncated_and_later_fields_are_ignored() {
    for message in samples() {
        let frame = message.encode();
        let body = &frame[FRAME_HEADER_BYTES..];
        for cut in 0..body.len() {
            let error = Message::decode(message.kind(), &body[..cut]);
            assert!(matches!(error, Err(WireError::Truncated(_))), "{message:?} cut at {cut}");
        }
        let longer = [body, b"a field of a later version"].concat();
        assert_eq!(Message::decode(message.kind(), &longer), Ok(message));
    }
}

#[test]
fn other_versions_kinds_and_lengths_are_named() {
    let Some(Message::Hello(mut hello)) = samples().into_iter().nth(3) else { panic!("order") };
    hello.protocol_version = 99;
    let error = decode_frame(&Message::Hello(hello).encode());
    assert_eq!(error, Err(WireError::ProtocolVersion { theirs: 99, ours: PROTOCOL_VERSION }));
    assert_eq!(Message::decode(200, &[]), Err(WireError::UnknownKind(200)));
    let error = FrameHeader::decode([0xff, 0xff, 0xff, 0xff, 1]);
    assert!(matches!(error, Err(WireError::TooLong { field: "message", .. })));
    assert_eq!(error.unwrap_err().to_string(), "message has 4294967295, more than 1048576");
}

#[test]
fn uuids_are_written_and_read_in_the_usual_form() {
    let uuid = AgentUuid([0x12; 16]);
    assert_eq!(uuid.to_string(), "12121212-1212-1212-1212-121212121212");
    assert_eq!(uuid.to_string().parse(), Ok(uuid));
    assert!("12".parse::<AgentUuid>().is_err());
    assert!("zz121212-1212-1212-1212-121212121212".parse::<AgentUuid>().is_err());
}

#[test]
fn tokens_round_trip_and_hide_their_secret() {
    let token = EnrolmentToken { secret: "ab".repeat(32), authority_sha256: [0xc3; 32] };
    assert_eq!(format!("{token}\n").parse(), Ok(token.clone()));
    assert!(!format!("{token:?}").contains("abab"));
    for wrong in ["", "deepflow1.ab.cd", "x.y.z", &format!("{token}.more")] {
        assert!(wrong.parse::<EnrolmentToken>().is_err(), "{wrong}");
    }
}

#[test]
fn every_table_has_a_signal_and_every_id_its_inverse() {
    for table in crate::Table::ALL {
        assert_eq!(Signal::from_id(Signal::of(*table).id()), Some(Signal::of(*table)));
    }
    for code in CloseCode::ALL {
        assert_eq!(CloseCode::from_id(code.id().into()), Some(code));
    }
    assert_eq!(Signal::from_id(0), None);
}

#[test]
fn process_events_round_trip() {
    let event = ProcessEvent {
        kind: ProcessEventKind::Started,
        process_id: 42,
        parent_process_id: 1,
        start_time_us: 1_700_000_000_000_000,
        time_us: 1_700_000_000_000_001,
        name: "nginx".into(),
        command_line: "nginx -g daemon off;".into(),
        executable: "/usr/sbin/nginx".into(),
        container_id: String::new(),
    };
    let ended = ProcessEvent { kind: ProcessEventKind::Ended, ..event.clone() };
    let events = vec![event, ended];
    let bytes = ProcessEvent::encode_all(&events);
    assert_eq!(ProcessEvent::decode_all(&bytes, 2), Ok(events));
    assert_eq!(ProcessEvent::decode_all(&bytes, 3), Err(WireError::Truncated("process")));
}

proptest! {
    #[test]
    fn garbage_never_panics(kind in 0u8..12, body in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = Message::decode(kind, &body) {
            prop_assert_eq!(message.kind(), kind);
        }
        let _ = ProcessEvent::decode_all(&body, 10);
    }

    #[test]
    fn flipped_bytes_never_panic(index in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), value: u8) {
        let samples = samples();
        let message = &samples[index.index(samples.len())];
        let mut frame = message.encode();
        let at = FRAME_HEADER_BYTES + at.index(frame.len() - FRAME_HEADER_BYTES);
        frame[at] = value;
        if let Ok(read) = Message::decode(message.kind(), &frame[FRAME_HEADER_BYTES..]) {
            prop_assert_eq!(read.kind(), message.kind());
        }
    }
}
