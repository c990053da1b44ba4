//! However the bytes of a case are cut, reordered or repeated, the records are the same; and no
//! bytes at all can make a conversation panic or keep memory.

use l7::{Config, Record, Stat};
use proptest::prelude::*;

use crate::pcap::Captured;
use crate::{cases, driver, policies};

/// What must not depend on how the bytes were cut: all but the bytes captured with a head.
fn essence(segments: &[Captured]) -> (Vec<Record>, Vec<Stat>) {
    // Of what is not meant for a case's port, policies find nothing.
    let config = Config { field_policies: policies::all(), ..Config::replay() };
    let mut outcome = driver::run(segments, config);
    for record in &mut outcome.records {
        record.captured_request_bytes = 0;
        record.captured_response_bytes = 0;
    }
    assert_eq!(outcome.left, (0, 0), "memory left");
    (outcome.records, outcome.stats)
}

/// Cases of byte streams in which nothing is missing: after a gap, where segments start matters.
fn streams() -> Vec<(String, Vec<Captured>)> {
    let inputs = cases::all().into_iter().map(|(name, folder)| (name, cases::input(&folder)));
    inputs
        .filter(|(_, script)| !script.has_gaps)
        .map(|(name, script)| (name, script.segments))
        .filter(|(_, segments)| segments.iter().all(|segment| segment.seq.is_some()))
        .collect()
}

fn is_whole(segment: &Captured) -> bool {
    segment.wire_bytes as usize == segment.payload.len()
}

/// A segment in pieces of at most `bytes`, the first `first` long.
fn pieces(segment: &Captured, first: usize, bytes: usize) -> Vec<Captured> {
    if !is_whole(segment) || segment.payload.is_empty() {
        return vec![segment.clone()];
    }
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < segment.payload.len() {
        let length = if at == 0 { first } else { bytes };
        let end = at.saturating_add(length.max(1)).min(segment.payload.len());
        pieces.push(Captured {
            payload: segment.payload[at..end].to_vec(),
            wire_bytes: (end - at) as u32,
            seq: segment.seq.map(|seq| seq.wrapping_add(at as u32)),
            ..*segment
        });
        at = end;
    }
    pieces
}

#[test]
fn cut_at_every_byte() {
    for (name, segments) in streams() {
        let expected = essence(&segments);
        for (place, segment) in segments.iter().enumerate().filter(|(_, one)| is_whole(one)) {
            // Long fillers are cut near their ends only.
            let length = segment.payload.len();
            for at in (1..length).filter(|at| *at < 600 || length - *at < 40) {
                let mut cut = segments.clone();
                cut.splice(place..=place, pieces(segment, at, usize::MAX));
                let found = essence(&cut);
                assert!(found == expected, "{name}: segment {place} cut at {at}: {found:#?}");
            }
        }
    }
}

#[test]
fn byte_by_byte() {
    for (name, segments) in streams() {
        let expected = essence(&segments);
        // Of long fillers not every byte is a segment, or this takes minutes.
        let length: usize = segments.iter().map(|segment| segment.payload.len()).sum();
        for bytes in [1, 2, 3, 7, 64].into_iter().filter(|bytes| length / bytes < 50_000) {
            let cut: Vec<_> =
                segments.iter().flat_map(|segment| pieces(segment, bytes, bytes)).collect();
            let found = essence(&cut);
            assert!(
                found.0 == expected.0,
                "{name}: in pieces of {bytes}\n{:#?}\n{:#?}",
                expected.0,
                found.0
            );
            assert!(found.1 == expected.1, "{name}: stats in pieces of {bytes}");
        }
    }
}

#[test]
fn repeated_and_out_of_order() {
    for (name, segments) in streams() {
        let expected = essence(&segments);
        for bytes in [5, 100] {
            let mut mixed = Vec::new();
            for segment in &segments {
                let mut cut = pieces(segment, bytes, bytes);
                // Each window of eight comes backwards, and its last segment twice.
                for window in cut.chunks_mut(8) {
                    window.reverse();
                    mixed.extend_from_slice(window);
                    mixed.extend(window.last().cloned());
                }
            }
            if mixed.iter().any(|segment| segment.syn) {
                let found = essence(&mixed);
                assert!(
                    found.0 == expected.0,
                    "{name}: {bytes}\n{:#?}\n{:#?}",
                    expected.0,
                    found.0
                );
            }
        }
    }
}

fn arbitrary_segments() -> impl Strategy<Value = Vec<(bool, u64, Vec<u8>, u32, u32)>> {
    let seeds: Vec<Vec<u8>> = cases::all()
        .into_iter()
        .flat_map(|(_, folder)| cases::input(&folder).segments)
        .map(|segment| segment.payload.into_iter().take(2000).collect())
        .collect();
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        (proptest::sample::select(seeds), any::<u64>(), 0..20usize).prop_map(
            |(mut seed, flips, count)| {
                for flip in 0..count {
                    let place = (flips.rotate_left(flip as u32 * 7) as usize) % seed.len().max(1);
                    if let Some(byte) = seed.get_mut(place) {
                        *byte = byte.wrapping_add(flips as u8 | 1);
                    }
                }
                seed
            }
        ),
    ];
    proptest::collection::vec((any::<bool>(), 0..400_000_000u64, bytes, 0..3u32, 0..40u32), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_nothing_is_kept(parts in arbitrary_segments(), udp in any::<bool>()) {
        let model = cases::input(&cases::all()[0].1).segments[0].clone();
        let (mut seqs, mut time_ns) = ([u32::MAX - 500, 0], 0);
        let mut segments = Vec::new();
        for (from_server, wait_ns, payload, cut, jump) in parts {
            let side = usize::from(from_server);
            time_ns += wait_ns;
            let wire_bytes = payload.len() as u32 + cut * 1000;
            let mut segment = model.clone();
            segment.time_ns = time_ns;
            segment.syn = false;
            segment.seq = (!udp).then_some(seqs[side]);
            if from_server {
                std::mem::swap(&mut segment.source, &mut segment.target);
            }
            seqs[side] = seqs[side].wrapping_add(wire_bytes + if jump > 36 { jump } else { 0 });
            segment.payload = payload;
            segment.wire_bytes = wire_bytes;
            segments.push(segment);
        }
        let outcome = driver::run(&segments, Config::replay());
        prop_assert_eq!(outcome.left, (0, 0));
        let again = driver::run(&segments, Config::replay());
        prop_assert!(outcome.records == again.records && outcome.stats == again.stats);
    }
}
