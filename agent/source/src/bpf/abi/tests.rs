//! Has clang compare the numbers of this module with `bpf/abi/*.h`.

use std::path::Path;
use std::process::Command;

use crate::bpf::event::Hook;

use super::*;

/// C expression on the left, our number on the right.
fn facts() -> Vec<(String, usize)> {
    let mut facts = vec![
        ("DF_ABI_VERSION".to_owned(), usize::from(VERSION)),
        ("DF_COMM_BYTES".to_owned(), COMM_BYTES),
        ("DF_CGROUP_BYTES".to_owned(), CGROUP_BYTES),
        ("DF_MOUNT_SOURCE_BYTES".to_owned(), MOUNT_SOURCE_BYTES),
        ("DF_CHUNK_BYTES".to_owned(), CHUNK_BYTES),
        ("DF_PAYLOAD_BYTES_MAX".to_owned(), PAYLOAD_BYTES_MAX),
    ];
    for (name, value) in [
        ("DF_EVENT_DATA", kind::DATA),
        ("DF_EVENT_CONNECT", kind::CONNECT),
        ("DF_EVENT_ACCEPT", kind::ACCEPT),
        ("DF_EVENT_CLOSE", kind::CLOSE),
        ("DF_EVENT_EXEC", kind::EXEC),
        ("DF_EVENT_EXIT", kind::EXIT),
        ("DF_EVENT_FORK", kind::FORK),
        ("DF_EVENT_FILE", kind::FILE),
        ("DF_FLAG_LAST", flag::LAST),
        ("DF_FLAG_UNREADABLE", flag::UNREADABLE),
        ("DF_FLAG_SEQ_UNSURE", flag::SEQ_UNSURE),
        ("DF_FLAG_NO_SEQ", flag::NO_SEQ),
        ("DF_FLAG_NO_COPY", flag::NO_COPY),
        ("DF_FLAG_NO_CGROUP", flag::NO_CGROUP),
        ("DF_FILE_PATH_CUT", file_flag::PATH_CUT),
        ("DF_FILE_NO_MOUNT", file_flag::NO_MOUNT),
        ("DF_FILE_VIRTUAL", file_flag::VIRTUAL),
        ("DF_INGRESS", direction::INGRESS),
        ("DF_EGRESS", direction::EGRESS),
        ("DF_ROLE_CONNECT", role::CONNECT),
        ("DF_ROLE_ACCEPT", role::ACCEPT),
    ] {
        facts.push((name.to_owned(), usize::from(value)));
    }
    for hook in Hook::ALL {
        facts.push((format!("DF_HOOK_{}", hook.name().to_uppercase()), usize::from(hook.id())));
    }
    for drop in [schema::Drop::RingFull, schema::Drop::PayloadUnreadable, schema::Drop::MapFull] {
        let name = drop.name().to_uppercase();
        facts.push((format!("DF_DROP_{name}"), usize::from(drop.id())));
    }
    for (of, bytes) in [
        ("df_event", event::BYTES),
        ("df_tuple", tuple::BYTES),
        ("df_data", data::BYTES),
        ("df_socket", socket::BYTES),
        ("df_process", process::BYTES),
        ("df_exec", exec::BYTES),
        ("df_file", file::BYTES),
    ] {
        facts.push((format!("sizeof(struct {of})"), bytes));
    }
    for (of, field, offset) in offsets() {
        facts.push((format!("__builtin_offsetof(struct {of}, {field})"), offset));
    }
    facts
}

fn offsets() -> Vec<(&'static str, &'static str, usize)> {
    vec![
        ("df_event", "kind", event::KIND),
        ("df_event", "version", event::VERSION),
        ("df_event", "hook", event::HOOK),
        ("df_event", "flags", event::FLAGS),
        ("df_event", "tgid", event::TGID),
        ("df_event", "tid", event::TID),
        ("df_event", "fd", event::FD),
        ("df_event", "mono_ns", event::MONO_NS),
        ("df_event", "comm", event::COMM),
        ("df_tuple", "local_addr", tuple::LOCAL_ADDR),
        ("df_tuple", "remote_addr", tuple::REMOTE_ADDR),
        ("df_tuple", "local_port", tuple::LOCAL_PORT),
        ("df_tuple", "remote_port", tuple::REMOTE_PORT),
        ("df_tuple", "ip_version", tuple::IP_VERSION),
        ("df_tuple", "protocol", tuple::PROTOCOL),
        ("df_tuple", "role", tuple::ROLE),
        ("df_data", "tuple", data::TUPLE),
        ("df_data", "socket_id", data::SOCKET_ID),
        ("df_data", "trace_id", data::TRACE_ID),
        ("df_data", "coroutine_id", data::COROUTINE_ID),
        ("df_data", "cap_seq", data::CAP_SEQ),
        ("df_data", "tcp_seq", data::TCP_SEQ),
        ("df_data", "message_bytes", data::MESSAGE_BYTES),
        ("df_data", "offset_bytes", data::OFFSET_BYTES),
        ("df_data", "payload_bytes", data::PAYLOAD_BYTES),
        ("df_data", "direction", data::DIRECTION),
        ("df_socket", "tuple", socket::TUPLE),
        ("df_socket", "socket_id", socket::SOCKET_ID),
        ("df_socket", "result", socket::RESULT),
        ("df_process", "parent_tgid", process::PARENT_TGID),
        ("df_process", "exit_code", process::EXIT_CODE),
        ("df_process", "path_bytes", process::PATH_BYTES),
        ("df_process", "netns", process::NETNS),
        ("df_exec", "cgroup", exec::CGROUP),
        ("df_file", "trace_id", file::TRACE_ID),
        ("df_file", "coroutine_id", file::COROUTINE_ID),
        ("df_file", "duration_ns", file::DURATION_NS),
        ("df_file", "offset_bytes", file::OFFSET_BYTES),
        ("df_file", "asked_bytes", file::ASKED_BYTES),
        ("df_file", "result", file::RESULT),
        ("df_file", "inode", file::INODE),
        ("df_file", "device", file::DEVICE),
        ("df_file", "magic", file::MAGIC),
        ("df_file", "path_bytes", file::PATH_BYTES),
        ("df_file", "mount_bytes", file::MOUNT_BYTES),
        ("df_file", "source", file::SOURCE),
        ("df_socket", "netns", socket::NETNS),
    ]
}

/// Whether clang accepts these facts; its words if not.
fn compare(facts: &[(String, usize)]) -> Result<(), String> {
    let clang = std::env::var("DEEPFLOW_CLANG").unwrap_or_else(|_| "clang-16".to_owned());
    let abi = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bpf/abi");
    let mut text = String::from("#include \"event.h\"\n#include \"drops.h\"\n");
    for (expression, number) in facts {
        text += &format!("_Static_assert({expression} == {number}, \"{number}\");\n");
    }
    let dir = std::env::temp_dir().join(format!("deepflow-abi-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary folder");
    let file = dir.join(format!("probe{}.c", facts.len()));
    std::fs::write(&file, text).expect("a temporary file");
    let output = Command::new(&clang)
        .args(["-target", "bpf", "-fsyntax-only", "-Wno-comment", "-I"])
        .arg(abi)
        .arg(&file)
        .output();
    std::fs::remove_file(&file).expect("our own file");
    let output = output.map_err(|error| format!("{clang}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn header_and_offsets_agree() {
    assert_eq!(compare(&facts()), Ok(()));
}

#[test]
fn a_wrong_offset_is_found() {
    let wrong = vec![("__builtin_offsetof(struct df_data, socket_id)".to_owned(), 72)];
    assert!(compare(&wrong).expect_err("84 is wrong").contains("static assertion failed"));
}
