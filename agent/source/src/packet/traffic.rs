//! How many packets went through interfaces, by the kernel's own counts.
//!
//! In: /proc/net/dev. Out: one number. Never: a packet.

use std::io;

/// Packets that came in and went out through the interfaces that are wanted, since they exist. Each of a
/// loopback counts once. What offloading joins is counted as it was on the wire.
pub(super) fn packets(
    is_wanted: impl Fn(&str) -> bool,
    is_loopback: impl Fn(&str) -> bool,
) -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev")
        .or_else(|_| std::fs::read_to_string("/proc/net/dev"))?;
    Ok(sum(&text, is_wanted, is_loopback))
}

fn sum(text: &str, is_wanted: impl Fn(&str) -> bool, is_loopback: impl Fn(&str) -> bool) -> u64 {
    // name: bytes packets errs drop fifo frame compressed multicast, the same of what went out
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let counted = lines.map(|(name, counts)| (name.trim(), counts));
    counted
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, counts)| {
            let mut counts =
                counts.split_ascii_whitespace().map(|count| count.parse::<u64>().unwrap_or(0));
            let received = counts.nth(1).unwrap_or(0);
            let sent = counts.nth(7).unwrap_or(0);
            if is_loopback(name) { received } else { received.wrapping_add(sent) }
        })
        .fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packet_counts_once() {
        let text = "Inter-|   Receive                |  Transmit\n face |bytes    packets errs\n    \
                    lo: 900 10 0 0 0 0 0 0 900 10 0 0 0 0 0 0\n  \
                    eth0:5000 70 1 2 0 0 0 3 600 8 0 0 0 0 0 0\n veth1: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n";
        assert_eq!(sum(text, |name| name != "veth1", |name| name == "lo"), 10 + 70 + 8);
        assert_eq!(sum(text, |name| name == "veth1", |_| false), 2);
    }
}
