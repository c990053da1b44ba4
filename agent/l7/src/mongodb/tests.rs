//! What is shown of documents and what is hidden.

use super::bson::Document;
use super::text::{Hide, Writer};

/// `{ name: value, … }` from the bytes of its elements.
fn document(elements: &[&[u8]]) -> Vec<u8> {
    let body = elements.concat();
    [&(body.len() as u32 + 5).to_le_bytes()[..], &body, b"\0"].concat()
}

fn text_element(name: &str, value: &str) -> Vec<u8> {
    let length = (value.len() as u32 + 1).to_le_bytes();
    [b"\x02", name.as_bytes(), b"\0", &length, value.as_bytes(), b"\0"].concat()
}

fn nested(name: &str, document: &[u8]) -> Vec<u8> {
    [b"\x03", name.as_bytes(), b"\0", document].concat()
}

fn shown(bytes: &[u8], hide: Hide, limit: usize) -> String {
    let mut writer = Writer::new(limit, hide);
    writer.document(Document::read(bytes).expect("a document"));
    writer.finish().to_string()
}

#[test]
fn values_and_secrets_are_hidden() {
    let filter = document(&[&text_element("name", "bob"), b"\x10age\0\x07\0\0\0"]);
    let find = document(&[
        &text_element("find", "people"),
        &nested("filter", &filter),
        &text_element("$db", "shop"),
    ]);
    assert_eq!(
        shown(&find, Hide::Credentials, 999),
        r#"{ "find": "people", "filter": { "name": "bob", "age": 7 }, "$db": "shop" }"#
    );
    assert_eq!(
        shown(&find, Hide::Values, 999),
        r#"{ "find": "people", "filter": { "name": ?, "age": ? }, "$db": "shop" }"#
    );
    let user = document(&[&text_element("createUser", "bob"), &text_element("pwd", "secret")]);
    assert_eq!(shown(&user, Hide::Secrets, 999), r#"{ "createUser": "bob", "pwd": ? }"#);
    let hello = document(&[b"\x10hello\0\x01\0\0\0", &nested("speculativeAuthenticate", &user)]);
    assert_eq!(
        shown(&hello, Hide::Credentials, 999),
        r#"{ "hello": 1, "speculativeAuthenticate": ? }"#
    );
}

#[test]
fn texts_end_at_their_limit_and_where_bytes_end() {
    let whole = document(&[&text_element("find", "people"), b"\x10n\0\x07\0\0\0"]);
    let text = shown(&whole, Hide::Credentials, 999);
    for limit in 0..text.len() {
        assert_eq!(shown(&whole, Hide::Credentials, limit), text[..limit]);
    }
    for cut in 4..whole.len() {
        let start = shown(&whole[..cut], Hide::Credentials, 999);
        assert!(text.starts_with(start.trim_end_matches(['"', ' '])), "{start}");
    }
}

#[test]
fn deep_documents_are_no_danger() {
    let mut inner = document(&[]);
    for _ in 0..2000 {
        inner = document(&[&nested("a", &inner)]);
    }
    assert!(shown(&inner, Hide::Credentials, 1 << 20).contains('…'));
}
