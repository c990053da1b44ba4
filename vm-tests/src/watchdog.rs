//! What every task of the guest waits for, when the guest takes too long.
//!
//! In: a time. Out: lines on the console, then the end of the machine: a guest that hangs costs its own
//! time, not that of the host's whole run, and says where. Never: anything before the time is over.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Where the kernel takes orders (Documentation/admin-guide/sysrq.rst).
const ORDERS: &str = "/proc/sysrq-trigger";
/// Files of a task that say where it is.
const PLACES: [&str; 3] = ["wchan", "syscall", "stack"];

/// Starts the clock.
pub fn start(patience: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(patience);
        println!("VM error the guest is not done after {} s", patience.as_secs());
        tell_tasks();
        // All CPUs' stacks, then off.
        for order in ["l", "o"] {
            let _ = fs::write(ORDERS, order);
            std::thread::sleep(Duration::from_secs(2));
        }
    });
}

/// A line for each task that is not the kernel's own.
fn tell_tasks() {
    for process in numbered(Path::new("/proc")) {
        let has_memory = fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|l| !l.is_empty());
        let tasks = format!("/proc/{process}/task");
        for task in numbered(Path::new(&tasks)).into_iter().filter(|_| has_memory) {
            let read = |name: &str| {
                fs::read_to_string(format!("{tasks}/{task}/{name}")).unwrap_or_default()
            };
            let status = read("status");
            let state = status.lines().find(|line| line.starts_with("State")).unwrap_or_default();
            let places = PLACES.map(|name| read(name).trim().replace('\n', " < "));
            println!("task {process}/{task} {}{state} {}", read("comm").trim(), places.join(" | "));
        }
    }
}

fn numbered(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
