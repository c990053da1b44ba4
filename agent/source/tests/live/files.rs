//! Calls on files: which are told, and that all of what is told is true.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use source::bpf::{BpfConfig, FileCalls, FileMode, Hook};

use super::capture::{Capture, Filed};

fn all_calls(config: &mut BpfConfig) {
    config.files =
        FileCalls { mode: FileMode::All, min_duration: Duration::ZERO, virtual_files: false };
}

/// A folder of this test on a disk, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("deepflow-files-{name}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).join("deep").join("deeper");
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn open(&self, name: &str) -> File {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        options.open(self.0.join(name)).expect("a file")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let top = self.0.ancestors().nth(2).expect("two folders in it");
        std::fs::remove_dir_all(top).expect("our own folder");
    }
}

fn of<'a>(capture: &'a Capture, name: &str) -> Vec<&'a Filed> {
    capture.filed.iter().filter(|one| one.name == name).collect()
}

/// Mount point and source of a folder, as /proc has them.
fn mount_of(path: &Path) -> (String, String) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    let mut best = (String::new(), String::new());
    for line in mounts.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let separator = words.iter().position(|word| *word == "-").expect("a separator");
        if path.starts_with(words[4]) && words[4].len() >= best.0.len() {
            best = (words[4].to_owned(), words[separator + 2].to_owned());
        }
    }
    best
}

fn vector_call(number: libc::c_long, file: &File, buffer: &mut [u8], place: i64) -> i64 {
    let iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: one vector of one buffer, both of which live through the call.
    unsafe { libc::syscall(number, file.as_raw_fd(), &raw const iov, 1i64, place, 0i64, 0i64) }
}

#[test]
fn every_call_on_a_file_is_told_exactly() {
    let Some(mut capture) = Capture::start(all_calls) else { return };
    let folder = Folder::new("exact");
    let mut file = folder.open("orders.db");
    let mut buffer = [b'x'; 100];
    file.write_all(&[b'a'; 5000]).expect("written");
    file.write_all(&[b'b'; 70]).expect("written");
    file.write_all_at(&[b'c'; 30], 400).expect("written");
    file.read_exact_at(&mut buffer, 4999).expect_err("only 71 are there");
    assert_eq!(file.read(&mut buffer).expect("the end"), 0);
    let vectors = [
        (libc::SYS_pwritev, Hook::Pwritev, 1000),
        (libc::SYS_preadv, Hook::Preadv, 2000),
        (libc::SYS_pwritev2, Hook::Pwritev2, 3000),
        (libc::SYS_preadv2, Hook::Preadv2, -1),
        (libc::SYS_writev, Hook::Writev, -1),
    ];
    for (number, _, place) in vectors {
        let wanted = if number == libc::SYS_preadv2 { 0 } else { 100 };
        assert_eq!(vector_call(number, &file, &mut buffer, place), wanted);
    }
    file.sync_data().expect("stored");
    file.sync_all().expect("stored");
    capture.until("thirteen calls", |capture| of(capture, "orders.db").len() >= 13);

    let told = of(&capture, "orders.db");
    let seen: Vec<_> =
        told.iter().map(|one| (one.hook, one.offset_bytes, one.asked_bytes, one.moved)).collect();
    let plain = [
        (Hook::Write, 0, Some(5000), Ok(5000)),
        (Hook::Write, 5000, Some(70), Ok(70)),
        (Hook::Pwrite64, 400, Some(30), Ok(30)),
        (Hook::Pread64, 4999, Some(100), Ok(71)),
        (Hook::Pread64, 5070, Some(29), Ok(0)),
        (Hook::Read, 5070, Some(100), Ok(0)),
        (Hook::Pwritev, 1000, None, Ok(100)),
        (Hook::Preadv, 2000, None, Ok(100)),
        (Hook::Pwritev2, 3000, None, Ok(100)),
        (Hook::Preadv2, 5070, None, Ok(0)),
        (Hook::Writev, 5070, None, Ok(100)),
        (Hook::Fdatasync, 0, None, Ok(0)),
        (Hook::Fsync, 0, None, Ok(0)),
    ];
    assert_eq!(seen, plain);
    let facts = file.metadata().expect("of an open file");
    let (mount_point, source) = mount_of(&folder.0);
    for one in told {
        assert_eq!(one.folder, format!("{}/", folder.0.display()));
        assert_eq!((one.inode, one.fd), (facts.ino(), file.as_raw_fd()));
        assert_eq!(one.device, (libc::major(facts.dev()), libc::minor(facts.dev())));
        assert_eq!((&one.mount_point, &one.source), (&mount_point, &source));
        assert_eq!(one.tgid, std::process::id());
        assert!(one.duration_ns > 0 && one.duration_ns < 5_000_000_000, "{one:?}");
    }
}

#[test]
fn virtual_files_pipes_and_short_calls_are_left_out() {
    let Some(mut capture) = Capture::start(all_calls) else { return };
    let folder = Folder::new("virtual");
    let mut text = String::new();
    let mut status = File::open("/proc/self/status").expect("/proc");
    status.read_to_string(&mut text).expect("read");
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(b"x").expect("written");
    reader.read_exact(&mut [0]).expect("read");
    File::open(&folder.0).expect("a folder").sync_all().expect("stored");
    folder.open("last").write_all(b"x").expect("written");
    capture.until("the last write", |capture| !of(capture, "last").is_empty());
    let own = capture.filed.iter().filter(|one| one.tgid == std::process::id());
    let names: Vec<&str> = own.map(|one| one.name.as_str()).collect();
    assert!(!names.contains(&"status"), "{names:?}");
    assert!(names.iter().all(|name| !name.is_empty()), "{names:?}");
    drop(capture);

    let slow = |config: &mut BpfConfig| {
        all_calls(config);
        config.files.virtual_files = true;
        config.files.min_duration = Duration::from_secs(1);
    };
    let Some(mut capture) = Capture::start(slow) else { return };
    folder.open("short").write_all(b"x").expect("written");
    std::thread::sleep(Duration::from_millis(50));
    capture.all();
    assert!(of(&capture, "short").is_empty());
}

#[test]
fn virtual_files_are_told_where_that_is_wanted() {
    let Some(mut capture) = Capture::start(|config| {
        all_calls(config);
        config.files.virtual_files = true;
    }) else {
        return;
    };
    std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc");
    capture.until("the read", |capture| !of(capture, "osrelease").is_empty());
    let told = of(&capture, "osrelease")[0];
    assert_eq!((told.folder.as_str(), told.mount_point.as_str()), ("/proc/sys/kernel/", "/proc"));
}

#[test]
fn by_default_only_calls_within_a_request_are_told() {
    let Some(mut capture) = Capture::start(|config| {
        config.files.min_duration = Duration::ZERO;
    }) else {
        return;
    };
    let folder = Folder::new("request");
    let (mut client, mut server, _, server_port) = super::tcp_pair("127.0.0.1");
    folder.open("before").write_all(b"x").expect("written");
    client.write_all(b"a question").expect("sent");
    server.read_exact(&mut [0; 10]).expect("received");
    folder.open("within").write_all(b"x").expect("written");
    server.write_all(b"an answer").expect("sent");
    folder.open("after").write_all(b"x").expect("written");
    capture.until("the write within", |capture| !of(capture, "within").is_empty());
    capture.all();
    assert!(of(&capture, "before").is_empty() && of(&capture, "after").is_empty());
    let received = capture.of(server_port, source::bpf::Direction::Ingress);
    let told = of(&capture, "within");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].trace_id, received[0].trace_id);
    assert_ne!(told[0].trace_id, 0);
}

#[test]
fn a_path_that_is_too_long_is_cut_at_its_upper_end() {
    let Some(mut capture) = Capture::start(all_calls) else { return };
    let folder = Folder::new("long");
    let long = "n".repeat(200);
    let deep = folder.0.join(&long).join(&long).join(&long);
    std::fs::create_dir_all(&deep).expect("folders");
    File::create(deep.join("end")).expect("a file").write_all(b"x").expect("written");
    capture.until("the write", |capture| !of(capture, "end").is_empty());
    let told = of(&capture, "end")[0];
    assert!(told.folder.starts_with('…') && told.folder.ends_with(&format!("/{long}/{long}/")));
    assert_eq!(told.mount_point, "");
}
