//! Where a goroutine has its number, and whether its parent can be known, by version of Go.
//!
//! In: a version. Out: an offset in `runtime.g`. Never: a guess for a version that nobody looked at.

use super::build_info::minor;

/// First and last version, and the offset of `goid`. By runtime/runtime2.go: `syscallbp` came before it
/// with 1.23; `ret` went out of `gobuf`, which stands before it, with 1.25. By DWARF of programs built
/// with them: 1.15, 1.19, 1.24, 1.25, 1.26, 1.27.
const GOID: [(u32, u32, u32); 3] = [(13, 22, 152), (23, 24, 160), (25, 27, 152)];
/// The first version whose `runtime.newproc1` gives the new goroutine where it is looked for.
const BIRTHS: u32 = 15;

/// Where the number is. unit byte
pub fn goid_at(version: &str) -> Option<u32> {
    let minor = minor(version)?;
    let known = GOID.iter().find(|(first, last, _)| (*first..=*last).contains(&minor));
    known.map(|(.., offset)| *offset)
}

/// Whether it is known how goroutines are begun.
pub fn tells_births(version: &str) -> bool {
    goid_at(version).is_some() && minor(version).is_some_and(|minor| minor >= BIRTHS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_nobody_looked_at_have_none() {
        assert_eq!(goid_at("1.12.1"), None);
        assert_eq!(goid_at("1.19.8"), Some(152));
        assert_eq!(goid_at("1.23"), Some(160));
        assert_eq!(goid_at("1.25.1"), Some(152));
        assert_eq!(goid_at("1.27.3"), Some(152));
        assert_eq!(goid_at("1.28"), None);
        let known = ["1.14.2", "1.15.15", "1.27.3", "1.28"].map(tells_births);
        assert_eq!(known, [false, true, true, false]);
    }
}
