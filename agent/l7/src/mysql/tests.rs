//! Packets of logins and values, byte by byte.

use super::*;
use crate::bytes::Reader;

#[test]
fn greetings() {
    // protocol 10, version, thread 1, eight bytes of scramble, filler.
    assert_eq!(
        packet::greeting_version(b"\x0a5.5.5-10.11.6-MariaDB\0\x01\0\0\0abcdefgh\0")
            .map(<[u8]>::len),
        Some(21)
    );
    assert_eq!(packet::greeting_version(b"\x095.0\0\x01\0\0\0abcdefgh\0"), None);
    assert_eq!(packet::greeting_version(b"\x0a\0\x01\0\0\0abcdefgh\0"), None);
}

#[test]
fn logins_with_a_secret_of_any_form() {
    let fixed = |capabilities: u32| {
        let mut body = capabilities.to_le_bytes().to_vec();
        body.extend_from_slice(b"\0\0\0\x01\x21");
        body.extend_from_slice(&[0; 23]);
        body
    };
    let text = |capabilities: u32, rest: &[u8]| {
        let capabilities = capabilities | packet::CLIENT_PROTOCOL_41;
        let body = [&fixed(capabilities), rest].concat();
        assert_eq!(packet::capabilities(&body), Some(capabilities));
        packet::login_text(&body, capabilities).to_string()
    };
    let with_db = packet::CLIENT_CONNECT_WITH_DB;
    assert_eq!(
        text(packet::CLIENT_SECURE_CONNECTION | with_db, b"u\0\x02abshop\0"),
        "Login username: u db: shop"
    );
    assert_eq!(
        text(packet::CLIENT_PLUGIN_AUTH_LENENC | with_db, b"u\0\xfc\x02\0abshop\0"),
        "Login username: u db: shop"
    );
    assert_eq!(text(with_db, b"u\0ab\0shop\0"), "Login username: u db: shop");
    assert_eq!(text(with_db, b"u\0ab"), "Login username: u");
    let mut odd = fixed(packet::CLIENT_PROTOCOL_41);
    odd[10] = 1;
    assert_eq!(packet::capabilities(&odd), None);
}

#[test]
fn values_of_each_type() {
    let check = |kind: u16, bytes: &[u8], expected: &str| {
        let mut body = vec![0, 1];
        body.extend_from_slice(&kind.to_le_bytes());
        body.extend_from_slice(bytes);
        let mut types = Vec::new();
        let texts = parameter::texts(&mut Reader::new(&body), 1, &mut types, 100);
        assert_eq!(texts, [expected], "type {kind}");
    };
    check(1, b"\xff", "Tiny(-1)");
    check(0x8001, b"\xff", "Tiny(255)");
    check(2, b"\x01\x80", "Short(-32767)");
    check(3, b"\x07\0\0\0", "Long(7)");
    check(8, b"\xfe\xff\xff\xff\xff\xff\xff\xff", "LongLong(-2)");
    check(4, &1.5f32.to_le_bytes(), "Float(1.5)");
    check(5, &(-0.25f64).to_le_bytes(), "Double(-0.25)");
    check(10, b"\x04\xe8\x07\x02\x1d", "2024-02-29");
    check(12, b"\x0b\xe8\x07\x02\x1d\x01\x02\x03\x40\x42\x0f\0", "2024-02-29 01:02:03.1000000");
    check(12, b"\0", "0000-00-00");
    check(11, b"\x08\x01\x01\0\0\0\x02\x03\x04", "-26:03:04");
    check(0xfd, b"\x03abc", "abc");
    check(0xfc, b"\xfc\x03\0abc", "abc");
    check(6, b"", "NULL");
}

#[test]
fn every_command_has_its_name() {
    let names = [(1, "QUIT"), (3, "QUERY"), (14, "PING"), (22, "STMT_PREPARE"), (25, "STMT_CLOSE")];
    for (number, name) in names {
        assert_eq!(command::name_of(number), Some(name));
    }
    assert_eq!(command::name_of(31), Some("RESET_CONNECTION"));
    assert_eq!(command::name_of(0xfa), Some("STMT_BULK_EXECUTE"));
    assert_eq!(command::name_of(32), None);
}

#[test]
fn attributes_stand_before_the_text() {
    assert_eq!(command::query_text(b"SELECT 1"), b"SELECT 1");
    assert_eq!(command::query_text(b"\0\x01SELECT 1"), b"SELECT 1");
    // One attribute `id`, a LongLong 9.
    let body = b"\x01\x01\0\x01\x08\0\x02id\x09\0\0\0\0\0\0\0SELECT 1";
    assert_eq!(command::query_text(body), b"SELECT 1");
}
