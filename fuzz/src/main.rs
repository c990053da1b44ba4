//! `fuzz --target=NAME [libFuzzer option…] [FOLDER…]`: one target under libFuzzer, built with
//! coverage by `cargo xtask fuzz`.

#![no_main]

use std::sync::OnceLock;

use fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

/// The target that the command line names.
fn target() -> &'static Target {
    TARGET.get_or_init(|| {
        let name =
            std::env::args().find_map(|word| Some(word.strip_prefix("--target=")?.to_owned()));
        name.as_deref().and_then(Target::find).expect("--target=NAME; `corpus list` lists names")
    })
}

fuzz_target!(init: { target(); }, |data: &[u8]| {
    target().run(data);
});
