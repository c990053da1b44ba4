//! Facts of the host: name, kernel, interfaces, addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// What is told of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Host name.
    pub name: String,
    /// Release of the kernel, as `uname -r`.
    pub kernel: String,
    /// Architecture that the agent was built for, as `uname -m`.
    pub architecture: &'static str,
    /// Id of this boot.
    pub boot_id: String,
    /// Addresses of all interfaces of the agent's network namespace.
    pub addresses: BTreeSet<IpAddr>,
    /// Interfaces of the agent's network namespace.
    pub interfaces: Vec<Interface>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MAC address; zero for interfaces without.
    pub mac: [u8; 6],
}

/// Reads the facts from `/proc` and `/sys`; what cannot be read is empty.
pub fn read() -> Host {
    let word = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    Host {
        name: word("/proc/sys/kernel/hostname"),
        kernel: word("/proc/sys/kernel/osrelease"),
        architecture: std::env::consts::ARCH,
        boot_id: word("/proc/sys/kernel/random/boot_id"),
        addresses: addresses(),
        interfaces: interfaces(Path::new("/sys/class/net")),
    }
}

fn addresses() -> BTreeSet<IpAddr> {
    let trie = std::fs::read_to_string("/proc/self/net/fib_trie").unwrap_or_default();
    let v6 = std::fs::read_to_string("/proc/self/net/if_inet6").unwrap_or_default();
    let v4 = local_addresses(&trie).into_iter().map(IpAddr::V4);
    v4.chain(v6.lines().filter_map(inet6_address).map(IpAddr::V6)).collect()
}

/// Addresses that `/proc/net/fib_trie` marks as the host's own: a `|-- a.b.c.d` line followed by
/// `/32 host LOCAL`.
fn local_addresses(trie: &str) -> Vec<Ipv4Addr> {
    let mut out = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line.starts_with("/32 host LOCAL") {
            out.extend(last);
        }
    }
    out
}

fn inet6_address(line: &str) -> Option<Ipv6Addr> {
    let digits = line.split_whitespace().next()?;
    u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from)
}

fn interfaces(folder: &Path) -> Vec<Interface> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut out: Vec<Interface> = entries
        .flatten()
        .filter_map(|entry| {
            let word = |file| std::fs::read_to_string(entry.path().join(file)).ok();
            Some(Interface {
                index: word("ifindex")?.trim().parse().ok()?,
                name: entry.file_name().into_string().ok()?,
                mac: word("address").and_then(|text| parse_mac(text.trim())).unwrap_or_default(),
            })
        })
        .collect();
    out.sort_by_key(|interface| interface.index);
    out
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_of_a_trie() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                    \x20    |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 127.255.255.255\n        \
                    /32 link BROADCAST\n";
        assert_eq!(local_addresses(trie), [Ipv4Addr::LOCALHOST]);
    }

    #[test]
    fn this_host_is_read() {
        let host = read();
        assert!(!host.name.is_empty() && !host.kernel.is_empty());
        assert!(host.addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let loopback = host.interfaces.iter().find(|i| i.name == "lo").expect("loopback");
        assert_eq!(loopback.mac, [0; 6]);
    }
}
