//! Takes the ports before anything else is started, and tells who has them when they are taken.
//!
//! In: addresses. Out: a bound HTTP listener, or a message with the port, the process that has it
//! and the option that changes it. Never: a started server without its ports.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context, anyhow};

/// Takes the HTTP port.
pub fn take_http(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .map_err(|error| taken(&error, address, "tcp", "HTTP", "--listen or http.listen"))?;
    listener.set_nonblocking(true).context("HTTP listener")?;
    Ok(listener)
}

/// Looks whether the agents' port is free; ingest takes it a moment later.
pub fn check_ingest(address: SocketAddr) -> anyhow::Result<()> {
    UdpSocket::bind(address).map(drop).map_err(|error| {
        taken(&error, address, "udp", "agents", "--ingest-listen or ingest.listen")
    })
}

fn taken(
    error: &std::io::Error,
    address: SocketAddr,
    protocol: &str,
    purpose: &str,
    option: &str,
) -> anyhow::Error {
    let port = format!("port {}/{protocol} of {} ({purpose})", address.port(), address.ip());
    if error.kind() != ErrorKind::AddrInUse {
        return anyhow!("{port}: {error}; another one: {option}");
    }
    match owner(address, protocol) {
        Some((process_id, name)) => {
            anyhow!("{port} is taken by process {process_id} ({name}); another one: {option}")
        }
        None => anyhow!("{port} is taken by another process; another one: {option}"),
    }
}

/// The process that listens on a port, if this user may see it: (process id, name).
fn owner(address: SocketAddr, protocol: &str) -> Option<(u32, String)> {
    let inode = [protocol.to_owned(), format!("{protocol}6")]
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/net/{table}")).ok())
        .find_map(|table| table.lines().skip(1).find_map(|line| inode_of(line, address)))?;
    let wanted = format!("socket:[{inode}]");
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(process_id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(files) = fs::read_dir(entry.path().join("fd")) else { continue };
        let has = files
            .flatten()
            .any(|file| fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == &*wanted));
        if has {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some((process_id, name.trim().to_owned()));
        }
    }
    None
}

/// The inode of a line of `/proc/net/{tcp,udp}` whose socket listens on the port of `address`.
fn inode_of(line: &str, address: SocketAddr) -> Option<u64> {
    const TCP_LISTEN: &str = "0A";
    const UDP_UNCONNECTED: &str = "07";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let listens = matches!(*fields.get(3)?, TCP_LISTEN | UDP_UNCONNECTED);
    let is_any = ip.bytes().all(|digit| digit == b'0');
    let is_same = match address.ip() {
        IpAddr::V4(v4) if ip.len() == 8 => {
            u32::from_str_radix(ip, 16).ok()?.to_ne_bytes() == v4.octets()
        }
        // An address of the other family, or one that is hard to compare: the port decides.
        _ => true,
    };
    let same_port = u16::from_str_radix(port, 16).ok()? == address.port();
    (listens && same_port && (is_any || is_same)).then(|| fields.get(9)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_told_with_its_process() {
        let first = take_http(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = first.local_addr().expect("bound");
        let error = take_http(address).expect_err("taken").to_string();
        let expected =
            format!("port {}/tcp of 127.0.0.1 (HTTP) is taken by process", address.port());
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(error.contains("--listen"), "{error}");
    }

    #[test]
    fn a_taken_udp_port_is_told() {
        let first = UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
        let address = first.local_addr().expect("bound");
        let error = check_ingest(address).expect_err("taken").to_string();
        assert!(error.contains("/udp") && error.contains("--ingest-listen"), "{error}");
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    }
}
