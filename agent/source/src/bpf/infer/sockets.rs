//! Fields of files, sockets and their TCP state.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use super::super::relocate::Offsets;
use super::super::sys;
use super::lab::{CLIENT, Lab, RAW_PROTOCOL, SERVER};
use super::task::Task;
use super::{Memory, addresses, is_address, u16_at, u32_at, u64_at};

/// Without these no socket can be told.
pub const REQUIRED: &[(&str, &str)] = &[
    ("file", "private_data"),
    ("socket", "file"),
    ("socket", "sk"),
    ("socket", "type"),
    ("socket_alloc", "vfs_inode"),
    ("sock", "sk_protocol"),
    ("sock_common", "skc_daddr"),
    ("sock_common", "skc_rcv_saddr"),
    ("sock_common", "skc_dport"),
    ("sock_common", "skc_num"),
    ("sock_common", "skc_family"),
];

const SOCK_BYTES: usize = 3072;
/// As far as programs read from the start of a socket (`SOCKET_BYTES` of bpf/lib/sock.bpf.h).
const SOCKET_BYTES: usize = 256;
const PATIENCE: Duration = Duration::from_secs(1);

/// A socket of ours and where it is in memory.
struct Known {
    file: u64,
    socket: u64,
    sk: u64,
    inode: u64,
}

pub fn find(memory: &impl Memory, task: Task, offsets: &mut Offsets) -> Result<(), String> {
    let lab = Lab::new().map_err(|error| format!("sockets on loopback: {error}"))?;
    let file_of = |fd: i32| {
        let slot = memory.read(task.slots + fd.unsigned_abs() as u64 * 8, 8);
        u64_at(&slot, 0).filter(|&file| is_address(file)).ok_or("an open file is not in the table")
    };
    let sockets = lab.sockets().map_err(|error| error.to_string())?;
    let files = sockets.iter().map(|&(fd, inode)| Ok((file_of(fd)?, inode)));
    let files = files.collect::<Result<Vec<_>, String>>()?;
    let mut known = find_socket(memory, &files, offsets)?;
    find_sk(memory, &mut known, &lab, offsets)?;
    find_kind(memory, &known, offsets)?;
    find_protocol(memory, &known, offsets)?;
    find_references(memory, &known, &lab, offsets);
    if let Some(netns) = task.netns {
        let sk = memory.read(known[0].sk, 128);
        if let Some((at, _)) = addresses(&sk, 0, 128).find(|&(_, address)| address == netns) {
            offsets.set("sock_common", "skc_net", at);
        }
    }
    if let Some(mapped) = &lab.mapped {
        let file = file_of(mapped.as_raw_fd())?;
        find_ipv6(memory, file, offsets);
    }
    find_sequences(memory, &known, &lab, offsets);
    Ok(())
}

/// The one place that all agree on; the error names the field.
fn only(places: BTreeSet<usize>, field: &str) -> Result<usize, String> {
    places.first().copied().ok_or_else(|| format!("{field} was not found"))
}

/// Places that hold in every one of `all`.
fn common<T>(all: &[T], places: impl Fn(&T) -> BTreeSet<usize>) -> BTreeSet<usize> {
    let mut sets = all.iter().map(places);
    let first = sets.next().unwrap_or_default();
    sets.fold(first, |left, right| left.intersection(&right).copied().collect())
}

/// `file.private_data` leads to a socket, which points back to the file.
fn find_socket(
    memory: &impl Memory,
    files: &[(u64, u64)],
    offsets: &mut Offsets,
) -> Result<Vec<Known>, String> {
    // Both places as one number, so that they are agreed on together.
    let pairs = common(files, |&(file, _)| {
        let bytes = memory.read(file, 320);
        let mut found = BTreeSet::new();
        for (at, address) in addresses(&bytes, 0, 320) {
            let socket = memory.read(address, 64);
            found.extend(
                addresses(&socket, 0, 64)
                    .filter(|&(_, back)| back == file)
                    .map(|(back, _)| at << 16 | back),
            );
        }
        found
    });
    // Lists of files point back, too (3.10): what is a socket has the number of its inode near.
    for pair in pairs {
        let (private_data, back) = (pair >> 16, pair & 0xffff);
        let mut known = Vec::new();
        for &(file, inode) in files {
            let socket = u64_at(&memory.read(file + private_data as u64, 8), 0).unwrap_or(0);
            known.push(Known { file, socket, sk: 0, inode });
        }
        let inodes = common(&known, |one| {
            let bytes = memory.read(one.socket, SOCKET_BYTES);
            let is_here = |at: &usize| u64_at(&bytes, *at) == Some(one.inode);
            (0..SOCKET_BYTES - 7).step_by(8).filter(is_here).collect()
        });
        if let Some(&inode) = inodes.first() {
            offsets.set("file", "private_data", private_data);
            offsets.set("socket", "file", back);
            offsets.set("socket_alloc", "vfs_inode", inode);
            return Ok(known);
        }
    }
    Err("file.private_data was not found".to_owned())
}

/// `socket.sk` leads to the addresses and ports of the connection, mirrored at its other end.
fn find_sk(
    memory: &impl Memory,
    known: &mut [Known],
    lab: &Lab,
    offsets: &mut Offsets,
) -> Result<(), String> {
    let port = |address: std::io::Result<SocketAddr>| address.map_or(0, |address| address.port());
    let (own, peer) = (port(lab.client.local_addr()), port(lab.server.local_addr()));
    let ends = [(0, CLIENT, SERVER, own, peer), (1, SERVER, CLIENT, peer, own)];
    let words = |bytes: &[u8], wanted: u32| -> BTreeSet<usize> {
        (0..128).step_by(4).filter(|&at| u32_at(bytes, at) == Some(wanted)).collect()
    };
    let halves = |bytes: &[u8], wanted: u16| -> BTreeSet<usize> {
        (0..128).step_by(2).filter(|&at| u16_at(bytes, at) == Some(wanted)).collect()
    };
    let socket = memory.read(known[0].socket, 64);
    for (place, _) in addresses(&socket, 0, 64) {
        let sk_of =
            |one: &Known| u64_at(&memory.read(one.socket + place as u64, 8), 0).unwrap_or(0);
        let both: Vec<_> = ends
            .map(|(n, own_ip, peer_ip, own, peer)| {
                (memory.read(sk_of(&known[n]), 128), own_ip, peer_ip, own, peer)
            })
            .into();
        let remote = common(&both, |end| words(&end.0, u32::from(end.2).to_be()));
        let local = common(&both, |end| words(&end.0, u32::from(end.1).to_be()));
        let remote_port = common(&both, |end| halves(&end.0, end.4.to_be()));
        let local_port = common(&both, |end| halves(&end.0, end.3));
        let family = common(&both, |end| {
            // AF_INET, then the state: established.
            let is_here =
                |at: &usize| u16_at(&end.0, *at) == Some(2) && end.0.get(at + 2) == Some(&1);
            (0..64).step_by(2).filter(is_here).collect()
        });
        let found = [&remote, &local, &remote_port, &local_port, &family].map(BTreeSet::first);
        if let [Some(&daddr), Some(&saddr), Some(&dport), Some(&num), Some(&family)] = found {
            offsets.set("socket", "sk", place);
            for (field, at) in [
                ("skc_daddr", daddr),
                ("skc_rcv_saddr", saddr),
                ("skc_dport", dport),
                ("skc_num", num),
                ("skc_family", family),
                ("skc_state", family + 2),
            ] {
                offsets.set("sock_common", field, at);
            }
            for one in known.iter_mut() {
                one.sk = sk_of(one);
            }
            return check_states(memory, known, family);
        }
    }
    Err("socket.sk was not found".to_owned())
}

/// A listener is in state 10, a UDP socket without a peer in 7.
fn check_states(memory: &impl Memory, known: &[Known], family: usize) -> Result<(), String> {
    for (n, state) in [(2, 10), (3, 7)] {
        let head = memory.read(known[n].sk + family as u64, 4);
        if u16_at(&head, 0) != Some(2) || head.get(2) != Some(&state) {
            return Err("sock_common.skc_state is not where it seemed to be".to_owned());
        }
    }
    Ok(())
}

/// `socket.type`: stream, stream, stream, datagram, raw.
fn find_kind(memory: &impl Memory, known: &[Known], offsets: &mut Offsets) -> Result<(), String> {
    let kinds: Vec<(u64, u16)> = known.iter().map(|one| one.socket).zip([1, 1, 1, 2, 3]).collect();
    let places = common(&kinds, |&(socket, kind)| {
        let bytes = memory.read(socket, 64);
        (0..62).step_by(2).filter(|&at| u16_at(&bytes, at) == Some(kind)).collect()
    });
    offsets.set("socket", "type", only(places, "socket.type")?);
    Ok(())
}

/// `sk_protocol`, beside the type: a byte before 5.6, two bytes since.
fn find_protocol(
    memory: &impl Memory,
    known: &[Known],
    offsets: &mut Offsets,
) -> Result<(), String> {
    let wanted = [6, 6, 6, 17, RAW_PROTOCOL];
    let kinds = [1u16, 1, 1, 2, 3];
    let socks: Vec<(Vec<u8>, u8, u16)> = known
        .iter()
        .zip(wanted.into_iter().zip(kinds))
        .map(|(one, (protocol, kind))| (memory.read(one.sk, SOCK_BYTES), protocol, kind))
        .collect();
    // Where the type is from the protocol, and how many bytes the protocol then has.
    for (distance, bytes) in [(1, 1), (2, 2), (-2, 2)] {
        let places = common(&socks, |(sock, protocol, kind)| {
            let is_here = |at: &usize| {
                let place = at.checked_add_signed(distance);
                sock[*at] == *protocol && place.and_then(|place| u16_at(sock, place)) == Some(*kind)
            };
            (2..sock.len().min(1024)).filter(is_here).collect()
        });
        if let Some(&at) = places.first() {
            offsets.set_sized("sock", "sk_protocol", at, bytes);
            return Ok(());
        }
    }
    Err("sock.sk_protocol was not found".to_owned())
}

/// The file's counter of references, which rises by two with two more descriptors. From 6.13 it
/// is one less than there are.
fn find_references(memory: &impl Memory, known: &[Known], lab: &Lab, offsets: &mut Offsets) {
    let read = || memory.read(known[3].file, 256);
    let before = read();
    let twins = (lab.udp.try_clone(), lab.udp.try_clone());
    let with_two_more = read();
    drop(twins);
    let after = read();
    let value = |bytes: &[u8], at: usize| u64_at(bytes, at).unwrap_or(u64::MAX);
    let places: Vec<(usize, u64)> = (0..before.len())
        .step_by(8)
        .map(|at| (at, value(&before, at)))
        .filter(|&(at, first)| {
            first <= 1 && value(&with_two_more, at) == first + 2 && value(&after, at) == first
        })
        .collect();
    if let [(at, first)] = places[..] {
        offsets.set("file", if first == 1 { "f_count" } else { "f_ref" }, at);
    }
}

/// The addresses of a socket of IPv6, which here are IPv4's, mapped.
fn find_ipv6(memory: &impl Memory, file: u64, offsets: &mut Offsets) {
    let step = |address: u64, structure: &str, field: &str| {
        let place = offsets.get(structure, field)?;
        u64_at(&memory.read(address + u64::from(place.offset), 8), 0)
    };
    let sk = step(file, "file", "private_data").and_then(|socket| step(socket, "socket", "sk"));
    let Some(sk) = sk else { return };
    let bytes = memory.read(sk, 256);
    let find = |ip: std::net::Ipv4Addr| {
        let wanted = ip.to_ipv6_mapped().octets();
        bytes.windows(16).position(|window| window == wanted)
    };
    // The kernel chose our own address: for loopback that of the peer, or 127.0.0.1.
    let remote = find(SERVER);
    let local = bytes.windows(16).enumerate().find_map(|(at, window)| {
        let is_loopback =
            window[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] && window[12] == 127;
        (is_loopback && Some(at) != remote).then_some(at)
    });
    if let (Some(remote), Some(local)) = (remote, local) {
        offsets.set("sock_common", "skc_v6_daddr", remote);
        offsets.set("sock_common", "skc_v6_rcv_saddr", local);
    }
}

/// `write_seq` rises by what is written before it is sent, `copied_seq` by what is read.
fn find_sequences(memory: &impl Memory, known: &[Known], lab: &Lab, offsets: &mut Offsets) {
    let (client, server) = (known[0].sk, known[1].sk);
    let grown = |before: &[u8], after: &[u8], by: usize| -> BTreeSet<usize> {
        let by = u32::try_from(by).unwrap_or(0);
        let is_here = |at: &usize| {
            let values = u32_at(before, *at).zip(u32_at(after, *at));
            values.is_some_and(|(before, after)| before.wrapping_add(by) == after)
        };
        (0..before.len()).step_by(4).filter(is_here).collect()
    };
    let mut writes: Option<BTreeSet<usize>> = None;
    for bytes in [7, 11, 29] {
        let before = memory.read(client, SOCK_BYTES);
        if sys::send(lab.client.as_fd(), &vec![b'.'; bytes], libc::MSG_MORE).ok() != Some(bytes) {
            return;
        }
        let found = grown(&before, &memory.read(client, SOCK_BYTES), bytes);
        writes = Some(
            writes.map_or(found.clone(), |known| known.intersection(&found).copied().collect()),
        );
    }
    let mut stream: &TcpStream = &lab.server;
    let ready = sys::send(lab.client.as_fd(), &[b'.'; 200], 0).is_ok()
        && lab.server.set_read_timeout(Some(PATIENCE)).is_ok()
        && wait_for(&lab.server, 247);
    if !ready {
        return;
    }
    let mut reads: Option<BTreeSet<usize>> = None;
    for bytes in [13, 31, 17, 5] {
        let before = memory.read(server, SOCK_BYTES);
        if stream.read_exact(&mut vec![0; bytes]).is_err() {
            return;
        }
        let found = grown(&before, &memory.read(server, SOCK_BYTES), bytes);
        reads = Some(
            reads.map_or(found.clone(), |known| known.intersection(&found).copied().collect()),
        );
    }
    let (Some(writes), Some(reads)) = (writes, reads) else { return };
    // What the one end has written is what the other has read, and what is left.
    let (written, read) = (memory.read(client, SOCK_BYTES), memory.read(server, SOCK_BYTES));
    let left = 247 - (13 + 31 + 17 + 5);
    let agree = |write: usize, copied: usize| {
        let values = u32_at(&written, write).zip(u32_at(&read, copied));
        values.is_some_and(|(write, copied)| write.wrapping_sub(copied) == left)
    };
    let pair = writes
        .iter()
        .flat_map(|&write| reads.iter().map(move |&copied| (write, copied)))
        .find(|&(write, copied)| agree(write, copied));
    if let Some((write, copied)) = pair {
        offsets.set("tcp_sock", "write_seq", write);
        offsets.set("tcp_sock", "copied_seq", copied);
    }
}

/// Waits until so many bytes can be read.
fn wait_for(stream: &TcpStream, bytes: usize) -> bool {
    let mut buffer = vec![0; bytes];
    (0..1000).any(|_| {
        let there = stream.peek(&mut buffer).is_ok_and(|there| there == bytes);
        if !there {
            std::thread::sleep(Duration::from_millis(1));
        }
        there
    })
}
