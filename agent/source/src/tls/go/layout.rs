//! Where a goroutine has its number, by version of Go.
//!
//! In: a version. Out: an offset in `runtime.g`. Never: a guess for a version that nobody looked at.

use super::build_info::minor;

/// First and last version, and the offset of `goid`. By runtime/runtime2.go: `syscallbp` came before it
/// with 1.23; `ret` went out of `gobuf`, which stands before it, by 1.26. What 1.25 has is not known here.
/// By DWARF of programs built with them: 1.19, 1.24, 1.26, 1.27; 1.15 by its numbers.
const GOID: [(u32, u32, u32); 3] = [(13, 22, 152), (23, 24, 160), (26, 27, 152)];

/// Where the number is. unit byte
pub fn goid_at(version: &str) -> Option<u32> {
    let minor = minor(version)?;
    let known = GOID.iter().find(|(first, last, _)| (*first..=*last).contains(&minor));
    known.map(|(.., offset)| *offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_nobody_looked_at_have_none() {
        assert_eq!(goid_at("1.12.1"), None);
        assert_eq!(goid_at("1.19.8"), Some(152));
        assert_eq!(goid_at("1.23"), Some(160));
        assert_eq!(goid_at("1.25.1"), None);
        assert_eq!(goid_at("1.27.3"), Some(152));
        assert_eq!(goid_at("1.28"), None);
    }
}
