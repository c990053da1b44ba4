//! What is none of ours is taken for nothing: every kind of noise, as much as a daily test has time
//! for. `cargo run --release -p l7 --example misread` does the same with millions.

use crate::noise::KINDS;

/// Of each kind.
const SEGMENTS: u64 = 10_000;

#[test]
fn noise_is_taken_for_nothing() {
    let mut wrong = Vec::new();
    for kind in KINDS {
        let misread = kind.measure(SEGMENTS, 0x9e37_79b9_7f4a_7c15);
        assert!(misread.segments >= SEGMENTS, "{}: looked at too few", kind.name);
        wrong.extend(
            misread
                .taken
                .into_iter()
                .map(|taken| (kind.name, taken.protocol.name(), taken.segments)),
        );
    }
    assert!(wrong.is_empty(), "{wrong:x?}");
}
