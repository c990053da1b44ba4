//! Clients and a server whose own kernel says what was true of their connections.
//!
//! `lab_talk serve PORT [--think-us N]` answers on every address until standard input ends;
//! `lab_talk push HOST PORT SECONDS` sends as much as it can on one connection;
//! `lab_talk ask HOST PORT CONNECTIONS REQUESTS` asks on one connection after the other;
//! `lab_talk once HOST PORT` asks once, as the shortest process there can be;
//! `lab_talk datagram HOST PORT [LOCAL_PORT]` the same by UDP, from a socket that is bound to no
//! address.
//!
//! The server speaks HTTP, too, to those that begin with `GET`.
//!
//! In: a server's end. Out: one line of JSON for each connection, by `TCP_INFO`: the handshake's
//! round trip, segments sent again, and the mean time to an answer. All times in µs.

#![expect(unsafe_code, reason = "TCP_INFO")]

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

const REQUEST_BYTES: usize = 100;
const ANSWER_BYTES: usize = 200;
const PUSH: u8 = b'P';
const ASK: u8 = b'A';
const HTTP: u8 = b'G';

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", port, rest @ ..] => serve(number(port)?, rest),
        ["push", host, port, seconds] => push(server(host, port)?, number(seconds)?),
        ["ask", host, port, connections, requests] => {
            let server = server(host, port)?;
            for _ in 0..number(connections)? {
                ask(server, number(requests)?)?;
            }
            Ok(())
        }
        ["once", host, port] => ask(server(host, port)?, 1),
        ["datagram", host, port] => datagram(server(host, port)?, 0),
        ["datagram", host, port, local] => datagram(server(host, port)?, number(local)? as u16),
        _ => Err(io::Error::other("usage: lab_talk serve|push|ask|once …")),
    }
}

fn number(word: &str) -> io::Result<u64> {
    word.parse().map_err(io::Error::other)
}

fn server(host: &str, port: &str) -> io::Result<SocketAddr> {
    let ip: IpAddr = host.parse().map_err(io::Error::other)?;
    Ok(SocketAddr::new(ip, number(port)? as u16))
}

fn serve(port: u64, options: &[&str]) -> io::Result<()> {
    let think = match options {
        ["--think-us", us] => Duration::from_micros(number(us)?),
        _ => Duration::ZERO,
    };
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port as u16))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let info = info(&stream);
            std::thread::spawn(move || _ = answer(stream, info, think));
        }
    });
    let echo = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port as u16))?;
    std::thread::spawn(move || {
        let mut datagram = [0; REQUEST_BYTES];
        while let Ok((_, peer)) = echo.recv_from(&mut datagram) {
            let _ = echo.send_to(&[b'a'; ANSWER_BYTES], peer);
        }
    });
    println!("ready");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// `local_port`: 0 for any. Two clients by the same port within the time-out are one flow.
fn datagram(server: SocketAddr, local_port: u16) -> io::Result<()> {
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, local_port))?;
    socket.send_to(&[ASK; REQUEST_BYTES], server)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.recv_from(&mut [0; ANSWER_BYTES]).map(drop)
}

fn answer(mut stream: TcpStream, opened: libc::tcp_info, think: Duration) -> io::Result<()> {
    let peer = stream.peer_addr()?;
    stream.set_nodelay(true)?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    let mut buffer = vec![0; 1 << 16];
    if kind[0] == PUSH {
        while stream.read(&mut buffer)? > 0 {}
    } else if kind[0] == HTTP {
        let _ = stream.read(&mut buffer)?;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
        stream.write_all(answer)?;
    } else {
        // The first byte of every request is its kind.
        let mut request = [0; REQUEST_BYTES - 1];
        loop {
            stream.read_exact(&mut request)?;
            if !think.is_zero() {
                std::thread::sleep(think);
            }
            stream.write_all(&[b'a'; ANSWER_BYTES])?;
            if stream.read(&mut kind)? == 0 {
                break;
            }
        }
    }
    println!(
        "{{\"client_port\":{},\"rtt_us\":{},\"retrans\":{}}}",
        peer.port(),
        opened.tcpi_rtt,
        info(&stream).tcpi_total_retrans
    );
    Ok(())
}

fn push(server: SocketAddr, seconds: u64) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    let opened = info(&stream);
    stream.write_all(&[PUSH])?;
    let (end, data, mut bytes) = (Instant::now() + Duration::from_secs(seconds), [7; 1 << 16], 0);
    while Instant::now() < end {
        bytes += stream.write(&data)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    // All is acknowledged when the server has seen the end.
    let _ = stream.read(&mut [0])?;
    tell(&stream, opened, bytes as u64, Duration::ZERO, 0)
}

fn ask(server: SocketAddr, requests: u64) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    let opened = info(&stream);
    stream.set_nodelay(true)?;
    let (mut waited, mut answer) = (Duration::ZERO, [0; ANSWER_BYTES]);
    for _ in 0..requests {
        let begin = Instant::now();
        stream.write_all(&[ASK; REQUEST_BYTES])?;
        stream.read_exact(&mut answer)?;
        waited += begin.elapsed();
    }
    tell(&stream, opened, requests * REQUEST_BYTES as u64, waited, requests)
}

fn tell(
    stream: &TcpStream,
    opened: libc::tcp_info,
    bytes: u64,
    waited: Duration,
    answers: u64,
) -> io::Result<()> {
    println!(
        "{{\"client_port\":{},\"rtt_us\":{},\"retrans\":{},\"bytes\":{bytes},\"answers\":{answers},\
         \"answer_us\":{}}}",
        stream.local_addr()?.port(),
        opened.tcpi_rtt,
        info(stream).tcpi_total_retrans,
        waited.as_micros() as u64 / answers.max(1)
    );
    Ok(())
}

/// What the kernel says of a connection.
fn info(stream: &TcpStream) -> libc::tcp_info {
    // SAFETY: the type consists of numbers, for which zeros are valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut bytes = size_of_val(&info) as u32;
    let pointer = (&raw mut info).cast();
    let fd = stream.as_raw_fd();
    // SAFETY: pointer and length describe `info`; on an error it stays zero.
    unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, pointer, &mut bytes) };
    info
}
