//! Words that may not stand in the tree: unfinished work, tests switched off, facts kept in step
//! by hand, and addresses that things are downloaded from.
//!
//! In: the tree. Out: each line with such a word. The words are put together from parts here, so
//! that this file does not find itself.

use super::Finding;
use super::tree::{Language, SourceFile, Tree};

/// Lines with a forbidden word.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let hosts = registry_hosts();
    let mut findings = Vec::new();
    for file in &tree.files {
        if !file.is_vendored() {
            unfinished(file, &mut findings);
        }
        addresses(file, &hosts, &mut findings);
    }
    findings
}

fn unfinished(file: &SourceFile, findings: &mut Vec<Finding>) {
    let prose = [["FIX", "ME"].concat(), ["X", "XX"].concat(), ["TO", "DO"].concat()];
    let code =
        [["todo", "!("].concat(), ["unimplemented", "!("].concat(), ["#[ig", "nore"].concat()];
    let sync = [["keep in ", "sync"].concat(), ["keep ", "synchron"].concat()];
    let is_source = file.language != Language::Other || file.path.ends_with(".toml");
    for (at, line) in file.text.lines().enumerate() {
        let mut report = |message: String| {
            findings.push(Finding::new(&file.path, at + 1, message));
        };
        if is_source && let Some(word) = prose.iter().find(|word| has_word(line, word)) {
            report(format!("{word}: finish it, or say in an issue what is missing"));
        }
        let lower = line.to_ascii_lowercase();
        if is_source && sync.iter().any(|words| lower.contains(words.as_str())) {
            report("a fact written twice: define it once in schema/ and generate".to_owned());
        }
    }
    if file.language != Language::Rust {
        return;
    }
    for (at, line) in file.code.lines().enumerate() {
        if let Some(word) = code.iter().find(|word| line.contains(word.as_str())) {
            let message = format!("{word}…: no unfinished code and no test that does not run");
            findings.push(Finding::new(&file.path, at + 1, message));
        }
    }
}

fn addresses(file: &SourceFile, hosts: &[String], findings: &mut Vec<Finding>) {
    // Cargo writes the name of its index into its lock file itself.
    let is_cargo_lock = file.path.ends_with("Cargo.lock");
    for (at, line) in file.text.lines().enumerate() {
        let lower = line.to_ascii_lowercase();
        if !is_cargo_lock
            && let Some(host) = hosts.iter().find(|host| lower.contains(host.as_str()))
        {
            let message = format!("names the registry host {host}: use the client's own default");
            findings.push(Finding::new(&file.path, at + 1, message));
        } else if is_download(&lower) {
            let message = "a download address: bring it by package name".to_owned();
            findings.push(Finding::new(&file.path, at + 1, message));
        }
    }
}

/// Hosts of package registries, in lower case.
fn registry_hosts() -> Vec<String> {
    let parts: [&[&str]; 14] = [
        &["crates", "io"],
        &["pypi", "org"],
        &["pythonhosted", "org"],
        &["npmjs", "org"],
        &["npmjs", "com"],
        &["yarnpkg", "com"],
        &["deb", "debian", "org"],
        &["security", "debian", "org"],
        &["snapshot", "debian", "org"],
        &["proxy", "golang", "org"],
        &["rubygems", "org"],
        &["docker", "io"],
        &["ghcr", "io"],
        &["static", "rust-lang", "org"],
    ];
    parts.iter().map(|labels| labels.join(".")).collect()
}

fn is_download(line: &str) -> bool {
    const ENDINGS: [&str; 9] =
        [".tar.gz", ".tar.xz", ".tar.zst", ".tgz", ".zip", ".whl", ".deb", ".rpm", ".crate"];
    line.split(|c: char| c.is_whitespace() || "\"'`<>()".contains(c)).any(|word| {
        let address = word.contains("http://") || word.contains("https://");
        address && ENDINGS.iter().any(|ending| word.ends_with(ending))
    })
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_letter =
            |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        let bytes = line.as_bytes();
        !is_letter(at.checked_sub(1).and_then(|before| bytes.get(before)))
            && !is_letter(bytes.get(at + word.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn unfinished_work_is_found() {
        assert_eq!(count("a.rs", &["// FIX", "ME later"].concat()), 1);
        assert_eq!(count("a.rs", &["fn a() { to", "do!() }"].concat()), 1);
        assert_eq!(count("a.rs", &["#[ig", "nore]\nfn a() {}"].concat()), 1);
        assert_eq!(count("a.rs", &["// Keep in ", "sync with b"].concat()), 1);
        assert_eq!(count("a.rs", "let template = \"name.XXXXXX\"; // done"), 0);
    }

    #[test]
    fn addresses_are_found() {
        assert_eq!(count("a.md", &["see https://crates", ".io/x"].concat()), 1);
        assert_eq!(count("package-lock.json", &["https://registry.npmjs", ".org/x"].concat()), 1);
        assert_eq!(count("a.sh", &["curl https://example.net/a.tar", ".gz"].concat()), 1);
        assert_eq!(count("Cargo.lock", &["registry+https://x/crates", ".io-index"].concat()), 0);
        assert_eq!(count("a.md", "https://www.rfc-editor.org/rfc/rfc9112"), 0);
    }
}
