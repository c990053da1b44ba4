//! One boot under QEMU.
//!
//! In: a kernel image, a root. Out: the lines of the guest that begin with `VM `, and the end of
//! the console for a human. Never: a network, a disk, a guest that outlives its time.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cross::Arch;

/// Lines of the console that are shown when a guest did not come to its end.
const TAIL_LINES: usize = 60;

/// What a boot left.
pub struct Boot {
    /// What the guest said, without the `VM `.
    pub said: Vec<String>,
    /// Last lines of the console.
    pub tail: String,
    /// From power-on to power-off.
    pub took: Duration,
    /// It had to be switched off.
    pub was_killed: bool,
}

/// The processor that an image is for, by its header (Documentation/arch/x86/boot.rst and
/// Documentation/arch/arm64/booting.rst of the kernel).
pub fn arch_of(image: &Path) -> Result<Arch> {
    let mut head = [0; 0x206];
    let file = std::fs::File::open(image).and_then(|mut file| file.read_exact(&mut head));
    file.with_context(|| image.display().to_string())?;
    if &head[0x202..0x206] == b"HdrS" {
        return Ok(Arch::X86_64);
    }
    // An image for arm64 may be packed by gzip.
    if &head[56..60] == b"ARMd" || head[..2] == [0x1f, 0x8b] {
        return Ok(Arch::Aarch64);
    }
    bail!("{} is neither a bzImage nor an Image of arm64: say --arch", image.display())
}

/// Longest time until the guest says its first word, on a busy machine.
const FIRST_WORD: Duration = Duration::from_secs(90);

/// Processors that are tried, in this order, until a guest says its first word. The plainest stands
/// first: a kernel that knows only half of a newer feature may not start a program with it (SMAP of
/// a 3.10 without CONFIG_X86_SMAP). The processor's random numbers, so that no program waits for
/// the kernel to have gathered its own (4.18 and 4.19: minutes).
const fn processors(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &["qemu64,+rdrand", "max"],
        Arch::Aarch64 => &["cortex-a72", "max"],
    }
}

/// Boots and waits for the end, at most `limit`. A guest that stays silent is booted again with
/// another processor.
pub fn boot(arch: Arch, image: &Path, root: &Path, limit: Duration) -> Result<Boot> {
    let mut last = None;
    for processor in processors(arch) {
        let boot = boot_on(arch, processor, image, root, limit)?;
        if !boot.said.is_empty() {
            return Ok(boot);
        }
        println!("vm: {} says nothing with the processor {processor}", image.display());
        last = Some(boot);
    }
    last.context("no processor")
}

fn boot_on(
    arch: Arch,
    processor: &str,
    image: &Path,
    root: &Path,
    limit: Duration,
) -> Result<Boot> {
    let console = root.with_extension("console");
    let _ = std::fs::remove_file(&console);
    let program = format!("qemu-system-{}", arch.name());
    let mut command = Command::new(&program);
    command
        .args(["-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024", "-nodefaults"])
        .args(["-no-reboot", "-display", "none", "-cpu", processor, "-kernel"])
        .arg(image)
        .arg("-initrd")
        .arg(root)
        .arg("-serial")
        .arg(format!("file:{}", console.display()));
    let terminal = match arch {
        // Time comes from the HPET. How fast the time-stamp counter runs the kernel measures while it
        // boots, on a busy machine wrongly: its clock then ran 19 times too fast, and what waits two
        // minutes gave up after six seconds. The counter is not verified either: 7.2 hangs over that
        // (`watchdog_check_skew` waits with interrupts off for a CPU that waits for this one in
        // `multi_cpu_stop`, by a clock that stands still meanwhile), in 1 boot of 16.
        Arch::X86_64 => "ttyS0 tsc=reliable clocksource=hpet",
        Arch::Aarch64 => {
            command.args(["-M", "virt"]);
            "ttyAMA0"
        }
    };
    // A file of tmpfs has no page that kernels before 3.15 could put a hook of user space in.
    let words = "quiet panic=-1 rootfstype=ramfs";
    command.arg("-append").arg(format!("console={terminal} {words}"));
    let begin = Instant::now();
    let mut child = command.stdin(Stdio::null()).spawn().with_context(|| {
        format!("{program}: install the packages qemu-system-x86, qemu-system-arm")
    })?;
    let mut spoke = false;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        let limit = if spoke { limit } else { limit.min(FIRST_WORD) };
        if begin.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(100));
        spoke = spoke || said(&console).next().is_some();
    };
    if status.is_some_and(|status| !status.success()) {
        bail!("{program} ended with {status:?}");
    }
    let said = said(&console).collect();
    let text = console_text(&console);
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    Ok(Boot { said, tail, took: begin.elapsed(), was_killed: status.is_none() })
}

fn console_text(console: &Path) -> String {
    let bytes = std::fs::read(console).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\r', "")
}

/// Lines of the guest.
fn said(console: &Path) -> impl Iterator<Item = String> {
    let text = console_text(console);
    let lines: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("VM ")).map(str::to_owned).collect();
    lines.into_iter()
}
