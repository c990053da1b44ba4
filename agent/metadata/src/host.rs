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
    /// Name and version of the distribution; may be empty.
    pub os: String,
    /// Id of this boot.
    pub boot_id: String,
    /// Id of this installation; may be empty.
    pub machine_id: String,
    /// Processors that the agent may use.
    pub cpu_count: u32,
    /// Memory of the machine. unit byte
    pub memory_bytes: u64,
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
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// Reads the facts from `/proc`, `/sys` and `/etc`; what cannot be read is empty.
pub fn read() -> Host {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let word = |path: &str| text(path).trim().to_owned();
    let v4 = local_addresses(&text("/proc/self/net/fib_trie"));
    let v6: Vec<_> = text("/proc/self/net/if_inet6").lines().filter_map(inet6_address).collect();
    let networks: Vec<_> = text("/proc/self/net/route").lines().filter_map(network).collect();
    let mut interfaces = interfaces(Path::new("/sys/class/net"));
    for address in &v4 {
        let owner = networks.iter().find(|network| network.contains(*address));
        let owner = owner.map_or("lo", |network| network.interface.as_str());
        if let Some(interface) = interfaces.iter_mut().find(|i| i.name == owner) {
            interface.addresses.push(IpAddr::V4(*address));
        }
    }
    for (address, index) in &v6 {
        if let Some(interface) = interfaces.iter_mut().find(|i| i.index == *index) {
            interface.addresses.push(IpAddr::V6(*address));
        }
    }
    let addresses = v4.into_iter().map(IpAddr::V4).chain(v6.into_iter().map(|(ip, _)| ip.into()));
    Host {
        name: word("/proc/sys/kernel/hostname"),
        kernel: word("/proc/sys/kernel/osrelease"),
        architecture: std::env::consts::ARCH,
        os: pretty_name(&text("/etc/os-release")),
        boot_id: word("/proc/sys/kernel/random/boot_id"),
        machine_id: word("/etc/machine-id"),
        cpu_count: std::thread::available_parallelism().map_or(1, |count| count.get() as u32),
        memory_bytes: memory_bytes(&text("/proc/meminfo")),
        addresses: addresses.collect(),
        interfaces,
    }
}

/// `PRETTY_NAME` of `os-release(5)`.
fn pretty_name(os_release: &str) -> String {
    let line = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    line.unwrap_or_default().trim_matches('"').to_owned()
}

fn memory_bytes(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// A line of `/proc/net/route` that names a network of an interface.
struct Network {
    interface: String,
    destination: u32,
    mask: u32,
}

impl Network {
    fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from_ne_bytes(address.octets()) & self.mask == self.destination
    }
}

/// Addresses of the table are in the memory's byte order; routes by a gateway name no network.
fn network(line: &str) -> Option<Network> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
    let (destination, gateway, mask) = (number(1)?, number(2)?, number(7)?);
    let interface = (*words.first()?).to_owned();
    (gateway == 0 && mask != 0).then_some(Network { interface, destination, mask })
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

/// Address and interface index of a line of `/proc/net/if_inet6`.
fn inet6_address(line: &str) -> Option<(Ipv6Addr, u32)> {
    let mut words = line.split_whitespace();
    let address = u128::from_str_radix(words.next()?, 16).ok()?;
    let index = u32::from_str_radix(words.next()?, 16).ok()?;
    Some((Ipv6Addr::from(address), index))
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
                addresses: Vec::new(),
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
    fn networks_of_interfaces() {
        let line = "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0";
        let found = network(line).expect("a network");
        if cfg!(target_endian = "little") {
            assert!(found.contains(Ipv4Addr::new(10, 0, 200, 1)));
            assert!(!found.contains(Ipv4Addr::new(10, 1, 0, 1)));
        }
        assert!(network("eth0 00000000 0100000A 0003 0 0 0 00000000 0 0 0").is_none());
        assert!(network("Iface Destination Gateway").is_none());
    }

    #[test]
    fn this_host_is_read() {
        let host = read();
        assert!(!host.name.is_empty() && !host.kernel.is_empty());
        assert!(host.addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let loopback = host.interfaces.iter().find(|i| i.name == "lo").expect("loopback");
        assert_eq!(loopback.mac, [0; 6]);
        assert!(loopback.addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(host.memory_bytes > 1 << 20 && host.cpu_count > 0);
    }
}
