//! Hessian's values, the texts of each serialization, descriptors, and attachments that are
//! looked for.

use super::*;
use crate::bytes::Reader;
use crate::config::TraceConfig;
use crate::dubbo::hessian::Hessian;
use crate::dubbo::words::Words;

/// Passes over one value and gives what is left.
fn left(bytes: &[u8]) -> Option<usize> {
    let mut hessian = Hessian::new(bytes);
    hessian.pass()?;
    let mut count = 0;
    while hessian.pass().is_some() {
        count += 1;
    }
    Some(count)
}

#[test]
fn hessian_values_are_passed_over() {
    let values: [&[u8]; 24] = [
        b"N",
        b"T",
        b"\x90",
        b"\xc8\x00",
        b"\xd4\x00\x00",
        b"I\0\0\0\x01",
        b"\xe0",
        b"\xf8\0",
        b"\x3c\0\0",
        b"Y\0\0\0\0",
        b"L\0\0\0\0\0\0\0\0",
        b"\x5b",
        b"\x5d\x01",
        b"\x5e\0\x01",
        b"\x5f\0\0\0\x01",
        b"D\0\0\0\0\0\0\0\0",
        b"J\0\0\0\0\0\0\0\0",
        b"K\0\0\0\0",
        b"\x22ab",
        b"A\0\x02abB\0\x01c",
        b"H\x01a\x90\x01bH\x01c\x91ZZ",
        b"M\x04java\x01a\x90Z",
        b"X\x92\x90\x91",
        b"\x72\x90\x90\x91",
    ];
    for value in values {
        assert_eq!(left(&[value, b"\x90"].concat()), Some(1), "{value:?}");
    }
    let lists: [&[u8]; 4] = [b"W\x90\x91Z", b"U\x01a\x90Z", b"V\x01a\x92\x90\x91", b"\x7a\x90\x91"];
    for list in lists {
        assert_eq!(left(&[list, b"\x90"].concat()), Some(1), "{list:?}");
    }
    // A class of two fields, an object of it, and two more by number.
    let objects = b"C\x01A\x92\x01x\x01y\x60\x90\x01v\x60N\x91O\x90\x91\x92";
    assert_eq!(left(objects), Some(2));
}

#[test]
fn broken_hessian_is_given_up() {
    let deep = [b'W'; 1000];
    let broken: [&[u8]; 8] =
        [b"", b"\x05abc", b"X\xd7\xff\xff\x90", b"O\x95", b"\x61", b"H\x01a", b"G", &deep];
    for bytes in broken {
        assert_eq!(left(bytes), None, "{bytes:?}");
    }
}

#[test]
fn texts_are_counted_in_utf16() {
    let mut hessian = Hessian::new("\x05h\u{e9}\u{4e2d}\u{1f600}\x01z".as_bytes());
    assert_eq!(&*hessian.text().unwrap(), "h\u{e9}\u{4e2d}\u{1f600}".as_bytes());
    assert_eq!(&*hessian.text().unwrap(), b"z");
    let mut chunks = Hessian::new(b"R\0\x03abcS\0\x02de\x30\x01f");
    assert_eq!(&*chunks.text().unwrap(), b"abcde");
    assert_eq!(&*chunks.text().unwrap(), b"f");
}

#[test]
fn texts_of_each_serialization() {
    let check = |form: Form, body: &[u8]| {
        let mut words = Words::of(form, body);
        let texts: Vec<_> = std::iter::from_fn(|| words.text()).map(|text| text.to_vec()).collect();
        assert_eq!(texts, [&b"ab"[..], b"", b"c"], "{form:?}");
    };
    check(Form::Hessian, b"\x02abN\x01c");
    check(Form::Kryo, b"a\xe2\x80\x82c");
    check(Form::Fst, b"\x02ab\0\x01c");
    check(Form::Json, b"\"ab\"\nnull\r\n\"c\"");
    check(Form::Json, b"\0\0\0\x04\"ab\"\0\0\0\x04null\0\0\0\x03\"c\"");
    check(Form::Jsonb, b"\0\0\0\x03\x4bab\0\0\0\x01\xaf\0\0\0\x03\x79\x01c");
    check(Form::Protobuf, b"\x04\x0a\x02ab\0\x03\x0a\x01c");
    check(
        Form::Java(true),
        b"\xac\xed\0\x05\x77\x13\0\0\0\x02\0\x02ab\xff\xff\xff\xff\0\0\0\x01\0\x01c",
    );
    check(Form::Java(false), b"\xac\xed\0\x05\x77\x09\0\x02ab\0\0\0\x01c");
    check(Form::Counted, b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c");
    check(Form::Avro, b"\x04ab\0\x02c");
    let mut long = Reader::new(b"\xc4\x01abc\xe9\xc3\xa9");
    assert_eq!(words::kryo(&mut long), None, "more characters than there are");
}

#[test]
fn descriptors() {
    assert_eq!(attachments::count_types(b""), Some(0));
    assert_eq!(attachments::count_types(b"Ljava/lang/String;[[ILa;ZJ[La/b;"), Some(6));
    assert_eq!(attachments::count_types(b"Ljava/lang/String"), None);
    assert_eq!(attachments::count_types(b"?"), None);
}

#[test]
fn attachments_are_looked_for_where_arguments_are_in_the_way() {
    let trace = TraceConfig::default();
    let check = |form: Form, body: &[u8]| {
        let call = body::Call { body, ..body::Call::default() };
        let mut found = Vec::new();
        attachments::each(form, &call, &trace, &mut |name, value| {
            found.push((name.to_vec(), value.to_vec()));
        });
        assert!(found.contains(&(b"traceparent".to_vec(), b"00-1-2-01".to_vec())), "{form:?}");
        assert!(found.contains(&(b"group".to_vec(), b"g1".to_vec())), "{form:?}");
    };
    check(Form::Hessian, b"??\x0btraceparent\x0900-1-2-01\x05group\x02g1");
    check(Form::Kryo, b"??\x03\x01traceparen\xf4\x03\x0100-1-2-0\xb1\x03\x01grou\xf0\x03\x01g\xb1");
    check(Form::Kryo, b"??\x03traceparen\xf4\x0300-1-2-0\xb1\x03grou\xf0\x03g\xb1");
    check(Form::Fst, b"??\xfc\x0btraceparent\xfc\x0900-1-2-01\xfc\x05group\xfc\x02g1");
    check(Form::Java(true), b"t\0\x0btraceparentt\0\x0900-1-2-01t\0\x05groupt\0\x02g1");
    check(Form::Jsonb, b"??\x54traceparent\x5200-1-2-01\x4egroup\x4bg1");
    check(Form::Json, b"??{\"traceparent\":\"00-1-2-01\",\"group\":\"g1\"");
}
