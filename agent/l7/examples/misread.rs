//! How often noise is taken for a protocol: `cargo run --release -p l7 --example misread
//! [segments-of-each-kind [seed]]`, two million of each by default.
//!
//! Ends with an error when more than one segment in a million was misread.

#[path = "../tests/l7/noise.rs"]
mod noise;

use std::collections::BTreeMap;
use std::process::ExitCode;

const SEGMENTS: u64 = 2_000_000;
/// Misread conversations that are printed.
const SHOWN: usize = 5;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).filter_map(|word| word.parse().ok());
    let segments = words.next().unwrap_or(SEGMENTS);
    let seed = words.next().unwrap_or(0x5bd1_e995_9e37_79b9);
    let mut is_well = true;
    for kind in noise::KINDS {
        let misread = kind.measure(segments, seed);
        let rate = misread.taken.len() as f64 * 1e6 / misread.segments as f64;
        is_well &= rate <= 1.0;
        let mut by_protocol: BTreeMap<&str, u64> = BTreeMap::new();
        for taken in &misread.taken {
            *by_protocol.entry(taken.protocol.name()).or_default() += 1;
        }
        println!(
            "{:<30} {:>9} segments, {:>5} misread, {rate:.2} in a million {by_protocol:?}",
            kind.name,
            misread.segments,
            misread.taken.len()
        );
        for taken in misread.taken.iter().take(SHOWN) {
            println!("    {}", taken.protocol.name());
            for (from_server, bytes) in &taken.segments {
                println!(
                    "        {} {}",
                    if *from_server { "server" } else { "client" },
                    hex(bytes)
                );
            }
        }
    }
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
