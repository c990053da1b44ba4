//! The agent where something that it needs is missing or refused: it says what, and what to do.
//!
//! In: root and a kernel with BPF; else each test prints SKIPPED with the reason and ends. Out:
//! proof by the real program, under the restrictions of real hosts and containers. Never: a change
//! to this machine.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const AGENT: &str = env!("CARGO_BIN_EXE_deepflow-agent");

/// What `check` says of all but TLS, which takes long to unhook, run by these words before it.
fn check_by(before: &[&str], behind: &[&str]) -> Value {
    check_all_by(before, &[&["--config", "/dev/null"], behind].concat())
}

/// The same of TLS, too.
fn check_all_by(before: &[&str], behind: &[&str]) -> Value {
    let words = [before, &[AGENT, "check", "--json"], behind].concat();
    let output = Command::new(words[0]).args(&words[1..]).output().expect("it can be started");
    assert!(output.status.success(), "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What is unusual here; `None`: SKIPPED, since not even all of this machine works.
fn whole() -> Option<Value> {
    let report = check_by(&[], &[]);
    if report["tier"] != "v510" || attached(&report) != hooks(&report).len() {
        println!("SKIPPED: {}", report["why"]);
        return None;
    }
    Some(report)
}

fn hooks(report: &Value) -> &Vec<Value> {
    report["hooks"].as_array().expect("a list")
}

fn attached(report: &Value) -> usize {
    hooks(report).iter().filter(|hook| hook["attached"] == true).count()
}

/// Why a requirement is not met, and what to do then; empty if it is.
fn lack<'a>(report: &'a Value, feature: &str) -> (&'a str, &'a str) {
    let list = report["requirements"].as_array().expect("a list");
    let one = list.iter().find(|one| one["feature"] == feature).expect("it is told");
    let text = |key: &str| one[key].as_str().expect("text");
    assert_eq!(one["works"] == true, text("why_not").is_empty());
    (text("why_not"), text("how_to_get"))
}

fn why(report: &Value) -> &str {
    report["why"].as_str().expect("text")
}

#[test]
fn without_rights_it_says_which() {
    if whole().is_none() {
        return;
    }
    let bare = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"];
    let report = check_by(&bare, &[]);
    assert_eq!(report["tier"], Value::Null);
    assert!(why(&report).contains("CAP_BPF and CAP_PERFMON"), "{report}");
    assert!(lack(&report, "privileges").1.contains("as root"), "{report}");
    assert_eq!(report["packets"]["works"], false);
    assert_eq!(report["tls"]["works"], false);
    assert!(!report["tls"]["why_not"].as_str().expect("text").is_empty());
}

#[test]
fn two_rights_suffice_for_system_calls() {
    if whole().is_none() {
        return;
    }
    let few = ["setpriv", "--inh-caps=-all", "--bounding-set=-all,+bpf,+perfmon"];
    let report = check_all_by(&few, &[]);
    assert_eq!(report["tier"], "v510", "{report}");
    assert_eq!(attached(&report), hooks(&report).len(), "{report}");
    assert!(hooks(&report).iter().all(|hook| hook["mechanism"] == "raw tracepoint"));
    assert_eq!(lack(&report, "privileges"), ("", ""));
    // Not for hooks of user space, nor for packets.
    for library in report["tls"]["libraries"].as_array().expect("a list") {
        assert!(library["reason"].as_str().expect("text").contains("CAP_SYS_ADMIN"), "{report}");
    }
}

/// Runs what follows with a system call that the kernel refuses, as container engines do.
const REFUSING: &str = "
import ctypes, os, platform, struct, sys
number = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
code = b''.join(struct.pack('HBBI', *one) for one in code)
class Filter(ctypes.Structure):
    _fields_ = [('count', ctypes.c_ushort), ('code', ctypes.c_char_p)]
done = libc.prctl(22, 2, ctypes.byref(Filter(len(code) // 8, code)))
assert done == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[2], sys.argv[2:])
";

#[cfg(target_arch = "x86_64")]
const BPF_AND_PERF: (&str, &str) = ("321", "298");
#[cfg(target_arch = "aarch64")]
const BPF_AND_PERF: (&str, &str) = ("280", "241");

#[test]
fn a_seccomp_profile_is_named() {
    if whole().is_none() {
        return;
    }
    if !Command::new("python3").arg("--version").status().is_ok_and(|status| status.success()) {
        println!("SKIPPED: no python3");
        return;
    }
    let report = check_by(&["python3", "-c", REFUSING, BPF_AND_PERF.0], &[]);
    assert_eq!(report["tier"], Value::Null);
    assert!(why(&report).contains("bpf(2)") && why(&report).contains("seccomp"), "{report}");
    assert!(lack(&report, "bpf(2)").1.contains("seccomp"), "{report}");

    let report = check_all_by(&["python3", "-c", REFUSING, BPF_AND_PERF.1], &[]);
    assert_eq!(report["tier"], "v510", "raw tracepoints need no perf: {report}");
    assert_eq!(attached(&report), hooks(&report).len(), "{report}");
    assert!(lack(&report, "perf_event_open(2)").1.contains("seccomp"), "{report}");
    for library in report["tls"]["libraries"].as_array().expect("a list") {
        assert!(library["reason"].as_str().expect("text").contains("not permitted"), "{report}");
    }
    let report = check_by(&["python3", "-c", REFUSING, BPF_AND_PERF.1], &["--tier", "v310"]);
    assert_eq!(report["tier"], Value::Null, "{report}");
    assert!(lack(&report, "perf_event_open(2)").0.contains("refused"), "{report}");
    assert!(why(&report).contains("seccomp"), "{report}");
}

/// With another file in the place of the kernel's types.
fn check_with_types(bytes: &[u8]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("btf");
    std::fs::write(&path, bytes).expect("written");
    let script = r#"mount --bind "$0" /sys/kernel/btf/vmlinux && exec "$@""#;
    let path = path.to_str().expect("UTF-8");
    check_by(&["unshare", "-m", "sh", "-c", script, path], &[])
}

#[test]
fn damaged_types_lead_to_the_oldest_tier() {
    if whole().is_none() {
        return;
    }
    let whole = std::fs::read("/sys/kernel/btf/vmlinux").expect("types");
    let mut torn = whole[..whole.len() / 3].to_vec();
    torn[100..5000].fill(0xff);
    let mut flipped = whole.clone();
    for at in (24..flipped.len()).step_by(997) {
        flipped[at] ^= 0x55;
    }
    for (name, bytes) in [("empty", &b""[..]), ("other", b"no types"), ("torn", &torn)] {
        let report = check_with_types(bytes);
        assert_eq!(report["tier"], "v310", "{name}: {report}");
        assert_eq!(attached(&report), hooks(&report).len(), "{name}: {report}");
        assert!(why(&report).contains("BTF") || why(&report).contains("btf"), "{name}: {report}");
    }
    // What is only wrong here and there may suffice, or not: it must not be loaded by luck.
    let report = check_with_types(&flipped);
    assert_eq!(report["tier"], "v310", "{report}");
}

#[test]
fn an_old_version_in_name_changes_nothing() {
    let Some(whole) = whole() else { return };
    let report = check_by(&["setarch", std::env::consts::ARCH, "--uname-2.6"], &[]);
    assert_eq!(report["hooks"], whole["hooks"]);
    assert_eq!(report["requirements"], whole["requirements"]);
}

#[test]
fn tls_is_tried_as_the_configuration_says() {
    if whole().is_none() {
        return;
    }
    let whole = check_all_by(&[], &[]);
    assert_eq!(whole["tls"]["works"], true);
    assert_eq!(whole["tls"]["mechanism"], "perf");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("agent.yaml");
    let with = |text: &str| {
        std::fs::write(&path, text).expect("written");
        check_all_by(&[], &["--config", path.to_str().expect("UTF-8")])
    };
    let off = with("");
    assert_eq!(off["tls"]["works"], false);
    assert!(off["tls"]["why_not"].as_str().expect("text").contains("are false"));
    assert_eq!(off["tls"]["libraries"].as_array().map(Vec::len), Some(0));
    assert_eq!(attached(&off), hooks(&off).len());
    assert_eq!(with(TLS_ON)["tls"]["works"], true);
}

const TLS_ON: &str = "inputs: { ebpf: { socket: { uprobe: { tls: { enabled: true } } } } }\n";

/// Names of the programs that the kernel holds, ours among them.
fn programs() -> usize {
    let text = std::fs::read_to_string("/proc/kallsyms").expect("procfs");
    text.lines().filter(|line| line.ends_with("[bpf]") && line.contains("bpf_prog_")).count()
}

#[test]
fn agents_that_are_killed_leave_nothing() {
    if whole().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("agent.yaml");
    std::fs::write(&config, TLS_ON).expect("written");
    let before = programs();
    // Two at a time, killed at another moment of their start each.
    for round in 0..25 {
        let agents = [0, 1].map(|one| start(folder.path(), &config, one));
        std::thread::sleep(Duration::from_millis(round * 25));
        for mut agent in agents {
            agent.kill().expect("it runs");
            agent.wait().expect("it ends");
        }
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while programs() > before && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(programs() <= before, "{} programs, {before} before", programs());
    assert!(whole().is_some(), "the next one works");
}

fn start(folder: &Path, config: &Path, one: u32) -> std::process::Child {
    let mut command = Command::new(AGENT);
    command.arg("standalone").arg("--config").arg(config);
    command.arg("--folder").arg(folder.join(one.to_string()));
    command.stderr(Stdio::null()).spawn().expect("it can be started")
}
