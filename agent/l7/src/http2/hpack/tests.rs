//! Examples of RFC 7541, Appendix C, connections joined late, and blocks that break off.

use super::*;

fn read(decoder: &mut Decoder, block: &[u8]) -> (String, Result<(), Broken>) {
    let mut text = String::new();
    let outcome = decoder.decode(block, |field| {
        let value = field.value.map_or("?".into(), String::from_utf8_lossy);
        text += &format!("{}={value} ", String::from_utf8_lossy(field.name));
    });
    (text.trim_end().to_owned(), outcome)
}

fn check(decoder: &mut Decoder, block: &[u8], fields: &str) {
    assert_eq!(read(decoder, block), (fields.to_owned(), Ok(())));
}

fn first() -> Decoder {
    let mut decoder = Decoder::default();
    decoder.start();
    decoder
}

const FIRST: &[u8] = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
const SECOND: &[u8] = b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf";
const THIRD: &[u8] =
    b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";

#[test]
fn requests_with_huffman_code() {
    let mut decoder = first();
    let start = ":method=GET :scheme=http :path=/ :authority=www.example.com";
    check(&mut decoder, FIRST, start);
    check(&mut decoder, SECOND, &format!("{start} cache-control=no-cache"));
    check(
        &mut decoder,
        THIRD,
        ":method=GET :scheme=https :path=/index.html :authority=www.example.com \
         custom-key=custom-value",
    );
}

#[test]
fn requests_without_huffman_code() {
    let mut decoder = first();
    let start = ":method=GET :scheme=http :path=/ :authority=www.example.com";
    check(&mut decoder, b"\x82\x86\x84\x41\x0fwww.example.com", start);
    check(
        &mut decoder,
        b"\x82\x86\x84\xbe\x58\x08no-cache",
        &format!("{start} cache-control=no-cache"),
    );
    // Literals that are not indexed, or never (C.2.2, C.2.3).
    check(&mut decoder, b"\x04\x0c/sample/path", ":path=/sample/path");
    check(&mut decoder, b"\x10\x08password\x06secret", "password=secret");
    check(&mut decoder, b"\xbe\xbf", "cache-control=no-cache :authority=www.example.com");
}

#[test]
fn responses_with_eviction() {
    let mut decoder = first();
    // C.6, with a table of 256 bytes set by the first block.
    let block = b"\x3f\xe1\x01\x48\x82\x64\x02\x58\x85\xae\xc3\x77\x1a\x4b\x61\x96\xd0\x7a\xbe\
        \x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff\x6e\x91\x9d\
        \x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3";
    let rest = "cache-control=private date=Mon, 21 Oct 2013 20:13:21 GMT \
        location=https://www.example.com";
    check(&mut decoder, block, &format!(":status=302 {rest}"));
    check(&mut decoder, b"\x48\x83\x64\x0e\xff\xc1\xc0\xbf", &format!(":status=307 {rest}"));
    assert_eq!(read(&mut decoder, b"\xc2").1, Err(Broken), ":status=302 was evicted");
}

#[test]
fn a_connection_joined_late() {
    let mut decoder = Decoder::default();
    check(&mut decoder, SECOND, ":method=GET :scheme=http :path=/ =? cache-control=no-cache");
    // What came since is known, at places counted from the newest; what came before is not.
    check(
        &mut decoder,
        THIRD,
        ":method=GET :scheme=https :path=/index.html =? custom-key=custom-value",
    );
    check(&mut decoder, b"\xbe\xbf\xc0", "custom-key=custom-value cache-control=no-cache =?");
    // A name that is not known, with a value that is and that gets a place.
    check(&mut decoder, b"\x7f\x10\x01v\xbe", "=v =v");
    decoder.forget();
    check(&mut decoder, b"\xbe", "=?");
    // A table emptied by its encoder holds nothing unknown.
    check(&mut decoder, b"\x20", "");
    assert_eq!(read(&mut decoder, b"\xbe").1, Err(Broken));
}

#[test]
fn a_block_that_breaks_off() {
    for end in 0..THIRD.len() {
        let mut decoder = first();
        check(&mut decoder, FIRST, ":method=GET :scheme=http :path=/ :authority=www.example.com");
        let (fields, _) = read(&mut decoder, &THIRD[..end]);
        assert!(end < 4 || fields.starts_with(":method=GET :scheme=https :path=/index.html"));
    }
    for bad in [&b"\xbe"[..], b"\x80", b"\x40", b"\x00\x05ab", b"\xff\xff\xff\xff\xff\xff\xff\xff"]
    {
        assert_eq!(read(&mut first(), bad).1, Err(Broken), "{bad:x?}");
    }
    assert_eq!(read(&mut first(), b"\x04\x05/ab").0, ":path=/ab", "cut inside of a value");
}
