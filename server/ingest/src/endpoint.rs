//! The QUIC endpoint: accepts connections and sorts them by ALPN.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::rustls::pki_types::CertificateDer;
use quinn::{
    Connection, ConnectionError, EndpointConfig, IdleTimeout, Incoming, Runtime, TokioRuntime,
    TransportConfig, VarInt,
};
use tokio::sync::{Semaphore, mpsc};

use schema::wire::{ALPN_DATA, ALPN_ENROL, AgentUuid, CloseCode, Configuration};

use crate::enrich::Enrich;
use crate::socket::{WatchedConnectionIds, WatchedSocket};
use crate::stats::{Counters, Refusal};
use crate::wal::{Wal, WalError};
use crate::{IngestConfig, IngestError, enrol, session};

/// A handshake or a first message that takes longer is given up.
pub(crate) const OPENING_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams that an agent may have open: control and one a signal, with room for later ones.
const STREAMS_MAX: u32 = 32;

/// What every connection shares.
pub(crate) struct Shared<E> {
    pub config: IngestConfig,
    pub counters: Arc<Counters>,
    pub wal: Wal,
    pub enrich: Arc<E>,
    /// Bytes of batches on their way to the log.
    pub room: Arc<Semaphore>,
    /// Control channels of connected agents, with the number of their session.
    pub agents: Mutex<HashMap<AgentUuid, (u64, AgentControl)>>,
}

/// How a running session is reached.
#[derive(Clone)]
pub(crate) struct AgentControl {
    pub connection: Connection,
    pub configurations: mpsc::UnboundedSender<Configuration>,
}

impl<E> Shared<E> {
    /// Closes a connection with a reason that the peer can show, and counts.
    pub fn refuse(&self, connection: &Connection, code: CloseCode, cause: Refusal, why: &str) {
        self.counters.refused(cause);
        tracing::warn!(peer = %connection.remote_address(), cause = cause.name(), why, "connection refused");
        connection.close(VarInt::from_u32(code.id()), why.as_bytes());
    }
}

/// Binds the endpoint.
pub(crate) fn bind(
    config: &IngestConfig,
    counters: &Arc<Counters>,
) -> Result<quinn::Endpoint, IngestError> {
    let tls = config.authority.server_config().map_err(IngestError::Authority)?;
    let crypto = QuicServerConfig::try_from(tls).map_err(|_| IngestError::Tls)?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    server.transport_config(Arc::new(transport(config)));
    server.max_incoming(config.connections_max.min(1024));
    let bind = |source| IngestError::Listen { address: config.listen, source };
    let socket = UdpSocket::bind(config.listen).map_err(bind)?;
    let inner = TokioRuntime.wrap_udp_socket(socket).map_err(bind)?;
    let socket = Arc::new(WatchedSocket { inner, counters: counters.clone() });
    let endpoint = endpoint_config(config, counters)?;
    quinn::Endpoint::new_with_abstract_socket(
        endpoint,
        Some(server),
        socket,
        Arc::new(TokioRuntime),
    )
    .map_err(bind)
}

/// After a restart agents send packets of connections that are no more. They are told so at once
/// (stateless reset, RFC 9000 §10.3) if the keys are those of the earlier run.
fn endpoint_config(
    config: &IngestConfig,
    counters: &Arc<Counters>,
) -> Result<EndpointConfig, IngestError> {
    let path = config.wal_dir.join("reset.key");
    let (reset_key, id_key) =
        open_reset_keys(&path).map_err(|source| IngestError::Wal(WalError::Io { path, source }))?;
    let reset_key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &reset_key);
    let mut endpoint = EndpointConfig::new(Arc::new(reset_key));
    let counters = counters.clone();
    endpoint.grease_quic_bit(false).cid_generator(move || {
        Box::new(WatchedConnectionIds {
            inner: quinn_proto::HashedConnectionIdGenerator::from_key(id_key),
            counters: counters.clone(),
        })
    });
    Ok(endpoint)
}

/// Key of resets and key of connection ids; made at first start.
fn open_reset_keys(path: &Path) -> io::Result<([u8; 32], u64)> {
    let mut keys = [0; 40];
    match fs::read(path) {
        Ok(bytes) if bytes.len() == keys.len() => keys.copy_from_slice(&bytes),
        _ => {
            if let Some(dir) = path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            }
            fs::File::open("/dev/urandom")?.read_exact(&mut keys)?;
            let mut options = fs::OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
            file.write_all(&keys)?;
        }
    }
    let (mut reset, mut id) = ([0; 32], [0; 8]);
    reset.copy_from_slice(&keys[..32]);
    id.copy_from_slice(&keys[32..]);
    Ok((reset, u64::from_le_bytes(id)))
}

fn transport(config: &IngestConfig) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(config.idle_timeout).ok();
    let window = config.batch_bytes_max.clamp(1 << 20, 64 << 20) as u32;
    transport
        .max_idle_timeout(idle)
        .max_concurrent_bidi_streams(STREAMS_MAX.into())
        .max_concurrent_uni_streams(0u32.into())
        .datagram_receive_buffer_size(None)
        .stream_receive_window(window.into())
        .receive_window((2 * window).into());
    transport
}

/// Accepts until the endpoint is closed.
pub(crate) async fn accept<E: Enrich>(endpoint: quinn::Endpoint, shared: Arc<Shared<E>>) {
    while let Some(incoming) = endpoint.accept().await {
        let open = shared.counters.connections.load(Relaxed) as usize;
        if open >= shared.config.connections_max
            || endpoint.open_connections() > 2 * shared.config.connections_max
        {
            shared.counters.refused(Refusal::TooManyConnections);
            incoming.refuse();
            continue;
        }
        let shared = shared.clone();
        tokio::spawn(async move { serve(incoming, shared).await });
    }
}

async fn serve<E: Enrich>(incoming: Incoming, shared: Arc<Shared<E>>) {
    let peer: SocketAddr = incoming.remote_address();
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => return count_handshake(&shared.counters, peer, &error),
    };
    let connection = match tokio::time::timeout(OPENING_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return count_handshake(&shared.counters, peer, &error),
        Err(_) => return shared.counters.refused(Refusal::Handshake),
    };
    let handshake = connection.handshake_data().and_then(|data| data.downcast().ok());
    let alpn = handshake.and_then(|data: Box<HandshakeData>| data.protocol);
    match alpn.as_deref() {
        Some(ALPN_DATA) => match peer_certificate(&connection) {
            Some(certificate) => session::run(connection, certificate, shared).await,
            None => shared.refuse(
                &connection,
                CloseCode::Certificate,
                Refusal::Certificate,
                "a certificate of this server's authority is needed: enrol the agent",
            ),
        },
        Some(ALPN_ENROL) => enrol::run(connection, shared).await,
        _ => shared.refuse(&connection, CloseCode::Garbage, Refusal::Garbage, "unknown ALPN"),
    }
}

fn peer_certificate(connection: &Connection) -> Option<CertificateDer<'static>> {
    let chain: Box<Vec<CertificateDer<'static>>> = connection.peer_identity()?.downcast().ok()?;
    chain.into_iter().next()
}

/// TLS alerts tell why a handshake failed: ours about the peer's certificate, or the peer's.
fn count_handshake(counters: &Counters, peer: SocketAddr, error: &ConnectionError) {
    let text = error.to_string();
    let about_certificate = match error {
        ConnectionError::TransportError(error) => is_certificate_alert(u64::from(error.code)),
        ConnectionError::ConnectionClosed(close) => {
            is_certificate_alert(u64::from(close.error_code))
        }
        _ => false,
    };
    let cause = if about_certificate { Refusal::Certificate } else { Refusal::Handshake };
    counters.refused(cause);
    tracing::warn!(%peer, cause = cause.name(), error = text, "handshake failed");
}

/// QUIC carries TLS alert n as error 0x100 + n (RFC 9001 §4.8); 42 to 49, 51 and 116 are about
/// certificates and their signatures (RFC 8446 §6.2).
fn is_certificate_alert(code: u64) -> bool {
    matches!(code, 0x12a..=0x131 | 0x133 | 0x174)
}

/// Why ingest could not start is told as `io::Error`s of the address.
pub(crate) fn is_address_in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}
