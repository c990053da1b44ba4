//! Facts of a process from `/proc/<pid>`: `proc(5)`.

use std::path::Path;

use schema::Text;

use crate::places::Netns;

/// What is told of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id in the namespace of the `/proc` that was read.
    pub tgid: u32,
    /// Name as the kernel has it (`comm`), up to 15 bytes.
    pub name: Text,
    /// When it began. unit µs since the Unix epoch; 0 = not known
    pub start_us: u64,
    /// Command line, arguments separated by spaces, cut at 1024 bytes.
    pub command_line: String,
    /// Container that it runs in: 64 hexadecimal digits; empty = none known.
    pub container_id: String,
}

const COMMAND_LINE_BYTES: usize = 1024;
const CONTAINER_ID_DIGITS: usize = 64;
/// `USER_HZ` of every Linux architecture that we run on: ticks a second in `/proc/<pid>/stat`.
const TICKS_A_SECOND: u64 = 100;

/// Reads process `tgid` under `proc` (usually `/proc`); `None` when it is gone. `boot_us` is the
/// time of boot, see [`boot_time_us`].
pub fn read(proc: &Path, tgid: u32, boot_us: u64) -> Option<Process> {
    let folder = proc.join(tgid.to_string());
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    let (name, start_ticks) = parse_stat(&stat)?;
    let mut command_line = std::fs::read(folder.join("cmdline")).unwrap_or_default();
    command_line.truncate(COMMAND_LINE_BYTES);
    while command_line.last() == Some(&0) {
        command_line.pop();
    }
    let command_line = String::from_utf8_lossy(&command_line).replace('\0', " ");
    let cgroup = std::fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
    Some(Process {
        tgid,
        name: name.into(),
        start_us: boot_us + start_ticks * (1_000_000 / TICKS_A_SECOND),
        command_line,
        container_id: container_id(&cgroup).unwrap_or_default().to_owned(),
    })
}

/// Ids of the processes under `proc`.
pub fn list(proc: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(proc) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Time of boot by `/proc/stat`. unit µs since the Unix epoch; 0 = not known
pub fn boot_time_us(proc: &Path) -> u64 {
    let stat = std::fs::read_to_string(proc.join("stat")).unwrap_or_default();
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    seconds.unwrap_or(0_u64) * 1_000_000
}

/// Name and start (field 22, ticks since boot) of a `/proc/<pid>/stat` line. The name may hold
/// anything, parentheses too.
fn parse_stat(stat: &str) -> Option<(&str, u64)> {
    let open = stat.find('(')?;
    let close = stat.rfind(')')?;
    let name = stat.get(open + 1..close)?;
    let start = stat.get(close + 1..)?.split_whitespace().nth(19)?.parse().ok()?;
    Some((name, start))
}

/// The container id in a `/proc/<pid>/cgroup`: the innermost 64 hexadecimal digits of any
/// hierarchy, as Docker, containerd, CRI-O and Podman name their groups, under the driver of
/// cgroupfs or of systemd.
fn container_id(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.rsplit('/').find_map(container_of))
}

/// The container id in the name of a cgroup. Monitors of containers (`conmon`) have the id in their
/// group's name and are not inside.
pub fn container_of(name: &str) -> Option<&str> {
    if name.contains("conmon") {
        return None;
    }
    name.split(|c: char| !c.is_ascii_hexdigit()).rfind(|word| word.len() == CONTAINER_ID_DIGITS)
}

/// Container of process `tgid` under `proc`; empty where it has none or is gone.
pub fn container(proc: &Path, tgid: u32) -> Text {
    let cgroup = std::fs::read_to_string(proc.join(tgid.to_string()).join("cgroup"));
    container_id(&cgroup.unwrap_or_default()).unwrap_or_default().into()
}

/// Network namespace of process `tgid` under `proc`; 0 where it is gone.
pub fn netns(proc: &Path, tgid: u32) -> Netns {
    let link = std::fs::read_link(proc.join(tgid.to_string()).join("ns/net"));
    link.ok().and_then(|link| parse_netns(link.to_str()?)).unwrap_or(0)
}

/// `net:[4026531840]`
pub(crate) fn parse_netns(link: &str) -> Option<Netns> {
    link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_a_strange_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 98765 9 9";
        assert_eq!(parse_stat(stat), Some(("a) b (c", 98765)));
        assert_eq!(parse_stat("42 (a"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn container_of_docker_and_of_containerd() {
        let id = "0123456789abcdef".repeat(4);
        let docker = format!("12:pids:/docker/{id}\n0::/\n");
        assert_eq!(container_id(&docker), Some(id.as_str()));
        let containerd =
            format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope\n");
        assert_eq!(container_id(&containerd), Some(id.as_str()));
        assert_eq!(container_id("0::/user.slice\n"), None);
    }

    #[test]
    fn containers_of_pods_and_of_podman() {
        let (id, pod) = ("0123456789abcdef".repeat(4), "fedcba9876543210".repeat(4));
        for cgroup in [
            format!("0::/kubepods/burstable/pod1-2-3/{id}\n"),
            format!("5:memory:/\n1:name=systemd:/kubepods.slice/crio-{id}.scope\n"),
            format!("0::/machine.slice/libpod-{id}.scope/container\n"),
            format!("0::/docker/{pod}/docker/{id}/init.scope\n"),
            format!("4:pids:/\n0::/user.slice/user-1.slice/libpod-{id}.scope\n"),
        ] {
            assert_eq!(container_id(&cgroup), Some(id.as_str()), "{cgroup}");
        }
        for outside in [
            format!("0::/machine.slice/libpod-conmon-{id}.scope\n"),
            format!("0::/kubepods.slice/crio-conmon-{id}.scope\n"),
            format!("0::/x/{id}0\n"),
        ] {
            assert_eq!(container_id(&outside), None, "{outside}");
        }
    }

    #[test]
    fn this_process_is_read() {
        let proc = Path::new("/proc");
        let me = read(proc, std::process::id(), boot_time_us(proc)).expect("own process");
        assert!(!me.command_line.is_empty());
        assert!(me.start_us > 1_500_000_000_000_000, "{}", me.start_us);
        assert!(list(proc).contains(&std::process::id()));
    }
}
