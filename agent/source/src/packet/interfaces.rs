//! The interfaces of a network namespace.

#![expect(unsafe_code, reason = "if_indextoname and setns are C interfaces")]

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::{PacketError, netlink};

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// MAC address; zeros where it has none.
    pub mac: [u8; 6],
    /// Addresses with the length of their network's prefix, in the order of the system.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Whether it is a loopback.
    pub is_loopback: bool,
    /// Index of what it is attached to: the other end of a pair, which may be in another namespace,
    /// or the interface below it.
    pub peer: Option<u32>,
}

/// Every interface of this namespace, by index.
pub fn interfaces() -> Result<Vec<Interface>, PacketError> {
    let failed = |source| PacketError::Call { call: "rtnetlink", source };
    let mut out: Vec<Interface> = netlink::links()
        .map_err(failed)?
        .into_iter()
        .map(|link| Interface {
            index: link.index,
            name: link.name,
            mac: link.mac,
            addresses: Vec::new(),
            is_loopback: link.is_loopback,
            peer: link.peer,
        })
        .collect();
    out.sort_by_key(|nic| nic.index);
    for address in netlink::addresses().map_err(failed)? {
        if let Ok(at) = out.binary_search_by_key(&address.index, |nic| nic.index) {
            out[at].addresses.push((address.ip, address.prefix));
        }
    }
    Ok(out)
}

/// Every interface of the namespace behind a file such as `/proc/7/ns/net`; needs CAP_SYS_ADMIN.
pub fn interfaces_in(namespace: &Path) -> Result<Vec<Interface>, PacketError> {
    let failed = |source| PacketError::Call { call: "setns", source };
    let file = File::open(namespace).map_err(failed)?;
    // A thread of its own, because it cannot be sure to come back.
    let thread = std::thread::Builder::new().name("namespace".into()).spawn(move || {
        // SAFETY: the descriptor is open; only this thread changes its namespace.
        if unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
            return Err(PacketError::last("setns"));
        }
        interfaces()
    });
    let ended = thread.map_err(failed)?.join();
    ended.unwrap_or_else(|_| Err(failed(io::Error::other("the thread panicked"))))
}

/// The name of an interface; `None` when it is gone.
pub(super) fn name(index: u32) -> Option<String> {
    let mut buffer = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the size that the call asks for.
    let name = unsafe { libc::if_indextoname(index, buffer.as_mut_ptr()) };
    if name.is_null() {
        return None;
    }
    // SAFETY: the call has written a NUL-terminated name into the buffer.
    Some(unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
}
