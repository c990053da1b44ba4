//! The liveness endpoint: `GET /` on a loopback port answers 200 while the agent works.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::live::StatusBoard;

const PAUSE: Duration = Duration::from_millis(100);
/// Time that a client has for its request.
const PATIENCE: Duration = Duration::from_secs(1);

/// The thread that answers, if there is one.
pub struct Liveness(Option<JoinHandle<()>>);

impl Liveness {
    /// Waits for its end; the stop flag must be set.
    pub fn join(self) {
        if let Some(thread) = self.0 {
            let _ = thread.join();
        }
    }
}

/// Starts to answer; without the port the agent goes on and says so.
pub fn start(port: u16, board: Arc<StatusBoard>, stop: Arc<AtomicBool>) -> Liveness {
    if port == 0 {
        return Liveness(None);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            let problem = format!("no liveness endpoint on port {port}: {error}");
            tracing::warn!("{problem}");
            board.update("liveness", |status| status.problems = vec![problem]);
            return Liveness(None);
        }
    };
    let body = move || serve(&listener, &board, &stop);
    Liveness(std::thread::Builder::new().name("liveness".into()).spawn(body).ok())
}

fn serve(listener: &TcpListener, board: &StatusBoard, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => _ = answer(stream, board),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn answer(mut stream: TcpStream, board: &StatusBoard) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let _ = stream.read(&mut [0; 1024])?;
    let threads = board.read();
    let working: Vec<_> = threads.iter().filter(|(_, s)| s.works).map(|(name, _)| *name).collect();
    let problems: Vec<_> = threads.values().flat_map(|status| &status.problems).collect();
    let body = serde_json::json!({ "working": working, "problems": problems }).to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}
