//! Connections that exist already, with their owners, from `/proc`.
//!
//! Sockets of every network namespace that some process lives in are read once; owners are found
//! by the inode numbers of their descriptors.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use schema::Text;

use crate::places::Netns;
use crate::process;
use crate::sockets::{Connection, Owner, SocketTable};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// A line of `/proc/net/{tcp,tcp6,udp,udp6}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    local: SocketAddr,
    remote: SocketAddr,
    inode: u64,
}

/// Puts every connection and listener found under `proc` into `table`; says how many.
pub fn scan(proc: &Path, table: &SocketTable) -> usize {
    let mut owners: HashMap<u64, Owner> = HashMap::new();
    let mut namespaces: HashSet<Netns> = HashSet::new();
    let mut net_folders = Vec::new();
    for tgid in process::list(proc) {
        let folder = proc.join(tgid.to_string());
        let netns = process::netns(proc, tgid);
        if netns != 0 && namespaces.insert(netns) {
            net_folders.push((netns, folder.join("net")));
        }
        let inodes = socket_inodes(&folder);
        if inodes.is_empty() {
            continue;
        }
        let name = std::fs::read_to_string(folder.join("comm")).unwrap_or_default();
        let container = process::container(proc, tgid);
        let owner = Owner { tgid, name: Text::from(name.trim_end()), container, socket_id: 0 };
        for inode in inodes {
            owners.entry(inode).or_insert_with(|| owner.clone());
        }
    }
    let mut found = 0;
    for (netns, folder) in net_folders {
        for (file, protocol) in [("tcp", TCP), ("tcp6", TCP), ("udp", UDP), ("udp6", UDP)] {
            let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
            for line in text.lines().skip(1).filter_map(parse_line) {
                let Some(owner) = owners.get(&line.inode).cloned() else { continue };
                found += 1;
                if line.remote.port() == 0 {
                    table.insert_listener(netns, protocol, line.local, owner);
                } else {
                    let Line { local, remote, .. } = line;
                    let connection = Connection { protocol, local, remote };
                    table.insert_unless_known(netns, connection, owner);
                }
            }
        }
    }
    found
}

fn socket_inodes(folder: &Path) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(folder.join("fd")) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

fn parse_line(line: &str) -> Option<Line> {
    let mut words = line.split_whitespace();
    let local = parse_address(words.nth(1)?)?;
    let remote = parse_address(words.next()?)?;
    let inode = words.nth(6)?.parse().ok()?;
    (inode != 0).then_some(Line { local, remote, inode })
}

/// `0100007F:0050`: 32-bit words in the host's byte order, port in hexadecimal. Addresses mapped
/// into IPv6 become IPv4.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<u32>> = (0..address.len() / 8)
        .map(|at| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok())
        .collect();
    let bytes: Vec<u8> = words?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::places::Places;

    #[test]
    fn addresses_of_both_families() {
        if cfg!(target_endian = "little") {
            assert_eq!(parse_address("0100007F:0050"), Some("127.0.0.1:80".parse().expect("addr")));
            let mapped = "0000000000000000FFFF00000100007F:01BB";
            assert_eq!(parse_address(mapped), Some("127.0.0.1:443".parse().expect("addr")));
            let v6 = "00000000000000000000000001000000:0016";
            assert_eq!(parse_address(v6), Some("[::1]:22".parse().expect("addr")));
        }
        for bad in ["", ":", "00:1", "0100007F", "zz00007F:0050"] {
            assert_eq!(parse_address(bad), None, "{bad}");
        }
    }

    #[test]
    fn own_connections_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let server = listener.local_addr().expect("address");
        let stream = TcpStream::connect(server).expect("connect");
        let client = stream.local_addr().expect("address");
        let own = process::netns(Path::new("/proc"), std::process::id());
        let (table, places) = (SocketTable::new(65_536, own), Places::new(own));
        assert!(scan(Path::new("/proc"), &table) >= 2);
        let connection = Connection { protocol: TCP, local: client, remote: server };
        let owner = table.owner(&connection, &places).expect("client's owner");
        assert_eq!(owner.tgid, std::process::id());
        let accepted = Connection { protocol: TCP, local: server, remote: client };
        let owner = table.owner(&accepted, &places).expect("listener stands in");
        assert_eq!(owner.tgid, std::process::id());
    }
}
