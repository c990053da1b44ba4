//! Conversations of `agent/l7/testdata`, as scripts of the conversation target.

#[path = "../../../agent/l7/tests/l7/pcap.rs"]
#[expect(dead_code, reason = "only the type of a segment is used here")]
mod pcap;
#[path = "../../../agent/l7/tests/l7/policies.rs"]
mod policies;
#[path = "../../../agent/l7/tests/l7/script.rs"]
#[expect(dead_code, reason = "records are not printed here")]
mod script;

use std::path::{Path, PathBuf};

use schema::L7Protocol;

use self::script::Script;
use crate::conversation::{self, manner, setup};

/// Longer scripts are left out: mutating them finds nothing in the time there is.
const BYTES_MAX: usize = 64 << 10;
/// Longest payload of a piece.
const PIECE_BYTES_MAX: usize = u16::MAX as usize;

/// Every case in which this protocol (or any) reads something.
pub(crate) fn conversations(protocol: Option<L7Protocol>) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/l7/testdata");
    let mut cases: Vec<PathBuf> = folders(&root).iter().flat_map(|one| folders(one)).collect();
    cases.sort();
    let scripts = cases.iter().filter_map(|case| {
        let text = std::fs::read_to_string(case.join("input.txt")).ok()?;
        let input = encode(&Script::parse(&text));
        (input.len() <= BYTES_MAX).then_some(input)
    });
    scripts.filter(|input| conversation::reads_something(protocol, input)).collect()
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).expect("agent/l7/testdata");
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect()
}

fn encode(script: &Script) -> Vec<u8> {
    let is_udp = script.segments.iter().any(|segment| segment.seq.is_none());
    let has_syn = script.segments.iter().any(|segment| segment.syn);
    let mut out = vec![match (is_udp, has_syn) {
        (true, _) => setup::UDP,
        (false, true) => 0,
        (false, false) => setup::MIDDLE | setup::GUESSED,
    }];
    let client = script.segments.first().map(|segment| segment.source);
    let mut next = [None; 2];
    for segment in script.segments.iter().filter(|segment| !segment.payload.is_empty()) {
        let side = u8::from(Some(segment.source) != client);
        let expected = &mut next[usize::from(side)];
        let manner = if segment.wire_bytes as usize > segment.payload.len() {
            manner::CUT
        } else if expected.is_some() && *expected != segment.seq {
            manner::GAP
        } else {
            manner::WHOLE
        };
        *expected = segment.seq.map(|seq| seq.wrapping_add(segment.wire_bytes));
        for payload in segment.payload.chunks(PIECE_BYTES_MAX) {
            out.push(side | manner << 1 | 1 << 4);
            out.extend((payload.len() as u16).to_le_bytes());
            out.extend_from_slice(payload);
        }
    }
    out
}
