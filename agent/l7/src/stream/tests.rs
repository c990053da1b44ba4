//! Order, overlaps, gaps and bounds of a stream.

use super::*;
use crate::segment::{Direction, Segment};

/// Feeds segments `(seq, bytes, cut)` and collects what comes out as `gap:bytes~cut`.
fn run(segments: &[(u32, &str, u32)], skippable: u64) -> String {
    let mut stream = Stream::default();
    let mut seen = Vec::new();
    let mut note = |piece: Piece<'_>| {
        let text = String::from_utf8_lossy(piece.bytes).into_owned();
        let gap = if piece.gap_bytes > 0 { format!("{}:", piece.gap_bytes) } else { String::new() };
        let cut = if piece.cut_bytes > 0 { format!("~{}", piece.cut_bytes) } else { String::new() };
        seen.push(format!("{gap}{text}{cut}"));
    };
    for (place, (seq, text, cut)) in segments.iter().enumerate() {
        let segment = Segment {
            time_ns: place as u64,
            direction: Direction::ClientToServer,
            seq: Some(*seq),
            payload: text.as_bytes(),
            wire_bytes: text.len() as u32 + cut,
            syn: false,
            fin: false,
            origin: Origin::default(),
        };
        if let Placed::Next(piece) = stream.place(&segment, skippable) {
            note(piece);
        }
        while let Some(kept) = stream.next_kept(skippable, 0, 10_000) {
            note(kept.piece());
        }
    }
    while let Some(kept) = stream.next_kept(skippable, u64::MAX, 10_000) {
        note(kept.piece());
    }
    assert_eq!((stream.kept_segments(), stream.ahead_bytes), (0, 0));
    seen.join(" ")
}

#[test]
fn order_and_overlap() {
    assert_eq!(run(&[(1, "abc", 0), (4, "de", 0)], 0), "abc de");
    assert_eq!(run(&[(1, "a", 0), (4, "d", 0), (3, "c", 0), (2, "b", 0)], 0), "a b c d");
    assert_eq!(run(&[(1, "abc", 0), (1, "abc", 0), (2, "bcd", 0)], 0), "abc d");
    assert_eq!(run(&[(1, "a", 0), (3, "cd", 0), (3, "c", 0), (2, "bcde", 0)], 0), "a bcde");
    assert_eq!(run(&[(1, "a", 0), (3, "cdef", 0), (2, "bc", 0)], 0), "a bc def");
}

#[test]
fn numbers_wrap() {
    assert_eq!(run(&[(u32::MAX - 1, "abc", 0), (1, "d", 0)], 0), "abc d");
    assert_eq!(run(&[(u32::MAX, "a", 0), (1, "c", 0), (0, "b", 0)], 0), "a b c");
}

#[test]
fn gaps_and_cuts() {
    assert_eq!(run(&[(1, "ab", 0), (9, "c", 0)], 0), "ab 6:c");
    assert_eq!(run(&[(1, "ab", 0), (9, "c", 0)], 6), "ab 6:c");
    assert_eq!(run(&[(1, "ab", 8), (11, "c", 0)], 0), "ab~8 c");
    // A repetition that starts inside what was cut off has nothing of it.
    assert_eq!(run(&[(1, "ab", 8), (5, "xxxxxxyz", 0)], 0), "ab~8 yz");
}

#[test]
fn what_waits_is_bounded() {
    let mut stream = Stream::default();
    let payload = [0; 1000];
    for place in 0..2000u32 {
        let segment = Segment {
            time_ns: 5,
            direction: Direction::ClientToServer,
            seq: Some(if place == 0 { 1 } else { place * 2000 }),
            payload: &payload,
            wire_bytes: 1000,
            syn: false,
            fin: false,
            origin: Origin::default(),
        };
        stream.place(&segment, 0);
        while stream.next_kept(0, 0, 50_000).is_some() {}
        assert!(stream.kept_bytes() <= 60_000, "{}", stream.kept_bytes());
    }
}

fn segment(seq: u32, payload: &[u8], syn: bool) -> Segment<'_> {
    Segment {
        time_ns: 5,
        direction: Direction::ClientToServer,
        seq: Some(seq),
        payload,
        wire_bytes: payload.len() as u32,
        syn,
        fin: false,
        origin: Origin::default(),
    }
}

#[test]
fn a_stream_starts_where_its_syn_says() {
    let mut stream = Stream::default();
    stream.place(&segment(9, &[], true), 0);
    assert!(matches!(stream.place(&segment(12, b"c", false), 0), Placed::Kept));
    assert!(matches!(stream.place(&segment(10, b"ab", false), 0), Placed::Next(_)));
    // The SYN once more, late: nothing starts over.
    stream.place(&segment(9, &[], true), 0);
    let kept = stream.next_kept(0, 0, 1000).map(|kept| kept.piece().bytes.to_vec());
    assert_eq!(kept.as_deref(), Some(&b"c"[..]));
    assert!(!stream.is_before_first(8));
}

/// A forged or repeated SYN with another number: the data tells which of them counts.
#[test]
fn of_two_starts_the_data_chooses() {
    for (first, expected) in [(1_000_001, "first"), (17_000_001, "second")] {
        let mut stream = Stream::default();
        stream.place(&segment(1_000_000, &[], true), 0);
        stream.place(&segment(17_000_000, &[], true), 0);
        let placed = stream.place(&segment(first, b"ab", false), 0);
        assert!(matches!(placed, Placed::Next(piece) if piece.gap_bytes == 0), "{expected}");
        let next = stream.place(&segment(first + 2, b"cd", false), 0);
        assert!(matches!(next, Placed::Next(piece) if piece.gap_bytes == 0), "{expected}");
    }
}

#[test]
fn a_segment_without_number_counts_as_the_next() {
    let mut stream = Stream::default();
    for (seq, payload) in [(Some(1), b"ab"), (None, b"cd"), (Some(5), b"ef"), (None, b"gh")] {
        assert!(
            matches!(
                stream.place(&Segment { seq, ..segment(0, payload, false) }, 0),
                Placed::Next(_)
            ),
            "{seq:?}"
        );
    }
}
