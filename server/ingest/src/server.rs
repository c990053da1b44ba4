//! Start and stop of ingest.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quinn::VarInt;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use schema::wire::{AgentUuid, CloseCode, Configuration};

use crate::IngestConfig;
use crate::endpoint::{self, AgentControl, Shared};
use crate::enrich::Enrich;
use crate::session::lock;
use crate::sink::Sink;
use crate::stats::{Counters, IngestStats};
use crate::wal::{Wal, WalError};
use crate::writer::Writer;

/// Why ingest could not start.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The address could not be listened on.
    #[error("{}", listen_message(.address, .source))]
    Listen {
        /// The UDP address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The authority could not make the server's certificate.
    #[error("make the server's certificate")]
    Authority(#[source] control::AuthorityError),
    /// The TLS settings do not serve QUIC.
    #[error("set up TLS for QUIC")]
    Tls,
    /// The write-ahead log could not be opened.
    #[error("open the write-ahead log")]
    Wal(#[from] WalError),
}

fn listen_message(address: &SocketAddr, source: &std::io::Error) -> String {
    if endpoint::is_address_in_use(source) {
        format!("listen on UDP {address}: the port is taken")
    } else {
        format!("listen on UDP {address}")
    }
}

/// Running ingest.
pub struct IngestHandle {
    endpoint: quinn::Endpoint,
    address: SocketAddr,
    counters: Arc<Counters>,
    wal: Wal,
    agents: Arc<dyn Agents>,
    accepting: JoinHandle<()>,
    writing: JoinHandle<()>,
    log_thread: std::thread::JoinHandle<()>,
}

/// Starts ingest on the current tokio runtime (multi-threaded, with I/O and time).
pub async fn start<S: Sink, E: Enrich>(
    config: IngestConfig,
    sink: Arc<S>,
    enrich: Arc<E>,
) -> Result<IngestHandle, IngestError> {
    let counters = Arc::new(Counters::default());
    let endpoint = endpoint::bind(&config, &counters)?;
    let bound = endpoint.local_addr();
    let address = bound.map_err(|source| IngestError::Listen { address: config.listen, source })?;
    let (closed, segments) = mpsc::unbounded_channel();
    let (wal, log_thread) = Wal::start(&config, counters.clone(), closed)?;
    let writer = Writer {
        sink,
        enrich: enrich.clone(),
        wal: wal.clone(),
        counters: counters.clone(),
        server_id: config.server_id,
    };
    let writing = tokio::spawn(writer.run(segments));
    let room = Arc::new(Semaphore::new(config.memory_bytes_max.min(Semaphore::MAX_PERMITS)));
    let shared = Arc::new(Shared {
        config,
        counters: counters.clone(),
        wal: wal.clone(),
        enrich,
        room,
        agents: Mutex::new(HashMap::new()),
    });
    let accepting = tokio::spawn(endpoint::accept(endpoint.clone(), shared.clone()));
    tracing::info!(%address, "listening for agents");
    let agents = shared;
    Ok(IngestHandle { endpoint, address, counters, wal, agents, accepting, writing, log_thread })
}

impl IngestHandle {
    /// Address listened on.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Counters now.
    pub fn stats(&self) -> IngestStats {
        self.counters.snapshot()
    }

    /// Agents connected now.
    pub fn connected_agents(&self) -> Vec<AgentUuid> {
        self.agents.connected()
    }

    /// Sends a configuration to an agent; false when it is not connected (it then gets its
    /// configuration with the answer to its next hello).
    pub fn push_configuration(&self, agent: AgentUuid, configuration: Configuration) -> bool {
        self.agents.push(agent, configuration)
    }

    /// Closes all connections, then waits up to `patience` for the store to take what is in the
    /// log; the rest stays there for the next start.
    pub async fn shutdown(self, patience: Duration) {
        self.endpoint.close(VarInt::from_u32(CloseCode::Done.id()), b"the server stops");
        self.accepting.abort();
        self.wal.stop();
        let log_thread = self.log_thread;
        let _ = tokio::task::spawn_blocking(move || log_thread.join()).await;
        let mut writing = self.writing;
        if tokio::time::timeout(patience, &mut writing).await.is_err() {
            tracing::warn!("the store did not take all rows in time; they stay in the log");
            writing.abort();
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), self.endpoint.wait_idle()).await;
    }
}

/// Connected agents, whatever the inventory's type.
trait Agents: Send + Sync {
    fn push(&self, agent: AgentUuid, configuration: Configuration) -> bool;
    fn connected(&self) -> Vec<AgentUuid>;
}

impl<E: Enrich> Agents for Shared<E> {
    fn push(&self, agent: AgentUuid, configuration: Configuration) -> bool {
        let agents = lock(&self.agents);
        let control: Option<&AgentControl> = agents.get(&agent).map(|(_, control)| control);
        control.is_some_and(|control| control.configurations.send(configuration).is_ok())
    }

    fn connected(&self) -> Vec<AgentUuid> {
        let mut agents: Vec<AgentUuid> = lock(&self.agents).keys().copied().collect();
        agents.sort();
        agents
    }
}
