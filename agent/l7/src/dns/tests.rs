//! Names, messages and what is none.

use super::*;

/// id 1, recursion desired, one question: `www.example A IN`.
const QUERY: &[u8] = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01";

#[test]
fn names() {
    // "a.b" at 0; a pointer to "b" at 5; a pointer to itself at 7; one forward at 9.
    let message = b"\x01a\x01b\0\xc0\x02\xc0\x07\xc0\x20\0";
    assert_eq!(name::text(message, 0, 100), "a.b");
    assert_eq!(name::walk(message, 0, |_| {}), Some(5));
    assert_eq!(name::text(message, 5, 100), "b");
    assert_eq!(name::walk(message, 5, |_| {}), Some(7));
    assert_eq!(name::walk(message, 7, |_| {}), None);
    assert_eq!(name::walk(message, 9, |_| {}), None);
    assert_eq!(name::text(message, 11, 100), ".");
    assert_eq!(name::text(b"\x03a\x01.\0", 0, 100), "a?.");
    let long = [b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(5);
    assert_eq!(name::walk(&long, 0, |_| {}), None);
}

#[test]
fn messages_are_read_to_their_end() {
    let message = Message::read(QUERY, false).expect("a query");
    assert_eq!((message.id, message.is_response()), (1, false));
    assert!(Message::read(&[QUERY, b"x"].concat(), false).is_none());
    for end in 0..QUERY.len() {
        assert!(Message::read(&QUERY[..end], false).is_none(), "{end} bytes");
    }
}

#[test]
fn codes_of_edns_have_more_bits() {
    let mut answer = QUERY.to_vec();
    answer[2..4].copy_from_slice(b"\x81\x80");
    answer[11] = 1;
    // OPT with the upper bits 1: BADVERS = 16.
    answer.extend_from_slice(b"\0\0\x29\x10\0\x01\0\0\0\0\0");
    let message = Message::read(&answer, false).expect("a response");
    assert_eq!(message.response_code(), 16);
    assert_eq!(types::response_code_name(16), "BADVERS");
    assert_eq!(types::response_code_name(99), "RCODE99");
    assert_eq!(types::type_name(65), "HTTPS");
}

#[test]
fn case_of_a_name_makes_no_other_request() {
    let key = |bytes: &[u8]| Message::read(bytes, false).expect("a query").key();
    let mut other_case = QUERY.to_vec();
    other_case[13] = b'W';
    assert_eq!(key(QUERY), key(&other_case));
    let mut other_type = QUERY.to_vec();
    other_type[26] = 28;
    assert_ne!(key(QUERY), key(&other_type));
}

#[test]
fn probes_need_a_question_that_exists() {
    let context =
        |transport, direction| ProbeContext { direction, transport, server_port: 1, cut: false };
    let client = context(Transport::Udp, Direction::ClientToServer);
    assert_eq!(Dns::probe(QUERY, &client), Probe::Certain);
    assert_eq!(Dns::probe(QUERY, &context(Transport::Udp, Direction::ServerToClient)), Probe::No);
    let mut odd = QUERY.to_vec();
    odd[26] = 0x7f;
    assert_eq!(Dns::probe(&odd, &client), Probe::No);
    let tcp = context(Transport::Tcp, Direction::ClientToServer);
    let framed = [&[0, QUERY.len() as u8], QUERY].concat();
    assert_eq!(Dns::probe(&framed, &tcp), Probe::Certain);
    assert_eq!(Dns::probe(&framed[..9], &tcp), Probe::Short);
    assert_eq!(Dns::probe(b"\0\x05hello", &tcp), Probe::No);
    // A NetBIOS name query: type NB would be NIMLOC, and names are in letters A to P.
    let netbios = [&QUERY[..12], b"\x20", &b"FHEPFCEL".repeat(4), b"\0\0\x20\0\x01"].concat();
    assert_eq!(Dns::probe(&netbios, &client), Probe::No);
}
