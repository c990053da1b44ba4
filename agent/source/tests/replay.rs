//! Capture files: both formats and byte orders by hand, damage at each byte, foreign files.

use source::replay::{Capture, LinkTypes, ReplayError};

const LINKS: LinkTypes = &[(1, "Ethernet"), (101, "raw IP")];

#[derive(Debug, PartialEq)]
struct Seen {
    time_ns: u64,
    interface: u32,
    link_type: u32,
    wire_bytes: u32,
    bytes: Vec<u8>,
}

fn read(file: &[u8]) -> (Vec<Seen>, Option<ReplayError>) {
    let mut seen = Vec::new();
    let mut capture = match Capture::new(file, LINKS) {
        Ok(capture) => capture,
        Err(error) => return (seen, Some(error)),
    };
    loop {
        match capture.next() {
            Ok(Some(frame)) => seen.push(Seen {
                time_ns: frame.time_ns,
                interface: frame.interface,
                link_type: frame.link_type,
                wire_bytes: frame.wire_bytes,
                bytes: frame.bytes.to_vec(),
            }),
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error)),
        }
    }
}

/// Writes numbers in one byte order.
struct Writer {
    big: bool,
    out: Vec<u8>,
}

impl Writer {
    fn u16(mut self, value: u16) -> Self {
        self.out.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.out.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.out.extend(bytes);
        self
    }

    fn block(self, kind: u32, body: impl Fn(Writer) -> Writer) -> Self {
        let mut inner = body(Writer { big: self.big, out: Vec::new() }).out;
        inner.resize(inner.len().next_multiple_of(4), 0);
        let length = inner.len() as u32 + 12;
        self.u32(kind).u32(length).bytes(&inner).u32(length)
    }
}

fn pcap(big: bool, magic: u32, link: u32) -> Vec<u8> {
    let writer = Writer { big, out: Vec::new() };
    let head = writer.u32(magic).u16(2).u16(4).u32(0).u32(0).u32(65535).u32(link);
    let first = head.u32(1_700_000_000).u32(123_456).u32(3).u32(90).bytes(b"abc");
    first.u32(1_700_000_001).u32(5).u32(2).u32(2).bytes(b"de").out
}

fn pcapng(big: bool) -> Vec<u8> {
    let writer = Writer { big, out: Vec::new() };
    writer
        .block(0x0a0d_0d0a, |w| w.u32(0x1a2b_3c4d).u16(1).u16(0).u32(u32::MAX).u32(u32::MAX))
        .block(1, |w| w.u16(1).u16(0).u32(0))
        .block(1, |w| w.u16(101).u16(0).u32(4).u16(9).u16(1).bytes(&[9, 0, 0, 0]).u32(0))
        .block(5, |w| w.u32(0).bytes(&[1; 40]))
        .block(6, |w| w.u32(1).u32(0x17_9709).u32(0xac91_1234).u32(4).u32(60).bytes(b"abcd"))
        .block(6, |w| w.u32(0).u32(0x6).u32(0x0a24_181e).u32(5).u32(5).bytes(b"fghij"))
        .block(3, |w| w.u32(3).bytes(b"xyz"))
        .out
}

#[test]
fn pcap_in_both_orders_and_units() {
    for big in [false, true] {
        for (magic, unit) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            let (seen, error) = read(&pcap(big, magic, 1));
            assert!(error.is_none(), "{error:?}");
            let times =
                [1_700_000_000_000_000_000 + 123_456 * unit, 1_700_000_001_000_000_000 + 5 * unit];
            assert_eq!(seen.iter().map(|s| s.time_ns).collect::<Vec<_>>(), times);
            assert_eq!((seen[0].wire_bytes, seen[0].bytes.as_slice()), (90, &b"abc"[..]));
            assert_eq!((seen[1].link_type, seen[1].bytes.as_slice()), (1, &b"de"[..]));
        }
    }
}

#[test]
fn records_of_the_patched_format_name_their_interface() {
    for big in [false, true] {
        let writer = Writer { big, out: Vec::new() };
        let head = writer.u32(0xa1b2_cd34).u16(2).u16(4).u32(0).u32(0).u32(65535).u32(1);
        let first = head.u32(7).u32(9).u32(3).u32(90).u32(4).u16(8).bytes(&[0, 0]).bytes(b"abc");
        let (seen, error) = read(&first.out);
        assert!(error.is_none(), "{error:?}");
        assert_eq!((seen[0].time_ns, seen[0].interface), (7_000_009_000, 4));
        assert_eq!(seen[0].bytes, b"abc");
    }
}

#[test]
fn pcapng_in_both_orders_with_interfaces_of_their_own_clock() {
    for big in [false, true] {
        let (seen, error) = read(&pcapng(big));
        assert!(error.is_none(), "{error:?}");
        let ns = 0x17_9709_ac91_1234;
        let us = 0x6_0a24_181e * 1000;
        let frame = |time_ns, interface, link_type, wire_bytes, bytes: &[u8]| Seen {
            time_ns,
            interface,
            link_type,
            wire_bytes,
            bytes: bytes.to_vec(),
        };
        assert_eq!(
            seen,
            [
                frame(ns, 1, 101, 60, b"abcd"),
                frame(us, 0, 1, 5, b"fghij"),
                frame(us, 0, 1, 3, b"xyz"),
            ]
        );
    }
}

#[test]
fn sections_follow_each_other_in_any_order() {
    let two = [pcapng(false), pcapng(true)].concat();
    let (seen, error) = read(&two);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(seen.len(), 6);
    assert_eq!(seen[..3], seen[3..]);
}

#[test]
fn binary_resolution_and_offset() {
    let file = Writer { big: false, out: Vec::new() }
        .block(0x0a0d_0d0a, |w| w.u32(0x1a2b_3c4d).u16(1).u16(0).u32(u32::MAX).u32(u32::MAX))
        .block(1, |w| {
            let options = w.u16(1).u16(0).u32(0).u16(9).u16(1).bytes(&[0x8a, 0, 0, 0]);
            options.u16(14).u16(8).bytes(&100i64.to_le_bytes())
        })
        .block(6, |w| w.u32(0).u32(0).u32(1536).u32(1).u32(1).bytes(b"a"))
        .out;
    let (seen, error) = read(&file);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(seen[0].time_ns, 101_500_000_000);
}

#[test]
fn cut_anywhere_yields_the_records_before_and_then_says_so() {
    for file in [pcap(false, 0xa1b2_c3d4, 1), pcapng(true)] {
        let (whole, _) = read(&file);
        let mut complete = 0;
        for cut in 0..file.len() {
            let (seen, error) = read(&file[..cut]);
            assert_eq!(seen, whole[..seen.len()]);
            assert!(seen.len() < whole.len());
            match error {
                None => complete += 1, // exactly between two records
                Some(ReplayError::Empty) => assert_eq!(cut, 0),
                Some(ReplayError::Foreign { .. }) => assert!((1..4).contains(&cut)),
                Some(ReplayError::Truncated { offset, .. }) => assert_eq!(offset, cut as u64),
                Some(other) => panic!("cut at {cut}: {other}"),
            }
        }
        assert!(complete < 8);
    }
}

#[test]
fn damage_and_foreign_files_are_named() {
    let say = |file: &[u8]| read(file).1.map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(say(b""), "the capture is empty: not even a header");
    assert!(say(b"GIF89a").starts_with("not a pcap or pcapng capture: it starts with [47, 49"));
    assert!(say(&[0x1f, 0x8b, 8, 0]).ends_with("(gzip: unpack it first)"));
    assert_eq!(
        say(&pcap(false, 0xa1b2_c3d4, 105)),
        "link type 105 cannot be read; those that can: Ethernet (1), raw IP (101)"
    );
    let mut huge = pcap(false, 0xa1b2_c3d4, 1);
    let second = 24 + 16 + 3;
    huge[second + 8..second + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let (seen, error) = read(&huge);
    assert_eq!(seen.len(), 1, "the record before the damage");
    assert_eq!(
        error.map(|e| e.to_string()).as_deref(),
        Some("the capture is damaged at byte 59: the length of a record is 4294967295")
    );
    let mut strange = pcapng(false);
    strange[28 + 4] = 13;
    assert_eq!(say(&strange), "the capture is damaged at byte 28: the length of a block is 13");
    let mut unknown = pcapng(false);
    let packet = unknown.len() - 20 - 40 - 36;
    assert_eq!(unknown[packet], 6);
    unknown[packet + 8] = 9;
    assert!(say(&unknown).ends_with("the interface of a packet is 9"));
}
