//! Where `libchdb.so` may be.
//!
//! In: the environment's hint, the place of the running program. Out: the first file that exists,
//! or the list of places looked at. Never: a download.

use std::path::{Path, PathBuf};

/// File name of the library.
pub const LIBRARY: &str = "libchdb.so";

/// Folder of the library's npm package inside a `node_modules`.
const PACKAGE: &str = if cfg!(target_arch = "aarch64") {
    "@chdb/lib-linux-arm64-gnu"
} else {
    "@chdb/lib-linux-x64-gnu"
};

/// Finds the library. `hint` is the value of `DEEPFLOW_LIBCHDB`, if it is set.
///
/// # Errors
/// The places looked at, when it is in none of them.
pub fn find(hint: Option<&Path>, program: Option<&Path>) -> Result<PathBuf, Vec<PathBuf>> {
    let places = places(hint, program);
    match places.iter().find(|place| place.is_file()) {
        Some(found) => Ok(found.clone()),
        None => Err(places),
    }
}

/// Places in order: the hint alone if there is one; next to the program; the folder of the
/// system package; the source tree's engine folder, seen from the program and as built.
fn places(hint: Option<&Path>, program: Option<&Path>) -> Vec<PathBuf> {
    if let Some(hint) = hint {
        let file = if hint.is_dir() { hint.join(LIBRARY) } else { hint.to_owned() };
        return vec![file];
    }
    let mut places = Vec::new();
    let folder = program.and_then(Path::parent);
    if let Some(folder) = folder {
        places.push(folder.join(LIBRARY));
    }
    places.push(Path::new("/usr/lib/deepflow").join(LIBRARY));
    let in_tree = Path::new("server/store/engine/node_modules").join(PACKAGE).join(LIBRARY);
    if let Some(folder) = folder {
        // target/release/deepflow-server and target/release/deps/test-binary.
        places.extend(folder.ancestors().skip(1).take(3).map(|root| root.join(&in_tree)));
    }
    #[cfg(not(shipped))]
    {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR"));
        places.push(built_from.join("engine/node_modules").join(PACKAGE).join(LIBRARY));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_is_the_only_place() {
        let looked = find(Some(Path::new("/nonexistent/libchdb.so")), None);
        assert_eq!(looked, Err(vec![PathBuf::from("/nonexistent/libchdb.so")]));
    }

    #[test]
    fn found_next_to_the_program() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::write(folder.path().join(LIBRARY), b"").expect("write");
        let program = folder.path().join("deepflow-server");
        assert_eq!(find(None, Some(&program)), Ok(folder.path().join(LIBRARY)));
    }
}
