//! What is left of BPF capture after it ended: nothing. Alone in its process, since it counts
//! descriptors.
//!
//! In: root and a kernel that can do it; else SKIPPED is printed. Out: proof.

use source::bpf::{BpfConfig, BpfSource, Hook, Mechanism, requirements};

#[test]
fn nothing_stays_when_it_is_dropped() {
    if let Some(missing) = requirements().into_iter().find(|one| !one.works) {
        println!("SKIPPED: {}: {}", missing.feature, missing.why_not);
        return;
    }
    for mechanism in [Mechanism::RawTracepoint, Mechanism::Tracepoint] {
        check(mechanism);
    }
}

fn check(mechanism: Mechanism) {
    let open = || std::fs::read_dir("/proc/self/fd").expect("procfs").count();
    let mounts = || {
        let text = std::fs::read_to_string("/proc/self/mountinfo").expect("procfs");
        text.lines().filter(|line| line.contains(" tracefs ")).count()
    };
    let (before, mounts_before) = (open(), mounts());
    let config = BpfConfig { mechanism, ..BpfConfig::default() };
    let (source, reports) = BpfSource::load(config).expect("all is there");
    // Those of TLS libraries are another's.
    let is_of_tls = |hook: &Hook| matches!(hook, Hook::TlsRead | Hook::TlsWrite);
    assert_eq!(reports.len(), Hook::ALL.iter().filter(|hook| !is_of_tls(hook)).count());
    assert!(reports.iter().all(|report| report.attached && report.reason.is_empty()));
    assert!(open() > before + 10, "a descriptor each program and map");
    drop(source);
    assert_eq!(open(), before);
    assert_eq!(mounts(), mounts_before, "a tracefs of our own is mounted nowhere");
}
