//! The storage engine's process: ClickHouse as a library behind ClickHouse's HTTP interface.
//!
//! In: a data folder and an address, from the command line of `deepflow-server engine`. Out: a
//! process that answers until it is told to end: by SIGTERM, by SIGINT, or by the end of its
//! standard input when it was started with that as its leash (so that it never outlives the
//! server). Never: two engines on one data folder.

pub mod exception;
mod ffi;
mod http;
pub mod library;
pub mod request;
mod session;
pub mod statement;

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use crate::client::Endpoint;
use ffi::Chdb;
use http::Front;
use session::Engine;

pub use ffi::{LoadError, exit_now};

/// How long statements that run may take when the engine is told to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a supervised engine waits for the folder: that of a killed server may still be ending
/// its statements.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);

/// What the engine is told at start.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// `libchdb.so`.
    pub library: PathBuf,
    /// Folder of the data; made when missing.
    pub data_dir: PathBuf,
    /// Where to listen: a UNIX socket (made anew) or a loopback port.
    pub endpoint: Endpoint,
    /// End when standard input ends: for an engine whose starter holds the other end.
    pub ends_with_stdin: bool,
}

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The library or the data did not open.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Another engine works on the folder.
    #[error("data folder {0} is in use by another engine")]
    InUse(PathBuf),
    /// The data folder cannot be made or locked.
    #[error("data folder {path}: {source}")]
    DataDir {
        /// Folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("listen on {endpoint}: {source}")]
    Listen {
        /// Address.
        endpoint: Endpoint,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The address is open to other machines.
    #[error("{0} is not a loopback address: the engine has no access control")]
    NotLoopback(SocketAddr),
}

/// Runs the engine until it is told to end.
pub async fn serve(config: EngineConfig) -> Result<(), EngineError> {
    let patience = if config.ends_with_stdin { LOCK_PATIENCE } else { Duration::ZERO };
    let _lock = lock(&config.data_dir, patience).await?;
    let listener = Listener::bind(&config.endpoint).await?;
    let chdb = Chdb::load(&config.library)?;
    let engine = Engine::new(chdb.clone(), config.data_dir.clone());
    // Held open: with the last session the engine would close its storage.
    let _keeper = chdb.connect(&config.data_dir)?;
    tracing::info!(data_dir = %config.data_dir.display(), endpoint = %config.endpoint, "engine ready");

    let front = Front::new(engine);
    let mut leash = Leash::new(config.ends_with_stdin);
    loop {
        tokio::select! {
            () = leash.ended() => break,
            accepted = listener.accept() => match accepted {
                Ok(stream) => answer_connection(front.clone(), stream),
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    if tokio::time::timeout(DRAIN_TIMEOUT, front.drain()).await.is_err() {
        tracing::warn!("statements still run; leaving them");
    }
    listener.remove();
    tracing::info!("engine ended");
    Ok(())
}

fn answer_connection(front: Front, stream: Box<dyn Stream>) {
    let service = service_fn(move |request| front.clone().answer(request));
    tokio::spawn(async move {
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    });
}

/// Locks the folder for the life of the file that is returned.
async fn lock(data_dir: &Path, patience: Duration) -> Result<File, EngineError> {
    let failed = |source| EngineError::DataDir { path: data_dir.to_owned(), source };
    std::fs::create_dir_all(data_dir).map_err(failed)?;
    let file = File::create(data_dir.join("engine.lock")).map_err(failed)?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if started.elapsed() < patience => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(EngineError::InUse(data_dir.to_owned()));
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

// === Listener ===

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

enum Listener {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

impl Listener {
    async fn bind(endpoint: &Endpoint) -> Result<Self, EngineError> {
        let failed = |source| EngineError::Listen { endpoint: endpoint.clone(), source };
        match endpoint {
            Endpoint::Unix(path) => {
                // The lock on the data folder says that nobody listens on a socket left behind.
                let _ = std::fs::remove_file(path);
                let listener = UnixListener::bind(path).map_err(failed)?;
                owner_only(path).map_err(failed)?;
                Ok(Self::Unix(listener, path.clone()))
            }
            Endpoint::Tcp(address) if !address.ip().is_loopback() => {
                Err(EngineError::NotLoopback(*address))
            }
            Endpoint::Tcp(address) => {
                Ok(Self::Tcp(TcpListener::bind(address).await.map_err(failed)?))
            }
        }
    }

    async fn accept(&self) -> std::io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix(listener, _) => Box::new(listener.accept().await?.0),
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
        })
    }

    fn remove(self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Only the owner may connect.
fn owner_only(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

// === Leash ===

/// The reasons to end.
struct Leash {
    receiver: mpsc::Receiver<&'static str>,
}

impl Leash {
    fn new(ends_with_stdin: bool) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        if ends_with_stdin {
            let sender = sender.clone();
            // A thread of its own: a read of standard input cannot be cancelled.
            std::thread::spawn(move || {
                let mut sink = [0; 64];
                while matches!(std::io::stdin().read(&mut sink), Ok(1..)) {}
                let _ = sender.blocking_send("standard input ended");
                // A statement that never ends must not keep an engine without a server alive.
                std::thread::sleep(DRAIN_TIMEOUT + Duration::from_secs(5));
                std::process::exit(1);
            });
        }
        tokio::spawn(async move {
            let _ = sender.send(wait_for_signal().await).await;
        });
        Self { receiver }
    }

    async fn ended(&mut self) {
        if let Some(cause) = self.receiver.recv().await {
            tracing::info!(cause, "engine ends");
        }
    }
}

async fn wait_for_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
