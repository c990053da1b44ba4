//! A network that can be cut: a UDP relay between agent and server.
//!
//! In: datagrams to its port. Out: the same datagrams at the server, and the answers back. While
//! it is cut it drops both ways and counts; nobody is told, as with a pulled cable.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

/// Datagrams are at most this long; QUIC's are far shorter.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// How long a thread waits before it looks whether it should end.
const POLL: Duration = Duration::from_millis(100);

/// A running relay for one client at a time.
#[derive(Debug)]
pub struct Relay {
    /// Where the client is to send to.
    pub port: u16,
    state: Arc<State>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    cut: AtomicBool,
    ended: AtomicBool,
    dropped: AtomicU64,
    client: Mutex<Option<SocketAddr>>,
}

impl Relay {
    /// Relays to `127.0.0.1:server_port`.
    pub fn start(server_port: u16) -> Result<Self> {
        let near = UdpSocket::bind("127.0.0.1:0")?;
        let far = UdpSocket::bind("127.0.0.1:0")?;
        far.connect(("127.0.0.1", server_port))?;
        near.set_read_timeout(Some(POLL))?;
        far.set_read_timeout(Some(POLL))?;
        let port = near.local_addr()?.port();
        let state = Arc::new(State::default());
        let (near_back, far_back) = (near.try_clone()?, far.try_clone()?);
        let (there, back) = (Arc::clone(&state), Arc::clone(&state));
        let threads = vec![
            std::thread::spawn(move || forward(&there, &near, &far)),
            std::thread::spawn(move || answer(&back, &far_back, &near_back)),
        ];
        Ok(Self { port, state, threads })
    }

    /// Cuts the network, or heals it.
    pub fn set_cut(&self, cut: bool) {
        self.state.cut.store(cut, Ordering::Relaxed);
    }

    /// Datagrams that were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.state.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("a thread of the relay failed");
            }
        }
    }
}

fn forward(state: &State, near: &UdpSocket, far: &UdpSocket) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while !state.ended.load(Ordering::Relaxed) {
        let Ok((length, from)) = near.recv_from(&mut buffer) else { continue };
        if let Ok(mut client) = state.client.lock() {
            *client = Some(from);
        }
        pass(state, || far.send(&buffer[..length]));
    }
}

fn answer(state: &State, far: &UdpSocket, near: &UdpSocket) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while !state.ended.load(Ordering::Relaxed) {
        // A server that is down makes this fail at once: then wait, as the read would.
        let length = match far.recv(&mut buffer) {
            Ok(length) => length,
            Err(_) => {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
        };
        let client = state.client.lock().ok().and_then(|client| *client);
        if let Some(client) = client {
            pass(state, || near.send_to(&buffer[..length], client));
        }
    }
}

fn pass(state: &State, send: impl FnOnce() -> std::io::Result<usize>) {
    if state.cut.load(Ordering::Relaxed) || send().is_err() {
        state.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_pass_until_it_is_cut() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let relay = Relay::start(server.local_addr().unwrap().port()).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(("127.0.0.1", relay.port)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut buffer = [0; 16];
        client.send(b"one").unwrap();
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"one");
        server.send_to(b"two", from).unwrap();
        assert_eq!(client.recv(&mut buffer).unwrap(), 3);

        relay.set_cut(true);
        server.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        client.send(b"lost").unwrap();
        assert!(server.recv(&mut buffer).is_err());
        assert_eq!(relay.dropped(), 1);
    }
}
