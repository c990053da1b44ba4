//! How messages may be written, and what is taken for one.

use crate::iso8583::code;
use crate::iso8583::layout::{self, Found, Header, Length};
use crate::protocol::Probe;
use schema::ResponseStatus;

/// A network request of fields 7, 11 and 70, without its length.
const ASCII: &[u8] = b"0800\x82\x20\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x30\x39\x31\x35120000000017001";

fn with_length(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes()[..], body].concat()
}

#[test]
fn layouts() {
    let found = |bytes: &[u8]| match layout::find(bytes) {
        Found::Layout(layout) => Some((layout.length, layout.header, layout.content.packed)),
        _ => None,
    };
    assert_eq!(found(&with_length(ASCII)), Some((Length::Binary2, Header::None, false)));
    let digits = [format!("{:04}", ASCII.len()).as_bytes(), ASCII].concat();
    assert_eq!(found(&digits), Some((Length::Digits4, Header::None, false)));
    let inclusive = [format!("{:04}", ASCII.len() + 4).as_bytes(), ASCII].concat();
    assert_eq!(found(&inclusive), Some((Length::Digits4Inclusive, Header::None, false)));
    let base24 = with_length(&[b"ISO026000070", ASCII].concat());
    assert_eq!(found(&base24), Some((Length::Binary2, Header::Base24, false)));
    let packed =
        b"\x60\0\x01\0\0\x08\x00\x20\x20\0\0\0\xc0\0\0\x99\0\0\0\0\x17T0000001M00000000000001";
    assert_eq!(found(&with_length(packed)), Some((Length::Binary2, Header::Tpdu, true)));
}

#[test]
fn what_is_none() {
    let probe = |bytes: &[u8]| layout::probe(bytes, false);
    let whole = with_length(ASCII);
    assert_eq!(probe(&whole), Probe::Certain);
    for end in 1..30 {
        assert_eq!(probe(&whole[..end]), Probe::Short, "{end}");
    }
    // A digit that is none, one byte too many, no trace number, an empty bitmap.
    let mut wrong = whole.clone();
    wrong[20] = b'x';
    assert_eq!(probe(&wrong), Probe::No);
    assert_eq!(probe(&with_length(&[ASCII, b"1"].concat())), Probe::No);
    assert_eq!(probe(&with_length(&[&ASCII[..30], b"000000001"].concat())), Probe::No);
    assert_eq!(probe(&with_length(b"0800\0\0\0\0\0\0\0\0")), Probe::No);
    assert_eq!(probe(b"0200 OK\r\n"), Probe::No);
    assert_eq!(probe(b"GET / HTTP/1.1\r\n\r\n"), Probe::No);
    assert_eq!(probe(&[0; 64]), Probe::No);
    assert_eq!(
        probe(b"\0\0\0\x20\0\x03\0\x09\0\0\0\x01\0\x04test\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        Probe::No
    );
}

#[test]
fn whom_codes_blame() {
    for code in ["00", "000", "400", "800"] {
        assert_eq!(code::status(code), ResponseStatus::Ok, "{code}");
    }
    for code in ["05", "14", "51", "55", "N7", "116", "904", "208"] {
        assert_eq!(code::status(code), ResponseStatus::ClientError, "{code}");
    }
    for code in ["06", "91", "96", "68", "907", "909"] {
        assert_eq!(code::status(code), ResponseStatus::ServerError, "{code}");
    }
}
