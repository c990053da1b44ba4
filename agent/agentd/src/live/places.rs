//! The thread of places: which addresses are at home here, in which namespace, at which interface.
//!
//! Looked at again when the kernel tells of a change, when somebody is seen in a namespace that is
//! not known, and every few seconds, since other namespaces tell nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flow::LocalAddresses;
use flow::point::Mac;
use metadata::{Netns, Places, process};
use source::packet::{self, Interface, NetworkChanges};

use super::Shared;
use crate::surroundings::Known;

const PAUSE: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two looks that were asked for.
const LOOK_PAUSE: Duration = Duration::from_millis(300);
/// Namespaces looked into; further ones are as addresses of other hosts.
const NAMESPACES_MAX: usize = 4096;
/// Where namespaces have names, whether or not a process lives in them.
const NAMED: [&str; 2] = ["run/netns", "run/docker/netns"];

/// Runs until the stop flag is set.
pub fn run(shared: &Shared) {
    let changes = NetworkChanges::open();
    if let Err(error) = &changes {
        tracing::warn!(%error, "changes of interfaces are seen late");
    }
    let mut looked = Instant::now();
    while !shared.stopping() {
        let changed = match &changes {
            Ok(changes) => changes.wait(PAUSE).unwrap_or_else(|_| {
                std::thread::sleep(PAUSE);
                false
            }),
            Err(_) => {
                std::thread::sleep(PAUSE);
                false
            }
        };
        let asked = looked.elapsed() >= LOOK_PAUSE && shared.surroundings.take_asked();
        if changed || asked || looked.elapsed() >= LOOK_EVERY {
            looked = Instant::now();
            if shared.surroundings.set(look(&shared.config.proc_dir)) {
                tracing::debug!("addresses of this host have changed");
            }
        }
    }
}

/// The addresses as they are now.
pub fn look(proc: &Path) -> Known {
    let own = process::netns(Path::new("/proc"), std::process::id());
    let mut known = Known { places: Places::new(own), ..Known::default() };
    let interfaces = packet::interfaces().unwrap_or_default();
    let (mut macs, mut ips) = (Vec::new(), Vec::new());
    take(own, &interfaces, &mut known, &mut ips);
    macs.extend(interfaces.iter().map(|nic| Mac { mac: nic.mac, space: own, nic: nic.index }));
    for (space, file) in namespaces(proc, own) {
        let Ok(inside) = packet::interfaces_in(&file) else { continue };
        take(space, &inside, &mut known, &mut ips);
        macs.extend(inside.iter().map(|nic| Mac {
            mac: nic.mac,
            space,
            nic: attached_to(nic, &interfaces).unwrap_or(0),
        }));
    }
    let loopbacks = interfaces.iter().filter(|nic| nic.is_loopback).map(|nic| nic.index);
    known.local = LocalAddresses::new(own, macs, ips, loopbacks);
    known
}

fn take(
    space: Netns,
    interfaces: &[Interface],
    known: &mut Known,
    ips: &mut Vec<(std::net::IpAddr, u32)>,
) {
    known.spaces.insert(space);
    for (ip, prefix) in interfaces.iter().flat_map(|nic| &nic.addresses) {
        known.places.insert(space, *ip, *prefix);
        if !ip.is_loopback() {
            ips.push((*ip, space));
        }
    }
}

/// The interface here that one of another namespace is attached to: its other half, or the one
/// below it. Both halves of a pair must name each other, since numbers are each namespace's own.
fn attached_to(inside: &Interface, here: &[Interface]) -> Option<u32> {
    let peer = here.iter().find(|nic| Some(nic.index) == inside.peer)?;
    peer.peer.is_none_or(|back| back == inside.index).then_some(peer.index)
}

/// A file for each namespace other than our own.
fn namespaces(proc: &Path, own: Netns) -> BTreeMap<Netns, PathBuf> {
    let mut out = BTreeMap::new();
    let mut seen = BTreeSet::from([own, 0]);
    for tgid in process::list(proc) {
        let netns = process::netns(proc, tgid);
        if out.len() < NAMESPACES_MAX && seen.insert(netns) {
            out.insert(netns, proc.join(tgid.to_string()).join("ns/net"));
        }
    }
    // Names are the host's, which process 1 sees where the agent is in a container.
    let roots = [PathBuf::from("/"), proc.join("1/root")];
    for folder in roots.iter().flat_map(|root| NAMED.map(|named| root.join(named))) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let netns = entry.metadata().map_or(0, |file| file.ino() as Netns);
            if out.len() < NAMESPACES_MAX && seen.insert(netns) {
                out.insert(netns, entry.path());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(index: u32, peer: Option<u32>) -> Interface {
        Interface {
            index,
            name: format!("nic{index}"),
            mac: [2, 0, 0, 0, 0, index as u8],
            addresses: Vec::new(),
            is_loopback: false,
            peer,
        }
    }

    #[test]
    fn halves_of_a_pair_name_each_other() {
        let here = [nic(2, None), nic(7, Some(3)), nic(8, Some(2))];
        assert_eq!(attached_to(&nic(3, Some(7)), &here), Some(7));
        assert_eq!(attached_to(&nic(4, Some(7)), &here), None, "the pair of somebody else");
        assert_eq!(attached_to(&nic(5, Some(2)), &here), Some(2), "on top of an uplink");
        assert_eq!(attached_to(&nic(6, None), &here), None);
        assert_eq!(attached_to(&nic(6, Some(99)), &here), None);
    }

    #[test]
    fn this_host_is_known() {
        let known = look(Path::new("/proc"));
        let own = known.places.own();
        assert!(own != 0 && known.spaces.contains(&own));
        for (ip, _) in packet::interfaces().expect("listed").iter().flat_map(|nic| &nic.addresses) {
            assert!(known.places.is_here(*ip), "{ip}");
        }
    }
}
