//! Values of every kind are passed over, and trace keys are read.

use super::*;
use crate::bytes::Reader;
use crate::config::TraceConfig;
use crate::record::Record;

#[test]
fn values_of_every_kind_are_passed_over() {
    let values: [&[u8]; 9] = [
        b"\x10\x07",
        b"\x11\x01\x02",
        b"\x12\x01\x02\x03\x04",
        b"\x13\x01\x02\x03\x04\x05\x06\x07\x08",
        b"\x14\0\0\0\0\x25\0\0\0\0\0\0\0\0",
        b"\x16\x02hi\x27\0\0\0\x02ho",
        b"\x18\0\x01\x06\x01k\x16\x01v",
        // A list of two structs, the first with a map, the second empty.
        b"\x19\0\x02\x0a\x18\0\x01\x06\x01k\x1c\x0b\x0a\x0b",
        b"\xfd\x20\0\0\x03abc",
    ];
    for value in values {
        let bytes = [value, b"\x3c"].concat();
        let mut reader = Reader::new(&bytes);
        while reader.rest().len() > 1 {
            let head = encoding::head(&mut reader).unwrap();
            encoding::pass(&mut reader, head).unwrap();
        }
        assert_eq!(reader.rest(), b"\x3c", "{value:?}");
    }
    for broken in
        [&b"\x16\x05hi"[..], b"\x18\x02\xff\xff\xff\xff", b"\x0b", b"\x1d\0\x02\0", b"\x1f"]
    {
        let mut reader = Reader::new(broken);
        let passed = encoding::head(&mut reader).and_then(|head| encoding::pass(&mut reader, head));
        assert_eq!(passed, None, "{broken:?}");
    }
}

#[test]
fn trace_keys() {
    let check = |key: &str, ids: (&str, &str, &str)| {
        let mut context = TraceContext::default();
        trace_key(&mut context, key.as_bytes());
        let mut record = Record::new(L7Protocol::Tars);
        context.fill(&TraceConfig::default(), &mut record);
        assert_eq!((&*record.trace_id, &*record.span_id, &*record.parent_span_id), ids, "{key}");
    };
    check("f.2-ee824a|0300|01ff", ("ee824a", "0300", "01ff"));
    check("f-ee824a|01ff", ("ee824a", "", ""));
    check("ee824a|0300|01ff", ("ee824a", "0300", "01ff"));
    check("", ("", "", ""));
}
