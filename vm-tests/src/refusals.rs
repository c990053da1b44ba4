//! What the agent says where the kernel refuses something to it.
//!
//! In: the guest, after all other cases. Out: a verdict each. The last cannot be undone before the
//! next boot.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::agent;

const SETARCH: &str = "/usr/bin/setarch";
const BUSYBOX: &str = "/bin/busybox";
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
/// What is mounted where, and by which words again.
const MOUNTS: [(&str, &str); 2] =
    [("tracefs", "/sys/kernel/tracing"), ("debugfs", "/sys/kernel/debug")];

/// Neither tracefs nor debugfs is mounted: the agent has a tracefs of its own (from 5.2 on), or says
/// what to do.
pub fn without_tracefs() -> Result<()> {
    for (_, place) in MOUNTS {
        // One that the kernel does not have was not mounted.
        let _ = busybox(&["umount", "-l", place]);
    }
    let report = check();
    for (kind, place) in MOUNTS {
        let _ = busybox(&["mount", "-t", kind, kind, place]);
    }
    let report = report?;
    let hooks = report["hooks"].as_array().context("no hooks")?;
    if !hooks.is_empty() && hooks.iter().all(|hook| hook["attached"] == true) {
        return Ok(());
    }
    let why = report["why"].as_str().unwrap_or_default();
    ensure!(report["tier"].is_null() && why.contains("tracefs"), "it says: {why}");
    let requirements = report["requirements"].as_array().context("no requirements")?;
    let advice =
        requirements.iter().find(|one| one["feature"] == "tracefs").context("no tracefs")?;
    let advice = advice["how_to_get"].as_str().unwrap_or_default();
    ensure!(advice.contains("mount -t tracefs"), "it advises: {advice}");
    let again = check()?;
    ensure!(!again["tier"].is_null(), "mounted again, it says: {}", again["why"]);
    Ok(())
}

/// The agent is told that the kernel is 2.6: what it does is the same. `None`: no `setarch` here.
pub fn old_version() -> Option<Result<()>> {
    Path::new(SETARCH).exists().then(|| {
        let plain = check()?;
        let words = [SETARCH, std::env::consts::ARCH, "--uname-2.6"];
        let told: Value = serde_json::from_str(&agent::check_by(&words)?)?;
        ensure!(told["hooks"] == plain["hooks"], "{}, not {}", told["why"], plain["why"]);
        ensure!(told["tls"] == plain["tls"], "TLS: {}", told["tls"]);
        Ok(())
    })
}

/// The kernel lets nobody read its memory any more; `None`: it cannot be told to.
pub fn lockdown() -> Option<Result<()>> {
    let _ = busybox(&["mount", "-t", "securityfs", "security", "/sys/kernel/security"]);
    std::fs::write(LOCKDOWN, "confidentiality").ok()?;
    Some(check().and_then(|report| {
        let why = report["why"].as_str().unwrap_or_default();
        ensure!(report["tier"].is_null() && why.contains("lockdown"), "it says: {why}");
        Ok(())
    }))
}

fn check() -> Result<Value> {
    serde_json::from_str(&agent::check()?).context("no JSON")
}

fn busybox(words: &[&str]) -> Result<()> {
    let status = Command::new(BUSYBOX).args(words).status().context(BUSYBOX)?;
    ensure!(status.success(), "{words:?}: {status}");
    Ok(())
}
