//! rtnetlink: links and addresses of a network namespace, and word of their changes.
//!
//! In: messages of the kernel (`rtnetlink(7)`). Out: their fields. Never: a change to the system, a
//! panic on any message.
//!
//! ```text
//! message   := [len: u32][type: u16][flags: u16][seq: u32][port: u32] body attribute*   pad to 4
//! attribute := [len: u16][type: u16] value                                              pad to 4
//! ```

#![expect(unsafe_code, reason = "system calls")]

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

const HEADER: usize = 16;
/// Bytes of `struct ifinfomsg` and of `struct ifaddrmsg`.
const LINK_BODY: usize = 16;
const ADDRESS_BODY: usize = 8;
/// The kernel fills buffers of up to 32 KiB when it lists.
const BUFFER_BYTES: usize = 64 << 10;
/// A list during which something changed is asked for again, so often at most.
const ATTEMPTS: usize = 5;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const GROUPS: u32 =
    (libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR) as u32;

/// A link as the kernel lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) mac: [u8; 6],
    pub(super) is_loopback: bool,
    /// What it is attached to: the other end of a pair, or the interface below.
    pub(super) peer: Option<u32>,
}

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) index: u32,
    pub(super) ip: IpAddr,
    pub(super) prefix: u8,
}

/// Every link of this thread's namespace.
pub(super) fn links() -> io::Result<Vec<Link>> {
    list(libc::RTM_GETLINK, libc::RTM_NEWLINK, LINK_BODY, read_link)
}

/// Every address of this thread's namespace.
pub(super) fn addresses() -> io::Result<Vec<Address>> {
    list(libc::RTM_GETADDR, libc::RTM_NEWADDR, ADDRESS_BODY, read_address)
}

/// Tells when interfaces or addresses of the namespace in which it was opened change.
#[derive(Debug)]
pub struct NetworkChanges {
    socket: OwnedFd,
}

impl NetworkChanges {
    /// Begins to listen.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: open(GROUPS)? })
    }

    /// Waits up to `timeout`; whether there was a change.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let fd = self.socket.as_raw_fd();
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let timeout_ms = timeout.as_millis().min(i32::MAX as u128) as i32;
        // SAFETY: pointer and count describe the one entry.
        if unsafe { libc::poll(&raw mut poll, 1, timeout_ms) } < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) };
        }
        let mut changed = false;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match receive(&self.socket, &mut buffer, libc::MSG_DONTWAIT) {
                Ok(_) => changed = true,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => return Ok(changed),
                    // Messages were lost: then something has changed, too.
                    Some(libc::ENOBUFS) => changed = true,
                    _ => return Err(error),
                },
            }
        }
    }
}

fn list<T>(
    ask: u16,
    answer: u16,
    body: usize,
    read: fn(&[u8], &[u8]) -> Option<T>,
) -> io::Result<Vec<T>> {
    let socket = open(0)?;
    for attempt in 1.. {
        let (out, interrupted) = list_once(&socket, ask, answer, body, read)?;
        if !interrupted || attempt == ATTEMPTS {
            return Ok(out);
        }
    }
    Ok(Vec::new())
}

fn list_once<T>(
    socket: &OwnedFd,
    ask: u16,
    answer: u16,
    body: usize,
    read: fn(&[u8], &[u8]) -> Option<T>,
) -> io::Result<(Vec<T>, bool)> {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut request = vec![0; HEADER + body];
    request[..4].copy_from_slice(&((HEADER + body) as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&ask.to_ne_bytes());
    request[6..8].copy_from_slice(&flags.to_ne_bytes());
    let (pointer, bytes) = (request.as_ptr().cast(), request.len());
    // SAFETY: pointer and length describe the request.
    if unsafe { libc::send(socket.as_raw_fd(), pointer, bytes, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let (mut out, mut interrupted) = (Vec::new(), false);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let bytes = receive(socket, &mut buffer, 0)?;
        for message in parts(&buffer[..bytes], 0) {
            let Some(kind) = u16_at(message, 4) else { continue };
            interrupted |= u16_at(message, 6).unwrap_or(0) & libc::NLM_F_DUMP_INTR as u16 != 0;
            if i32::from(kind) == libc::NLMSG_DONE {
                return Ok((out, interrupted));
            }
            if i32::from(kind) == libc::NLMSG_ERROR {
                let code = u32_at(message, HEADER).unwrap_or(0).cast_signed();
                return Err(io::Error::from_raw_os_error(-code));
            }
            if kind == answer
                && let (Some(head), Some(rest)) =
                    (message.get(HEADER..HEADER + body), message.get(HEADER + body..))
            {
                out.extend(read(head, rest));
            }
        }
    }
}

fn read_link(head: &[u8], attributes: &[u8]) -> Option<Link> {
    let mut link = Link {
        index: u32_at(head, 4)?,
        is_loopback: u32_at(head, 8)? & libc::IFF_LOOPBACK as u32 != 0,
        ..Link::default()
    };
    for attribute in parts(attributes, 2) {
        let (kind, value) = (u16_at(attribute, 2)?, attribute.get(4..)?);
        match kind {
            IFLA_ADDRESS if value.len() == 6 => link.mac.copy_from_slice(value),
            IFLA_IFNAME => {
                let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
                link.name = String::from_utf8_lossy(name).into_owned();
            }
            IFLA_LINK => link.peer = u32_at(value, 0).filter(|peer| *peer != 0),
            _ => {}
        }
    }
    Some(link)
}

fn read_address(head: &[u8], attributes: &[u8]) -> Option<Address> {
    let (prefix, index) = (*head.get(1)?, u32_at(head, 4)?);
    let (mut address, mut local) = (None, None);
    for attribute in parts(attributes, 2) {
        let (kind, value) = (u16_at(attribute, 2)?, attribute.get(4..)?);
        let ip = match *value {
            [a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
            _ => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
        };
        match kind {
            IFA_ADDRESS => address = ip,
            // Of a point-to-point link the other is the far end's.
            IFA_LOCAL => local = ip,
            _ => {}
        }
    }
    Some(Address { index, ip: local.or(address)?, prefix })
}

/// Messages (with a length of four bytes) or attributes (of two) one after the other.
fn parts(mut bytes: &[u8], length_bytes: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = if length_bytes == 2 {
            usize::from(u16_at(bytes, 0)?)
        } else {
            u32_at(bytes, 0)? as usize
        };
        let part = bytes.get(..length).filter(|part| part.len() >= 4)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(part)
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|two| u16::from_ne_bytes(*two))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_ne_bytes(*four))
}

fn open(groups: u32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the type consists of numbers, for which zeros are valid.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as u16;
    address.nl_groups = groups;
    let (pointer, bytes) = ((&raw const address).cast(), size_of_val(&address) as u32);
    // SAFETY: pointer and length describe the address.
    if unsafe { libc::bind(socket.as_raw_fd(), pointer, bytes) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

fn receive(socket: &OwnedFd, buffer: &mut [u8], flags: i32) -> io::Result<usize> {
    let (pointer, bytes) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: pointer and length describe the buffer.
    let read = unsafe { libc::recv(socket.as_raw_fd(), pointer, bytes, flags) };
    if read < 0 { Err(io::Error::last_os_error()) } else { Ok(read as usize) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    #[test]
    fn a_pair_names_its_other_end() {
        let mut head = [0; LINK_BODY];
        head[4..8].copy_from_slice(&7u32.to_ne_bytes());
        let attributes = [
            attribute(IFLA_IFNAME, b"eth0\0"),
            attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 9]),
            attribute(IFLA_LINK, &12u32.to_ne_bytes()),
        ];
        let link = read_link(&head, &attributes.concat()).expect("sound");
        let wanted = Link {
            index: 7,
            name: "eth0".into(),
            mac: [2, 0, 0, 0, 0, 9],
            is_loopback: false,
            peer: Some(12),
        };
        assert_eq!(link, wanted);
    }

    #[test]
    fn the_near_end_of_a_point_to_point_link_counts() {
        let head = [2, 32, 0, 0, 5, 0, 0, 0];
        let head: Vec<u8> = head[..4].iter().copied().chain(5u32.to_ne_bytes()).collect();
        let far = attribute(IFA_ADDRESS, &[10, 0, 0, 2]);
        let near = attribute(IFA_LOCAL, &[10, 0, 0, 1]);
        let found = read_address(&head, &[far.clone(), near].concat()).expect("sound");
        assert_eq!(found, Address { index: 5, ip: [10, 0, 0, 1].into(), prefix: 32 });
        let found = read_address(&head, &far).expect("sound");
        assert_eq!(found.ip, IpAddr::from([10, 0, 0, 2]));
        assert_eq!(read_address(&head, &[]), None);
    }

    #[test]
    fn damaged_messages_end_the_list() {
        for bytes in [&[][..], &[0; 3], &[0; 16], &[255; 16], &[3, 0, 0, 0]] {
            assert_eq!(parts(bytes, 0).count(), 0, "{bytes:?}");
            let _ = read_link(bytes, bytes);
            let _ = read_address(bytes, bytes);
        }
        let cut = &attribute(IFLA_IFNAME, b"eth0\0")[..6];
        assert_eq!(parts(cut, 2).count(), 0);
    }

    #[test]
    fn the_loopback_is_listed() {
        let links = links().expect("links");
        let lo = links.iter().find(|link| link.is_loopback).expect("a loopback");
        let addresses = addresses().expect("addresses");
        let is_home = |a: &Address| a.index == lo.index && a.ip == IpAddr::from([127, 0, 0, 1]);
        assert!(addresses.iter().any(is_home), "{addresses:?}");
        let changes = NetworkChanges::open().expect("open");
        changes.wait(Duration::ZERO).expect("wait");
    }
}
