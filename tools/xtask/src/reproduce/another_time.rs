//! Another time of day for what builds run, by a library that is loaded before all others.
//!
//! In: its source, a folder for it. Out: the library, and what makes programs load it. Never: another
//! time for programs that load no libraries (clang, whose dates are set by `SOURCE_DATE_EPOCH`), or for
//! what a file system writes down.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

const SOURCE: &str = "tools/ship/another-time.c";
/// How much later it is: more than a year, another hour, minute and second.
const LATER_S: u64 = 34_567_890;
/// Two looks at the clock may be this far apart.
const APART_S: u64 = 600;
/// Where a sandbox has the library.
const INSIDE: &str = "/another-time.so";

/// The library.
pub struct AnotherTime {
    library: PathBuf,
}

impl AnotherTime {
    /// Compiles it into a folder.
    pub fn compile(root: &Path, folder: &Path) -> Result<Self> {
        let library = folder.join("another-time.so");
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O2", &format!("-DLATER_S={LATER_S}"), "-o"]);
        let output = command.arg(&library).arg(root.join(SOURCE)).output().context("cc")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{SOURCE}: {}", said.trim());
        Ok(Self { library })
    }

    /// The variable that makes a program and all that it starts load it.
    pub fn variable(&self) -> (&'static str, &Path) {
        ("LD_PRELOAD", &self.library)
    }

    /// Words for Nix, whose builders see no variable of ours: its sandbox gets the library, and a file
    /// which says that all load it.
    pub fn in_sandbox(&self) -> Result<[String; 3]> {
        let list = self.library.with_file_name("ld.so.preload");
        fs::write(&list, format!("{INSIDE}\n"))?;
        let paths =
            format!("{INSIDE}={} /etc/ld.so.preload={}", self.library.display(), list.display());
        Ok(["--option".to_owned(), "extra-sandbox-paths".to_owned(), paths])
    }

    /// Holds what a `date +%s` told, where the library should have been loaded, to the other time.
    pub fn ensure_told(&self, seconds: &str) -> Result<()> {
        let told: u64 = seconds.trim().parse().with_context(|| format!("{seconds:?}: no time"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        ensure!(
            told.abs_diff(now + LATER_S) < APART_S,
            "the time of day is not another where it is built: {told} s, here {now} s"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix;

    #[test]
    fn nix_builds_at_another_time() {
        if let Some(why) = crate::reproduce::lacks_nix(Path::new("/")) {
            println!("not run: {why}");
            return;
        }
        let site = tempfile::tempdir().expect("a folder");
        let time = AnotherTime::compile(&crate::generate::root(), site.path()).expect("compiled");
        let told = nix::in_sandbox("/bin/date +%s > $out", &time.in_sandbox().expect("words"));
        time.ensure_told(&told.expect("a date")).expect("another time");
    }

    #[test]
    fn programs_that_load_it_have_another_time_and_only_they() {
        let site = tempfile::tempdir().expect("a folder");
        let time = AnotherTime::compile(&crate::generate::root(), site.path()).expect("compiled");
        let date = |command: &mut Command| {
            let output = command.arg("+%s").output().expect("date");
            String::from_utf8(output.stdout).expect("a number")
        };
        let (name, value) = time.variable();
        let shifted = date(Command::new("date").env(name, value));
        time.ensure_told(&shifted).expect("another time");
        let told = time.ensure_told(&date(&mut Command::new("date"))).expect_err("the same");
        assert!(told.to_string().contains("is not another"), "{told}");
    }
}
