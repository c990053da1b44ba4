//! `unsafe` stands only where memory is shared with the kernel or with a C library (and in tests
//! that count allocations or call the kernel), and says why.
//!
//! In: Rust files. Out: `unsafe` outside of the allowed folders, and `unsafe` inside of them
//! without a `// SAFETY:` comment just above.

use super::Finding;
use super::tree::{Language, Tree};

/// Rings, sockets and BPF objects; the storage library's C interface; a guest that is only a test.
const ALLOWED: [&str; 3] = ["agent/source/", "server/store/", "vm-tests/"];
/// How far above the comment may begin.
const COMMENT_LINES: usize = 8;

/// `unsafe` in the wrong place or without its reason.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.language == Language::Rust) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (at, line) in file.code.lines().enumerate() {
            if !line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
            {
                continue;
            }
            let above = &lines[at.saturating_sub(COMMENT_LINES)..=at];
            let is_test = file.path.contains("/tests/") || file.path.contains("/examples/");
            if !is_test && !ALLOWED.iter().any(|folder| file.path.starts_with(folder)) {
                let message = "unsafe is kept to agent/source, server/store and tests";
                findings.push(Finding::new(&file.path, at + 1, message));
            } else if needs_reason(line)
                && !above.iter().any(|text| text.contains("SAFETY:") || text.contains("# Safety"))
            {
                let message = "unsafe without `// SAFETY:` above it: say what makes it sound";
                findings.push(Finding::new(&file.path, at + 1, message));
            }
        }
    }
    findings
}

/// Types of foreign functions (`unsafe extern "C" fn(…)`) do nothing by themselves, nor do names
/// of exported ones.
fn needs_reason(line: &str) -> bool {
    !line.contains("unsafe extern") && !line.contains("#[unsafe(no_mangle)]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_needs_its_place_and_its_reason() {
        let reasoned = "fn a() {\n// SAFETY: the pointer is ours.\nunsafe { b() }\n}";
        let bare = "fn a() { unsafe { b() } }";
        assert_eq!(check(&Tree::of(&[("agent/flow/src/lib.rs", reasoned)])).len(), 1);
        assert_eq!(check(&Tree::of(&[("agent/source/src/ring.rs", bare)])).len(), 1);
        assert!(check(&Tree::of(&[("agent/source/src/ring.rs", reasoned)])).is_empty());
        assert!(check(&Tree::of(&[("agent/flow/tests/allocs.rs", reasoned)])).is_empty());
        assert_eq!(check(&Tree::of(&[("agent/flow/tests/allocs.rs", bare)])).len(), 1);
        let pointer = "type F = unsafe extern \"C\" fn(u8);";
        assert!(check(&Tree::of(&[("server/store/src/ffi.rs", pointer)])).is_empty());
        assert!(check(&Tree::of(&[("agent/flow/src/a.rs", "// unsafe is not here\n")])).is_empty());
    }
}
