//! Rows of calls on files that took long.

use std::net::IpAddr;

use metadata::Owner;
use schema::file_event::Row;
use schema::{FileType, SignalSource, Text};
use source::bpf::{FileEvent, Hook};

use super::l7_rows::address;

const NS_A_US: u64 = 1_000;
const US_A_SECOND: u64 = 1_000_000;
/// Kinds of file systems that are on other hosts, by `f_type` of statfs(2): NFS, SMB (its three names),
/// Ceph, AFS, Coda, 9P, Lustre, OCFS2.
const NETWORKS: [u32; 10] = [
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x00c3_6400,
    0x5346_414f,
    0x7375_7245,
    0x0102_1997,
    0x0bd0_0bd0,
    0x7461_636f,
];

/// The row of a call of a process on this host.
pub fn row(host_ip: IpAddr, owner: Owner, event: &FileEvent<'_>) -> Row {
    let (ip4, ip6) = address(host_ip);
    let hook = event.caller.hook;
    let end_us = event.caller.time_ns / NS_A_US;
    let start_us = event.caller.time_ns.saturating_sub(event.duration_ns) / NS_A_US;
    let text = |bytes: &[u8]| Text::from_utf8_lossy(bytes);
    Row {
        time: (end_us / US_A_SECOND) as u32,
        start_time: start_us as i64,
        end_time: end_us as i64,
        signal_source: SignalSource::Ebpf.id(),
        event_type: event_type(hook).into(),
        event_desc: format!("{} of process {} ({})", hook.name(), owner.name, owner.tgid).into(),
        process_id: owner.tgid,
        process_kname: owner.name,
        container_id: owner.container,
        is_ipv4: u8::from(host_ip.is_ipv4()),
        ip4,
        ip6,
        syscall: hook.name().into(),
        bytes: event.moved.unwrap_or(0),
        requested_bytes: event.asked_bytes.unwrap_or(0),
        error_code: event.moved.err().map_or(0, |error| error as u16),
        duration: event.duration_ns / NS_A_US,
        file_name: text(event.path.name()),
        file_type: file_type(event).id(),
        offset: event.offset_bytes,
        syscall_thread: event.caller.tid,
        syscall_coroutine: event.coroutine_id,
        syscall_trace_id: event.trace_id,
        mount_source: text(event.path.source),
        mount_point: text(&event.path.mount_point().unwrap_or_default()),
        file_dir: text(&event.path.folder().unwrap_or_default()),
        inode: event.inode,
    }
}

/// What the call does with the file. DeepFlow has the first two; syncs it does not tell.
const fn event_type(hook: Hook) -> &'static str {
    match hook {
        Hook::Write | Hook::Writev | Hook::Pwrite64 | Hook::Pwritev | Hook::Pwritev2 => "write",
        Hook::Fsync | Hook::Fdatasync => "sync",
        _ => "read",
    }
}

fn file_type(event: &FileEvent<'_>) -> FileType {
    match event.magic {
        _ if event.is_virtual => FileType::Virtual,
        magic if NETWORKS.contains(&magic) => FileType::Network,
        _ => FileType::Regular,
    }
}
