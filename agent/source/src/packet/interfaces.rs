//! The interfaces of this network namespace.

#![expect(unsafe_code, reason = "getifaddrs and if_indextoname are C interfaces")]

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::PacketError;

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// MAC address; zeros where it has none.
    pub mac: [u8; 6],
    /// Addresses, in the order of the system.
    pub ips: Vec<IpAddr>,
    /// Whether it is a loopback.
    pub is_loopback: bool,
}

/// Every interface, by index.
pub fn interfaces() -> Result<Vec<Interface>, PacketError> {
    let mut list = std::ptr::null_mut();
    // SAFETY: `list` is a valid place for the head of the list.
    if unsafe { libc::getifaddrs(&mut list) } != 0 {
        return Err(PacketError::last("getifaddrs"));
    }
    let mut links = BTreeMap::new();
    let mut addresses: Vec<(String, IpAddr)> = Vec::new();
    let mut next = list;
    // SAFETY: the list is valid until `freeifaddrs`, and ends with null.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        // SAFETY: names in the list are NUL-terminated.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy().into_owned();
        // SAFETY: an address is null or points to a socket address.
        let Some(address) = (unsafe { entry.ifa_addr.as_ref() }) else { continue };
        match i32::from(address.sa_family) {
            libc::AF_PACKET => {
                // SAFETY: the family says that it is a link-layer address.
                let link = unsafe { &*entry.ifa_addr.cast::<libc::sockaddr_ll>() };
                let mut mac = [0; 6];
                if link.sll_halen == 6 {
                    mac.copy_from_slice(&link.sll_addr[..6]);
                }
                let index = link.sll_ifindex as u32;
                let is_loopback = entry.ifa_flags & libc::IFF_LOOPBACK as u32 != 0;
                links.insert(index, Interface { index, name, mac, ips: Vec::new(), is_loopback });
            }
            libc::AF_INET => {
                // SAFETY: the family says that it is an IPv4 address.
                let v4 = unsafe { &*entry.ifa_addr.cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                addresses.push((name, IpAddr::V4(ip)));
            }
            libc::AF_INET6 => {
                // SAFETY: the family says that it is an IPv6 address.
                let v6 = unsafe { &*entry.ifa_addr.cast::<libc::sockaddr_in6>() };
                addresses.push((name, IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr))));
            }
            _ => {}
        }
    }
    // SAFETY: `list` came from `getifaddrs`, and nothing points into it any more.
    unsafe { libc::freeifaddrs(list) };
    let mut out: Vec<Interface> = links.into_values().collect();
    for (name, ip) in addresses {
        // A label ("eth0:1") belongs to the interface before the colon.
        let base = name.split(':').next().unwrap_or(&name);
        if let Some(nic) = out.iter_mut().find(|nic| nic.name == base) {
            nic.ips.push(ip);
        }
    }
    Ok(out)
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
