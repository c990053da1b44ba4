//! `deepflow-agent check`: what works on this kernel, and what does not and why.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};

use anyhow::{Context, Result};
use serde::Serialize;
use source::bpf::{BpfConfig, BpfSource, FileCalls, FileMode, HookReport, requirements};
use source::tls::{LibraryReport, TlsProbes};

use crate::cli::{self, CheckArguments};
use crate::config::Config;

const TLS_SETTING: &str = "inputs.ebpf.socket.uprobe.tls.enabled";
const FILE_SETTING: &str = "inputs.ebpf.file.io_event.collect_mode";
const GO_SETTING: &str = "inputs.ebpf.socket.uprobe.golang.enabled";

/// What `check` tells.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    kernel: String,
    architecture: &'static str,
    /// Tier of BPF objects that was loaded; none where BPF does not work.
    tier: Option<&'static str>,
    /// Where the places of kernel fields come from; empty where BPF does not work.
    offsets: &'static str,
    /// Why it is not the newest tier, or why there is none; empty if it is the newest.
    why: String,
    requirements: Vec<Requirement>,
    hooks: Vec<HookState>,
    /// Calls on files that take long.
    files: Capture,
    tls: Tls,
    packets: Capture,
}

#[derive(Debug, Serialize)]
struct Requirement {
    feature: &'static str,
    works: bool,
    why_not: String,
    how_to_get: &'static str,
}

#[derive(Debug, Serialize)]
struct HookState {
    hook: &'static str,
    mechanism: &'static str,
    attached: bool,
    reason: String,
}

/// Plaintext of TLS.
#[derive(Debug, Default, Serialize)]
struct Tls {
    works: bool,
    why_not: String,
    /// Why programs of Go cannot be read where others can; empty if they can.
    go_why_not: String,
    /// How functions of libraries are hooked; empty where they are not.
    mechanism: &'static str,
    /// Why not by a better mechanism; empty if it is the best.
    reason: String,
    /// Every library, and every program with one inside, that some process uses or could.
    libraries: Vec<TlsLibrary>,
}

#[derive(Debug, Serialize)]
struct TlsLibrary {
    path: String,
    library: String,
    functions: Vec<&'static str>,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Capture {
    works: bool,
    why_not: String,
}

/// Looks at everything by using it for a moment, and leaves nothing behind.
pub fn run(arguments: &CheckArguments) -> Result<()> {
    let host = metadata::host::read();
    let tier = arguments.tier.map(|tier| match tier {
        cli::Tier::V310 => source::bpf::Tier::V310,
        cli::Tier::V510 => source::bpf::Tier::V510,
    });
    let (tls_wanted, go, files) = match &arguments.config {
        Some(path) => {
            let sockets = Config::load(Some(path))?.0.sockets;
            (sockets.tls, sockets.go, sockets.files)
        }
        None => (true, true, FileCalls::default()),
    };
    let config = BpfConfig { tier, tls: tls_wanted, go, files, ..BpfConfig::default() };
    let mut of_files = Err("system calls are not watched".to_owned());
    let mut found_tls = Tls::default();
    let (tier, offsets, hooks, why) = match BpfSource::load(config) {
        Ok((mut source, hooks)) => {
            found_tls = tls(&mut source);
            of_files = match files.mode {
                FileMode::Off => Err(format!("{FILE_SETTING} is 0")),
                _ => source.files().map_err(str::to_owned),
            };
            let why = source.why_older().to_owned();
            (Some(source.tier().name()), source.offsets(), hooks, why)
        }
        Err(source::bpf::BpfError::NothingAttached(hooks)) => {
            (None, "", hooks, "no hook could be attached".to_owned())
        }
        Err(error) => (None, "", Vec::new(), error.to_string()),
    };
    if tier.is_none() {
        found_tls.why_not = "system calls are not watched, which tell the socket".to_owned();
    }
    let packets = crate::live::probe_packets();
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        kernel: host.kernel,
        architecture: host.architecture,
        tier,
        offsets,
        why,
        requirements: requirements().into_iter().map(requirement).collect(),
        hooks: hooks.into_iter().map(hook_state).collect(),
        files: Capture { works: of_files.is_ok(), why_not: of_files.err().unwrap_or_default() },
        tls: found_tls,
        packets: Capture {
            works: packets.is_ok(),
            why_not: packets.err().map_or_else(String::new, |error| error.to_string()),
        },
    };
    let mut text = String::new();
    if arguments.json {
        text = serde_json::to_string_pretty(&report)?;
        text.push('\n');
    } else {
        write_report(&mut text, &report)?;
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        // Nobody reads the rest: `check | head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("write the report"),
    }
}

/// Hooks for a moment every TLS library that there is.
fn tls(source: &mut BpfSource) -> Tls {
    let programs = match source.take_tls() {
        Some(Ok(programs)) => programs,
        Some(Err(why_not)) => return Tls { why_not, ..Tls::default() },
        None => {
            return Tls {
                why_not: format!("{TLS_SETTING} and {GO_SETTING} are false"),
                ..Tls::default()
            };
        }
    };
    let go_why_not = programs.go().and_then(Result::err).unwrap_or_default().to_owned();
    let (mechanism, reason) = (programs.mechanism(), programs.not_better().to_owned());
    let mut probes = TlsProbes::new(programs);
    probes.look_at_all(std::path::Path::new("/proc"), &|_| true);
    let library = |report: LibraryReport| {
        let LibraryReport { path, library, functions, reason } = report;
        TlsLibrary { path: path.display().to_string(), library, functions, reason }
    };
    let libraries = probes.reports().into_iter().map(library).collect();
    Tls { works: true, why_not: String::new(), go_why_not, mechanism, reason, libraries }
}

fn requirement(found: source::bpf::Requirement) -> Requirement {
    let source::bpf::Requirement { feature, works, why_not, how_to_get } = found;
    Requirement { feature, works, why_not, how_to_get }
}

fn hook_state(found: HookReport) -> HookState {
    let HookReport { hook, mechanism, attached, reason, .. } = found;
    HookState { hook, mechanism, attached, reason }
}

fn write_report(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(
        out,
        "deepflow-agent {} on {} ({})",
        report.version, report.kernel, report.architecture
    )?;
    match report.tier {
        Some(tier) => {
            writeln!(out, "system calls: yes, tier {tier}, offsets by {}", report.offsets)?;
            if !report.why.is_empty() {
                writeln!(out, "  not by a newer tier: {}", report.why)?;
            }
        }
        None => writeln!(out, "system calls: no: {}", report.why)?,
    }
    for requirement in &report.requirements {
        match requirement.works {
            true => writeln!(out, "  {:<22} yes", requirement.feature)?,
            false => writeln!(
                out,
                "  {:<22} no: {}; to get it: {}",
                requirement.feature, requirement.why_not, requirement.how_to_get
            )?,
        }
    }
    for hook in &report.hooks {
        match hook.attached {
            true if hook.reason.is_empty() => {
                writeln!(out, "  hook {:<17} yes, by {}", hook.hook, hook.mechanism)?;
            }
            true => writeln!(
                out,
                "  hook {:<17} yes, by {}, for {}",
                hook.hook, hook.mechanism, hook.reason
            )?,
            false => writeln!(out, "  hook {:<17} no: {}", hook.hook, hook.reason)?,
        }
    }
    match report.files.works {
        true => writeln!(out, "files: yes, reads, writes and syncs that take long")?,
        false => writeln!(out, "files: no: {}", report.files.why_not)?,
    }
    write_tls(out, &report.tls)?;
    match report.packets.works {
        true => writeln!(out, "packets: yes, by AF_PACKET")?,
        false => writeln!(out, "packets: no: {}", report.packets.why_not)?,
    }
    Ok(())
}

fn write_tls(out: &mut String, tls: &Tls) -> std::fmt::Result {
    match tls.works {
        true => writeln!(
            out,
            "TLS: can be read, by {}, if {TLS_SETTING} says so, of programs of Go if \
             {GO_SETTING} does",
            tls.mechanism
        )?,
        false => writeln!(out, "TLS: is not read: {}", tls.why_not)?,
    }
    if !tls.reason.is_empty() {
        writeln!(out, "  not by a better mechanism: {}", tls.reason)?;
    }
    if !tls.go_why_not.is_empty() {
        writeln!(out, "  not of programs of Go: {}", tls.go_why_not)?;
    }
    for TlsLibrary { path, library, functions, reason } in &tls.libraries {
        match reason.is_empty() {
            true => writeln!(out, "  {library:<9} {path}: {} functions", functions.len())?,
            false => {
                writeln!(out, "  {library:<9} {path}: {} functions; {reason}", functions.len())?
            }
        }
    }
    Ok(())
}
