//! One boot under QEMU.
//!
//! In: a kernel image, a root. Out: the lines of the guest that begin with `VM `, and the end of
//! the console for a human. Never: a network, a disk, a guest that outlives its time.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cross::Arch;

/// Lines of the console that are shown when a guest did not come to its end.
const TAIL_LINES: usize = 25;

/// What a boot left.
pub struct Boot {
    /// What the guest said, without the `VM `.
    pub said: Vec<String>,
    /// Last lines of the console.
    pub tail: String,
    /// From power-on to power-off.
    pub took: Duration,
}

/// Boots and waits for the end, at most `limit`.
pub fn boot(arch: Arch, image: &Path, root: &Path, limit: Duration) -> Result<Boot> {
    let console = root.with_extension("console");
    let program = format!("qemu-system-{}", arch.name());
    let mut command = Command::new(&program);
    command
        .args(["-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024", "-nodefaults"])
        .args(["-no-reboot", "-display", "none", "-kernel"])
        .arg(image)
        .arg("-initrd")
        .arg(root)
        .arg("-serial")
        .arg(format!("file:{}", console.display()));
    let terminal = match arch {
        Arch::X86_64 => {
            command.args(["-cpu", "max"]);
            "ttyS0"
        }
        Arch::Aarch64 => {
            command.args(["-M", "virt", "-cpu", "cortex-a72"]);
            "ttyAMA0"
        }
    };
    command.arg("-append").arg(format!("console={terminal} quiet panic=-1"));
    let begin = Instant::now();
    let mut child = command.stdin(Stdio::null()).spawn().with_context(|| {
        format!("{program}: install the packages qemu-system-x86, qemu-system-arm")
    })?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if begin.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    if status.is_some_and(|status| !status.success()) {
        bail!("{program} ended with {status:?}");
    }
    let bytes = std::fs::read(&console).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace('\r', "");
    let said =
        text.lines().filter_map(|line| line.strip_prefix("VM ")).map(str::to_owned).collect();
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    Ok(Boot { said, tail, took: begin.elapsed() })
}
