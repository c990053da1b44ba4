//! What `deepflow-agent --version` tells: what this program was made of.
//!
//! In: version, commit and BPF objects as they were when it was compiled. Out: a text that is the
//! same wherever and whenever it was built. Never: a date, a path, a name of the build machine.

use std::sync::LazyLock;

use source::bpf::{DIGESTS, Tier};

/// Commit of the source; builds that are not shipped do not know it.
const REVISION: &str = match option_env!("DEEPFLOW_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let tiers: Vec<&str> = Tier::ALL.iter().map(|tier| tier.name()).collect();
    let mut text = format!(
        "{}\nrevision {REVISION}\ntarget {} {}\ntiers {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        if cfg!(target_env = "musl") { "static" } else { "dynamic" },
        tiers.join(" ")
    );
    for (object, sha256) in DIGESTS {
        text.push_str(&format!("\nobject {object} sha256 {sha256}"));
    }
    text
});

/// The text, without the program's name.
pub fn text() -> &'static str {
    &TEXT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_revision_tiers_and_objects() {
        let lines: Vec<&str> = text().lines().collect();
        assert_eq!(lines[0], env!("CARGO_PKG_VERSION"));
        assert!(lines[1].starts_with("revision ") && lines[3] == "tiers v510 v310");
        let objects: Vec<&&str> = lines.iter().filter(|line| line.starts_with("object ")).collect();
        assert_eq!(objects.len(), 3);
        assert!(objects.iter().all(|line| line.split(' ').nth(3).is_some_and(|d| d.len() == 64)));
        assert!(!text().contains('/'), "a path in {}", text());
    }
}
