//! Servers and clients of the cases: the two ends of one conversation, in processes of their own.
//!
//! In: words of the command line. Out: the conversation, byte by byte, on loopback; a client prints
//! its port, a server that it listens. Never: a word that is not in the conversation.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::conversations::{self, Exchange};

/// How long an end waits for the other.
const PATIENCE: Duration = Duration::from_secs(180);

/// By which system calls bytes are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// `sendto`, `recvfrom`.
    Socket,
    /// `write`, `read`.
    File,
    /// `writev`, `readv`.
    Vector,
    /// `write` and `sendfile`, `read`: a body is never in memory of the process.
    Unseen,
}

impl Calls {
    /// Its word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::File => "file",
            Self::Vector => "vector",
            Self::Unseen => "unseen",
        }
    }

    fn of(word: &str) -> Result<Self> {
        [Self::Socket, Self::File, Self::Vector, Self::Unseen]
            .into_iter()
            .find(|calls| calls.word() == word)
            .with_context(|| format!("calls {word}"))
    }
}

/// Plays the role that the words name.
pub fn play(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", conversation, address, calls] => serve(conversation, address, Calls::of(calls)?),
        ["serve-thread", conversation, address] => {
            let (conversation, address) = (conversation.to_string(), address.to_string());
            let thread = std::thread::Builder::new().name("pool-worker-1".to_owned());
            let body = move || serve(&conversation, &address, Calls::Socket);
            thread.spawn(body)?.join().ok().context("the thread panicked")?
        }
        ["serve-from-file", conversation, address, folder] => {
            serve_from_file(conversation, address, Path::new(folder))
        }
        ["serve-child", conversation, address, child] => hand_over(conversation, address, child),
        ["inherited", conversation] => {
            let mut stream = Stream { file: standard_input()?, calls: Calls::File };
            answer(&mut stream, &conversations::find(conversation)?)
        }
        ["apart", conversation, address, client, server] => {
            apart(conversation, address, client, server)
        }
        ["ask", conversation, address, calls] => ask(conversation, address, Calls::of(calls)?),
        ["ask-later", conversation, address, gate] => ask_later(conversation, address, gate),
        ["serve-udp", conversation, address] => serve_udp(conversation, address),
        ["ask-udp", conversation, address] => ask_udp(conversation, address),
        _ => bail!("no such role: {words:?}"),
    }
}

fn standard_input() -> std::io::Result<File> {
    std::io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

/// A connection whose bytes are moved by the calls that are wanted.
struct Stream {
    file: File,
    calls: Calls,
}

impl Stream {
    fn new(stream: TcpStream, calls: Calls) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { file: File::from(OwnedFd::from(stream)), calls })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        if self.calls == Calls::Unseen {
            return self.send_file(bytes);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let sent = match self.calls {
                Calls::File | Calls::Unseen => self.file.write(rest)?,
                Calls::Vector => {
                    let (head, tail) = rest.split_at(rest.len() / 3);
                    self.file.write_vectored(&[IoSlice::new(head), IoSlice::new(tail)])?
                }
                Calls::Socket => self.socket(|stream| stream.write(rest))?,
            };
            rest = &rest[sent..];
        }
        Ok(())
    }

    /// The header by `write`, what is after it out of a file by `sendfile`, as std copies from a file to
    /// a socket.
    fn send_file(&mut self, bytes: &[u8]) -> Result<()> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) = bytes.split_at(end.map_or(bytes.len(), |at| at + 4));
        self.file.write_all(head)?;
        if !body.is_empty() {
            let path = format!("/tmp/body-{}", std::process::id());
            std::fs::write(&path, body)?;
            let mut body = File::open(&path)?;
            self.socket(|stream| std::io::copy(&mut body, stream))?;
            std::fs::remove_file(path)?;
        }
        Ok(())
    }

    fn receive(&mut self, bytes: usize) -> Result<()> {
        let mut left = bytes;
        let mut buffer = vec![0; bytes];
        while left > 0 {
            let room = &mut buffer[..left];
            let got = match self.calls {
                Calls::File | Calls::Unseen => self.file.read(room)?,
                Calls::Vector => {
                    let (head, tail) = room.split_at_mut(left / 2);
                    self.file.read_vectored(&mut [IoSliceMut::new(head), IoSliceMut::new(tail)])?
                }
                Calls::Socket => self.socket(|stream| stream.read(room))?,
            };
            if got == 0 {
                bail!("the other end closed with {left} bytes to come");
            }
            left -= got;
        }
        Ok(())
    }

    fn socket<T>(&self, act: impl FnOnce(&mut TcpStream) -> std::io::Result<T>) -> Result<T> {
        let mut stream = TcpStream::from(OwnedFd::from(self.file.try_clone()?));
        Ok(act(&mut stream)?)
    }
}

fn listen(address: &str) -> Result<TcpStream> {
    let listener = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
    println!("listening");
    Ok(listener.accept()?.0)
}

fn serve(conversation: &str, address: &str, calls: Calls) -> Result<()> {
    let mut stream = Stream::new(listen(address)?, calls)?;
    answer(&mut stream, &conversations::find(conversation)?)
}

/// Each response goes through a file: what is written, stored and read there is part of the request.
fn serve_from_file(conversation: &str, address: &str, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut stream = Stream::new(listen(address)?, Calls::File)?;
    std::fs::write(folder.join("before.db"), "told by nobody: there is no request yet")?;
    for (number, exchange) in conversations::find(conversation)?.iter().enumerate() {
        stream.receive(exchange.request.len())?;
        let mut options = OpenOptions::new();
        let path = folder.join(format!("answer-{number}.db"));
        let mut file = options.read(true).write(true).create(true).truncate(true).open(path)?;
        file.write_all(&exchange.response)?;
        file.sync_data()?;
        let mut body = vec![0; exchange.response.len() - 4];
        file.read_exact_at(&mut body, 4)?;
        stream.send(&exchange.response)?;
    }
    std::fs::write(folder.join("after.db"), "nor this: the request is answered")?;
    Ok(())
}

fn answer(stream: &mut Stream, exchanges: &[Exchange]) -> Result<()> {
    for exchange in exchanges {
        stream.receive(exchange.request.len())?;
        stream.send(&exchange.response)?;
    }
    Ok(())
}

/// Accepts, then becomes another program that has the connection as its standard input.
fn hand_over(conversation: &str, address: &str, child: &str) -> Result<()> {
    let stream = listen(address)?;
    let error = Command::new(child)
        .args(["inherited", conversation])
        .stdin(Stdio::from(OwnedFd::from(stream)))
        .exec();
    bail!("{child}: {error}")
}

/// Both ends, in the namespaces that this process was started in: its loopback is still down.
fn apart(conversation: &str, address: &str, client: &str, server: &str) -> Result<()> {
    let up = Command::new("/bin/busybox").args(["ip", "link", "set", "lo", "up"]).status()?;
    ensure!(up.success(), "no loopback: {up}");
    let words = |role| [role, conversation, address, Calls::Socket.word()];
    let mut server = Command::new(server).args(words("serve")).stdout(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(server.stdout.take().context("no output")?);
    said.read_line(&mut String::new())?;
    let asked = Command::new(client).args(words("ask")).status()?;
    ensure!(asked.success() && server.wait()?.success(), "the client ended with {asked}");
    Ok(())
}

fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    println!("port {}", stream.local_addr()?.port());
    Ok(stream)
}

fn ask(conversation: &str, address: &str, calls: Calls) -> Result<()> {
    let mut stream = Stream::new(connect(address)?, calls)?;
    converse(&mut stream, &conversations::find(conversation)?)
}

/// Connects at once, speaks when the file `gate` is there.
fn ask_later(conversation: &str, address: &str, gate: &str) -> Result<()> {
    let mut stream = Stream::new(connect(address)?, Calls::Socket)?;
    while !std::path::Path::new(gate).exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    converse(&mut stream, &conversations::find(conversation)?)
}

fn converse(stream: &mut Stream, exchanges: &[Exchange]) -> Result<()> {
    for exchange in exchanges {
        stream.send(&exchange.request)?;
        stream.receive(exchange.response.len())?;
    }
    Ok(())
}

fn serve_udp(conversation: &str, address: &str) -> Result<()> {
    let socket = UdpSocket::bind(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    println!("listening");
    for exchange in conversations::find(conversation)? {
        let mut buffer = [0; 2048];
        let (_, peer): (usize, SocketAddr) = socket.recv_from(&mut buffer)?;
        socket.send_to(&exchange.response, peer)?;
    }
    Ok(())
}

fn ask_udp(conversation: &str, address: &str) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(address)?;
    println!("port {}", socket.local_addr()?.port());
    for exchange in conversations::find(conversation)? {
        socket.send(&exchange.request)?;
        socket.recv(&mut [0; 2048])?;
    }
    Ok(())
}
