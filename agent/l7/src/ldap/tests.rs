//! What is taken for LDAP, and how filters are shown.

use schema::Text;

use crate::ber::Element;
use crate::ldap::{filter, name, probe};
use crate::protocol::Probe;
use crate::segment::Direction;

const BIND: &[u8] = b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00";

fn client(bytes: &[u8]) -> Probe {
    probe::first_bytes(Direction::ClientToServer, bytes, false)
}

#[test]
fn first_messages() {
    assert_eq!(client(BIND), Probe::Certain);
    for end in 1..BIND.len() - 2 {
        assert_ne!(client(&BIND[..end]), Probe::No, "{end}");
    }
    let result = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00";
    assert_eq!(probe::first_bytes(Direction::ServerToClient, result, false), Probe::Certain);
    for bytes in [
        // SNMP, a bind of version 9, lengths that do not add up, a certificate.
        &b"\x30\x26\x02\x01\x01\x04\x06public\xa0\x19"[..],
        b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x09\x04\x00\x80\x00",
        b"\x30\x0c\x02\x01\x01\x60\x09\x02\x01\x03\x04\x00\x80\x00",
        b"\x30\x82\x01\x0a\x30\x82\x01\x06",
        b"0123456789",
    ] {
        assert_eq!(client(bytes), Probe::No, "{bytes:x?}");
    }
}

fn shown(bytes: &[u8], hides: bool) -> Text {
    let mut text = Text::default();
    filter::write(&Element::read(bytes).expect("a filter"), &mut text, 4096, hides);
    text
}

#[test]
fn filters() {
    let both = b"\xa0\x13\xa3\x08\x04\x02cn\x04\x02a*\x87\x03uid\xa2\x02\x87\x00";
    assert_eq!(shown(both, false), r"(&(cn=a\2a)(uid=*)(!(=*)))");
    assert_eq!(shown(b"\xa3\x08\x04\x02cn\x04\x02bo", true), "(cn=?)");
    assert_eq!(
        shown(b"\xa4\x0f\x04\x02cn\x30\x09\x80\x01a\x81\x01b\x82\x01c", false),
        "(cn=a*b*c)"
    );
    assert_eq!(shown(b"\xa4\x09\x04\x02cn\x30\x03\x82\x01c", false), "(cn=*c)");
    assert_eq!(shown(b"\xa5\x08\x04\x02cn\x04\x02\xff7", false), r"(cn>=\ff7)");
    assert_eq!(shown(b"\xa9\x0d\x81\x02ru\x82\x02cn\x83\x03val", false), "(cn:ru:=val)");
    assert_eq!(shown(b"\xa3\x12\x04\x0cuserPassword\x04\x02pw", false), "(userPassword=?)");
}

#[test]
fn deep_filters_are_no_danger() {
    let mut inner = b"\x87\x01a".to_vec();
    for _ in 0..2000 {
        let length = (inner.len() as u32).to_be_bytes();
        inner = [&[0xa2, 0x84][..], &length, &inner].concat();
    }
    assert!(shown(&inner, false).contains('…'));
}

#[test]
fn containers() {
    let check = |entry: &str, expected: &str| {
        assert_eq!(name::container(entry.as_bytes()), expected, "{entry}");
    };
    check("uid=bob,ou=people,dc=example,dc=org", "ou=people,dc=example,dc=org");
    check(r"CN=Doe\, John, CN=Users,DC=ad,DC=local", "DC=ad,DC=local");
    check("dc=example,dc=org", "dc=example,dc=org");
    check("cn=admin,cn=config", "cn=config");
    check("bob@example.org", "bob@example.org");
    check(r"cn=a\", r"cn=a\");
    check("", "");
}
