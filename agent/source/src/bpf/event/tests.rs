//! Records made by hand, whole and damaged.

use super::*;

/// A data record of `recvfrom` on an IPv4 TCP socket, as the kernel writes it.
fn data_record(payload: &[u8]) -> Vec<u8> {
    let mut record = vec![0u8; abi::data::BYTES];
    let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
    put(abi::event::KIND, &[abi::kind::DATA, abi::VERSION, Hook::Recvfrom.id(), abi::flag::LAST]);
    put(abi::event::TGID, &4242u32.to_ne_bytes());
    put(abi::event::TID, &4243u32.to_ne_bytes());
    put(abi::event::FD, &7i32.to_ne_bytes());
    put(abi::event::MONO_NS, &1_000_000_007u64.to_ne_bytes());
    put(abi::event::COMM, b"nginx");
    put(abi::data::TUPLE + abi::tuple::LOCAL_ADDR, &[127, 0, 0, 1]);
    put(abi::data::TUPLE + abi::tuple::REMOTE_ADDR, &[10, 0, 0, 9]);
    put(abi::data::TUPLE + abi::tuple::LOCAL_PORT, &80u16.to_ne_bytes());
    put(abi::data::TUPLE + abi::tuple::REMOTE_PORT, &40_000u16.to_ne_bytes());
    put(abi::data::TUPLE + abi::tuple::IP_VERSION, &[4, 6, abi::role::ACCEPT]);
    put(abi::data::SOCKET_ID, &99u64.to_ne_bytes());
    put(abi::data::TRACE_ID, &77u64.to_ne_bytes());
    put(abi::data::CAP_SEQ, &3u32.to_ne_bytes());
    put(abi::data::TCP_SEQ, &u32::MAX.to_ne_bytes());
    put(abi::data::MESSAGE_BYTES, &1000u32.to_ne_bytes());
    put(abi::data::OFFSET_BYTES, &2u32.to_ne_bytes());
    put(abi::data::PAYLOAD_BYTES, &u32::try_from(payload.len()).expect("short").to_ne_bytes());
    put(abi::data::DIRECTION, &[abi::direction::INGRESS]);
    record.extend_from_slice(payload);
    record
}

#[test]
fn a_data_record_is_read() {
    let record = data_record(b"GET / HTTP/1.1\r\n");
    let Some(Event::Data(data)) = Event::decode(&record, 500) else { panic!("not data") };
    assert_eq!(data.caller.hook, Hook::Recvfrom);
    assert_eq!((data.caller.tgid, data.caller.tid, data.caller.fd), (4242, 4243, 7));
    assert_eq!((data.caller.mono_ns, data.caller.time_ns), (1_000_000_007, 1_000_000_507));
    assert_eq!(data.caller.comm.as_str(), "nginx");
    assert_eq!(data.tuple.local_ip, IpAddr::from([127, 0, 0, 1]));
    assert_eq!(data.tuple.remote_ip, IpAddr::from([10, 0, 0, 9]));
    assert_eq!((data.tuple.local_port, data.tuple.remote_port), (80, 40_000));
    assert_eq!((data.tuple.transport, data.tuple.role), (Transport::Tcp, SocketRole::Accept));
    assert_eq!((data.socket_id, data.trace_id, data.cap_seq), (99, 77, 3));
    assert_eq!(data.tcp_seq, Some(1), "sequence numbers wrap");
    assert_eq!(data.direction, Direction::Ingress);
    assert!(data.last && !data.unreadable && !data.seq_unsure);
    assert_eq!(data.payload, b"GET / HTTP/1.1\r\n");
    assert_eq!(data.wire_bytes(), 998, "what was cut off belongs to the last part");
}

#[test]
fn padding_after_the_payload_is_no_payload() {
    let mut record = data_record(b"abc");
    record.extend_from_slice(&[0; 5]);
    let Some(Event::Data(data)) = Event::decode(&record, 0) else { panic!("not data") };
    assert_eq!(data.payload, b"abc");
}

#[test]
fn a_part_stands_for_its_own_bytes() {
    let mut record = data_record(b"abc");
    record[abi::event::FLAGS] = 0;
    let Some(Event::Data(data)) = Event::decode(&record, 0) else { panic!("not data") };
    assert!(!data.last);
    assert_eq!(data.wire_bytes(), 3);
}

#[test]
fn a_payload_lies_within_its_message() {
    let mut record = data_record(b"abc");
    record[abi::data::MESSAGE_BYTES..][..4].copy_from_slice(&4u32.to_ne_bytes());
    assert!(Event::decode(&record, 0).is_none(), "2 bytes before it and 3 of it are more than 4");
    record[abi::data::MESSAGE_BYTES..][..4].copy_from_slice(&5u32.to_ne_bytes());
    assert!(matches!(Event::decode(&record, 0), Some(Event::Data(data)) if data.wire_bytes() == 3));
}

#[test]
fn mapped_ipv4_is_given_as_ipv4() {
    let mut record = data_record(b"");
    let tuple = abi::data::TUPLE;
    record[tuple + abi::tuple::IP_VERSION] = 6;
    record[tuple..tuple + 16]
        .copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4]);
    record[tuple + 16..tuple + 32].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
    let Some(Event::Data(data)) = Event::decode(&record, 0) else { panic!("not data") };
    assert_eq!(data.tuple.local_ip, IpAddr::from([1, 2, 3, 4]));
    assert_eq!(data.tuple.remote_ip, IpAddr::V6(Ipv6Addr::LOCALHOST));
}

#[test]
fn no_length_and_no_byte_makes_it_panic() {
    let record = data_record(b"payload");
    for cut in 0..record.len() {
        assert!(Event::decode(&record[..cut], 0).is_none(), "cut at {cut}");
    }
    let mut accepted = 0;
    for at in 0..record.len() {
        for value in [0, 1, 2, 3, 4, 5, 6, 7, 0x7f, 0xff] {
            let mut changed = record.clone();
            changed[at] = value;
            accepted += usize::from(Event::decode(&changed, i64::MIN).is_some());
        }
    }
    assert!(accepted > 0);
}

#[test]
fn another_version_is_refused() {
    let mut record = data_record(b"");
    record[abi::event::VERSION] = abi::VERSION + 1;
    assert!(Event::decode(&record, 0).is_none());
}

#[test]
fn process_records_are_read() {
    let mut record = vec![0u8; abi::exec::BYTES];
    record[..3].copy_from_slice(&[abi::kind::EXEC, abi::VERSION, Hook::Exec.id()]);
    record[abi::process::PARENT_TGID..][..4].copy_from_slice(&1u32.to_ne_bytes());
    record[abi::process::PATH_BYTES..][..4].copy_from_slice(&7u32.to_ne_bytes());
    record[abi::process::NETNS..][..4].copy_from_slice(&4026u32.to_ne_bytes());
    record[abi::exec::CGROUP..][..8].copy_from_slice(b"docker-0");
    record.extend_from_slice(b"/bin/ls");
    let Some(Event::Process(process)) = Event::decode(&record, 0) else { panic!("not a process") };
    assert_eq!(process.parent_tgid, 1);
    let (path, cgroup) = (&b"/bin/ls"[..], &b"docker-0"[..]);
    assert_eq!(process.change, ProcessChange::Exec { path, cgroup: Some(cgroup), netns: 4026 });
    assert!(Event::decode(&record[..record.len() - 1], 0).is_none());
}

#[test]
fn hooks_know_their_numbers() {
    for hook in Hook::ALL {
        assert_eq!(Hook::from_id(hook.id()), Some(hook));
    }
    assert_eq!(Hook::from_id(0), None);
    let last = Hook::ALL.iter().map(|hook| hook.id()).max().expect("hooks");
    assert_eq!(Hook::from_id(last + 1), None);
    assert_eq!(Hook::ALL.len(), usize::from(last));
}
