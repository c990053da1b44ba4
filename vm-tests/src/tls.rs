//! HTTP inside of TLS, between two programs `openssl` of a distribution.
//!
//! In: a conversation. Out: the same between the two, byte by byte: what one is given on its
//! standard input it encrypts, what it decrypts it puts out. They share a key (RFC 8446, 2.2), so
//! that no certificate can expire. Never: a word that is not in the conversation.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::conversations;

/// The program, where the root has one.
pub const OPENSSL: &str = "/usr/bin/openssl";
/// Runs what follows in a container of the same files: an overlay that is the root of a mount
/// namespace of its own. The first word names its folder.
const CONTAINER: &str = "
b=/bin/busybox; at=/tmp/$1; shift
$b mkdir -p $at/upper $at/work $at/merged
$b mount -t overlay -o lowerdir=/,upperdir=$at/upper,workdir=$at/work layers $at/merged || exit 9
$b mkdir -p $at/merged/tmp/bin
$b ln -s /usr/bin/openssl $at/merged$1
cd $at/merged && $b mount --move . / && exec $b chroot . \"$@\"
";
const BUSYBOX: &str = "/bin/busybox";
/// After which a program that hangs is killed.
const PATIENCE: &str = "90";
const KEY: &str = "000102030405060708090a0b0c0d0e0f";
/// State LISTEN in /proc/net/tcp (include/net/tcp_states.h of the kernel).
const LISTEN: &str = "0A";

/// Plays a conversation between the programs at these paths, each in a container of its own if
/// wanted, and addresses of IPv4.
pub fn play(
    in_container: bool,
    conversation: &str,
    (client, client_at): (&Path, &str),
    (server, server_at): (&Path, &str),
) -> Result<()> {
    let shared = ["-quiet", "-tls1_3", "-psk", KEY];
    let words = ["s_server", "-accept", server_at, "-naccept", "1", "-nocert"];
    let mut server = Peer::start(in_container, server, &[&words, shared.as_slice()].concat())?;
    wait_for_listener(server_at)?;
    // The last word stands behind `-quiet`, which says the opposite.
    let words = ["s_client", "-connect", server_at, "-bind", client_at];
    let mut client =
        Peer::start(in_container, client, &[&words, shared.as_slice(), &["-no_ign_eof"]].concat())?;
    for exchange in conversations::find(conversation)? {
        client.tell(&exchange.request)?;
        server.hear(&exchange.request).context("the server")?;
        server.tell(&exchange.response)?;
        client.hear(&exchange.response).context("the client")?;
    }
    client.finish().context("client")?;
    server.finish().context("server")
}

/// One of the two programs.
struct Peer(Child);

impl Peer {
    /// `timeout` of busybox becomes the program and leaves a child behind that kills it.
    fn start(in_container: bool, program: &Path, words: &[&str]) -> Result<Self> {
        let mut command = Command::new(BUSYBOX);
        command.args(["timeout", PATIENCE]);
        if in_container {
            let folder = program.file_name().context("no name")?;
            command.args([BUSYBOX, "unshare", "-m", BUSYBOX, "sh", "-c", CONTAINER, "sh"]);
            command.arg(folder);
        }
        command.arg(program).args(words);
        command.env("OPENSSL_CONF", "/dev/null");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().map(Self).with_context(|| format!("start {}", program.display()))
    }

    fn tell(&mut self, bytes: &[u8]) -> Result<()> {
        let input = self.0.stdin.as_mut().context("no input")?;
        input.write_all(bytes).and_then(|()| input.flush()).context("write")
    }

    fn hear(&mut self, wanted: &[u8]) -> Result<()> {
        let mut heard = vec![0; wanted.len()];
        self.0.stdout.as_mut().context("no output")?.read_exact(&mut heard).context("read")?;
        ensure!(heard == wanted, "heard {:?}", String::from_utf8_lossy(&heard));
        Ok(())
    }

    /// Without input it closes the connection, unless the other has.
    fn finish(mut self) -> Result<()> {
        drop(self.0.stdin.take());
        let status = self.0.wait()?;
        ensure!(status.success(), "{status}");
        Ok(())
    }
}

/// Whether the kernel has overlays.
pub fn has_overlays() -> bool {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    known.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay")
}

fn wait_for_listener(address: &str) -> Result<()> {
    let port: u16 = address.rsplit(':').next().context("no port")?.parse()?;
    let wanted = format!(":{port:04X}");
    let is_it = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(1).is_some_and(|local| local.ends_with(&wanted)) && words.get(3) == Some(&LISTEN)
    };
    let begin = Instant::now();
    while !std::fs::read_to_string("/proc/net/tcp")?.lines().any(is_it) {
        ensure!(begin.elapsed() < Duration::from_secs(60), "nobody listens at {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
