//! Lists the files of `server/ui` that the browser loads in a table with their contents.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Files and folders of `server/ui` that are served; the rest is for its development.
const SERVED: [&str; 6] = ["index.html", "icon.svg", "src", "style", "vendor", "generated"];

fn main() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../ui");
    let mut files = Vec::new();
    for name in SERVED {
        let path = root.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        collect(&path, &mut files);
    }
    files.sort();
    let mut code = String::from("const FILES: &[(&str, &[u8])] = &[\n");
    for file in files {
        let name = file.strip_prefix(&root).expect("it is below").display().to_string();
        let file = file.display().to_string();
        writeln!(code, "    ({name:?}, include_bytes!({file:?})),").expect("write to a string");
    }
    code.push_str("];\n");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("assets.rs");
    fs::write(out, code).expect("write the list");
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        files.push(path.to_owned());
    }
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries {
        collect(&entry.expect("entry of a folder").path(), files);
    }
}
