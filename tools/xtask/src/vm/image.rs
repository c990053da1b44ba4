//! The agent out of an image, as a container runtime would unpack it.
//!
//! In: an OCI archive, of one architecture or of several. Out: the program that its entrypoint
//! names, out of the files of its layers. Never: a program that was built for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cross::Arch;
use crate::prerequisites::find;

/// Names that the layout and the bundle have below the folder.
const LAYOUT: &str = "layout:agent";
const BUNDLE: &str = "bundle";

/// Unpacks the archive below `folder`, which is made anew; gives the agent's place.
pub fn agent(archive: &Path, arch: Arch, folder: &Path) -> Result<PathBuf> {
    for tool in ["skopeo", "umoci"] {
        ensure!(find(tool).is_some(), "no {tool} here: it is Debian's package {tool}");
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let archive = archive.canonicalize().with_context(|| archive.display().to_string())?;
    let mut copy = Command::new("skopeo");
    copy.args(["--override-os", "linux", "--override-arch", arch.debian(), "copy", "--quiet"]);
    copy.arg(format!("oci-archive:{}", archive.display())).arg(format!("oci:{LAYOUT}"));
    run(copy.current_dir(folder))?;
    run(Command::new("umoci").args(["unpack", "--image", LAYOUT, BUNDLE]).current_dir(folder))?;
    entry(&folder.join(BUNDLE))
}

/// The program that a bundle of runc's starts.
fn entry(bundle: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(bundle.join("config.json")).context("config.json")?;
    let config: Value = serde_json::from_str(&text).context("config.json")?;
    let program = config["process"]["args"][0].as_str().context("the image starts nothing")?;
    let path = bundle.join("rootfs").join(program.trim_start_matches('/'));
    ensure!(path.is_file(), "{program} is in no layer of the image");
    Ok(path)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?}: {}", command.get_program(), said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_that_of_the_entrypoint_and_must_be_in_a_layer() {
        let bundle = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| {
            let path = bundle.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        };
        put("config.json", r#"{"process":{"args":["/usr/bin/agent","run"]}}"#);
        let told = entry(bundle.path()).expect_err("missing").to_string();
        assert!(told.contains("/usr/bin/agent is in no layer"), "{told}");
        put("rootfs/usr/bin/agent", "");
        let found = entry(bundle.path()).expect("found");
        assert_eq!(found, bundle.path().join("rootfs/usr/bin/agent"));
    }
}
