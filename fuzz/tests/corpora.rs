//! Every input of every corpus, and every seed, keeps the properties of its target: what fuzzing
//! has found once stays found, without libFuzzer or instrumentation.

use fuzz::{Target, corpus};

/// Corpora together, so that a clone stays small.
const PACKED_BYTES_MAX: u64 = 2 << 20;

fn replay(wanted: impl Fn(&str) -> bool) -> usize {
    let mut inputs = 0;
    for target in Target::all().into_iter().filter(|target| wanted(target.name())) {
        let seeds = target.seeds();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name());
        for input in seeds.into_iter().chain(corpus::load(target.name()).expect("a corpus")) {
            target.run(&input);
            inputs += 1;
        }
    }
    inputs
}

#[test]
fn stages() {
    assert!(replay(|name| !name.starts_with("l7")) >= 50);
}

#[test]
fn conversations() {
    assert!(replay(|name| name.starts_with("l7")) >= 100);
}

#[test]
fn corpora_are_small_and_each_is_of_a_target() {
    let folder = corpus::path("wire").parent().expect("a folder").to_owned();
    let mut packed_bytes = 0;
    for entry in std::fs::read_dir(folder).expect("the corpora") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(Target::find(&name).is_some(), "{name} is no target: delete its corpus");
        packed_bytes += path.metadata().expect("a file").len();
    }
    assert!(packed_bytes <= PACKED_BYTES_MAX, "{packed_bytes} bytes of corpora");
}
