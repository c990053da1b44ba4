//! `deepflow-agent check`: what works on this kernel, and what does not and why.

use anyhow::Result;
use serde::Serialize;
use source::bpf::{BpfConfig, BpfSource, HookReport, requirements};

use crate::cli::{self, CheckArguments};

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
    let config = BpfConfig { tier, ..BpfConfig::default() };
    let (tier, offsets, hooks, why) = match BpfSource::load(config) {
        Ok((source, hooks)) => {
            let why = source.why_older().to_owned();
            (Some(source.tier().name()), source.offsets(), hooks, why)
        }
        Err(source::bpf::BpfError::NothingAttached(hooks)) => {
            (None, "", hooks, "no hook could be attached".to_owned())
        }
        Err(error) => (None, "", Vec::new(), error.to_string()),
    };
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
        packets: Capture {
            works: packets.is_ok(),
            why_not: packets.err().map_or_else(String::new, |error| error.to_string()),
        },
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

fn requirement(found: source::bpf::Requirement) -> Requirement {
    let source::bpf::Requirement { feature, works, why_not, how_to_get } = found;
    Requirement { feature, works, why_not, how_to_get }
}

fn hook_state(found: HookReport) -> HookState {
    let HookReport { hook, mechanism, attached, reason } = found;
    HookState { hook, mechanism, attached, reason }
}

fn print(report: &Report) {
    println!("deepflow-agent {} on {} ({})", report.version, report.kernel, report.architecture);
    match report.tier {
        Some(tier) => {
            println!("system calls: yes, tier {tier}, offsets by {}", report.offsets);
            if !report.why.is_empty() {
                println!("  not by a newer tier: {}", report.why);
            }
        }
        None => println!("system calls: no: {}", report.why),
    }
    for requirement in &report.requirements {
        match requirement.works {
            true => println!("  {:<22} yes", requirement.feature),
            false => println!(
                "  {:<22} no: {}; to get it: {}",
                requirement.feature, requirement.why_not, requirement.how_to_get
            ),
        }
    }
    for hook in &report.hooks {
        match hook.attached {
            true => println!("  hook {:<17} yes, by {}", hook.hook, hook.mechanism),
            false => println!("  hook {:<17} no: {}", hook.hook, hook.reason),
        }
    }
    match report.packets.works {
        true => println!("packets: yes, by AF_PACKET"),
        false => println!("packets: no: {}", report.packets.why_not),
    }
}
