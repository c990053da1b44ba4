//! The connection to the server: dial, enrol, say hello.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ApplicationClose, Connection, ConnectionError, Endpoint, RecvStream, SendStream};

use schema::wire::{
    CloseCode, EnrolReply, EnrolRequest, EnrolmentToken, FRAME_HEADER_BYTES, FrameHeader, Message,
    SERVER_NAME, WireError,
};

use crate::identity::{Certificates, Identity, IdentityError, sha256};
use crate::{ExportConfig, TokenSource};

const DIAL_TIMEOUT: Duration = Duration::from_secs(2);
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// A server that says nothing for so long is gone.
const IDLE_TIMEOUT_MS: u32 = 5000;
/// Assumed round trip of a first packet: it is sent again after three times as long.
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// Why there is no connection. The text is shown to the user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("not enrolled: {0}")]
    NotEnrolled(String),
    #[error("server address {0} cannot be resolved")]
    Address(String),
    #[error("server {server} does not answer: {what}")]
    Dial { server: String, what: String },
    #[error("the server closed the connection: {0}")]
    Closed(String),
    #[error("the server sent what cannot be read: {0}")]
    Wire(#[from] WireError),
    #[error("the server answered with another message than expected")]
    Unexpected,
}

/// Opens an authenticated connection; enrols first when needed.
pub(crate) async fn connect(
    config: &ExportConfig,
    identity: &Identity,
) -> Result<Connection, LinkError> {
    let mut certificates = identity.certificates()?;
    // A token of another authority means: enrol there.
    if let (Some(issued), Ok(token)) = (&certificates, token(config))
        && sha256(&issued.authority) != token.authority_sha256
    {
        certificates = None;
    }
    let issued = match certificates {
        Some(issued) => issued,
        None => enrol(config, identity).await?,
    };
    dial(config, identity.data_tls(issued)?).await
}

async fn enrol(config: &ExportConfig, identity: &Identity) -> Result<Certificates, LinkError> {
    let token = token(config)?;
    let connection = dial(config, identity.enrol_tls(&token)?).await?;
    let (mut requests, mut replies) = open(&connection).await?;
    let request = Message::EnrolRequest(EnrolRequest {
        token_secret: token.secret,
        agent_uuid: identity.uuid,
        hostname: config.host.hostname.clone(),
        csr_der: identity.signing_request()?,
    });
    send(&connection, &mut requests, &request).await?;
    let Message::EnrolReply(reply) = receive(&connection, &mut replies).await? else {
        return Err(LinkError::Unexpected);
    };
    connection.close(CloseCode::Done.id().into(), b"");
    match reply {
        EnrolReply::Issued { certificate_der, authority_der } => {
            if sha256(&authority_der) != token.authority_sha256 {
                return Err(LinkError::NotEnrolled(
                    "the server's authority is not the token's".into(),
                ));
            }
            let issued = Certificates { certificate: certificate_der, authority: authority_der };
            identity.keep(&issued)?;
            tracing::info!(agent = %identity.uuid, "enrolled");
            Ok(issued)
        }
        EnrolReply::Refused(reason) => Err(LinkError::NotEnrolled(reason)),
    }
}

fn token(config: &ExportConfig) -> Result<EnrolmentToken, LinkError> {
    let text = match &config.token {
        TokenSource::Text(text) => text.clone(),
        TokenSource::File(path) => std::fs::read_to_string(path).map_err(|error| {
            LinkError::NotEnrolled(format!("token file {}: {error}", path.display()))
        })?,
        TokenSource::Absent => {
            return Err(LinkError::NotEnrolled("no enrolment token is configured".into()));
        }
    };
    text.parse().map_err(|error: WireError| LinkError::NotEnrolled(error.to_string()))
}

async fn dial(config: &ExportConfig, tls: rustls::ClientConfig) -> Result<Connection, LinkError> {
    let server = &config.server;
    let resolved = tokio::net::lookup_host(server).await.ok();
    let address: SocketAddr = resolved
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| LinkError::Address(server.clone()))?;
    let failed = |what: String| LinkError::Dial { server: server.clone(), what };
    let local: SocketAddr =
        if address.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let mut endpoint = Endpoint::client(local).map_err(|error| failed(error.to_string()))?;
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| failed(error.to_string()))?;
    let mut client = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    transport
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(INITIAL_RTT)
        .max_idle_timeout(Some(quinn::VarInt::from_u32(IDLE_TIMEOUT_MS).into()))
        .datagram_receive_buffer_size(None);
    client.transport_config(Arc::new(transport));
    endpoint.set_default_client_config(client);
    let connecting =
        endpoint.connect(address, SERVER_NAME).map_err(|error| failed(error.to_string()))?;
    match tokio::time::timeout(DIAL_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(closed(&error)),
        Err(_) => Err(failed("no answer in time".into())),
    }
}

/// Opens a stream in both directions.
pub(crate) async fn open(connection: &Connection) -> Result<(SendStream, RecvStream), LinkError> {
    connection.open_bi().await.map_err(|error| closed(&error))
}

/// Sends one message.
pub(crate) async fn send(
    connection: &Connection,
    stream: &mut SendStream,
    message: &Message,
) -> Result<(), LinkError> {
    send_bytes(connection, stream, &message.encode()).await
}

/// Sends bytes.
pub(crate) async fn send_bytes(
    connection: &Connection,
    stream: &mut SendStream,
    bytes: &[u8],
) -> Result<(), LinkError> {
    match stream.write_all(bytes).await {
        Ok(()) => Ok(()),
        Err(error) => Err(reason(connection, error.to_string()).await),
    }
}

/// Receives one message.
pub(crate) async fn receive(
    connection: &Connection,
    stream: &mut RecvStream,
) -> Result<Message, LinkError> {
    let mut header = [0; FRAME_HEADER_BYTES];
    if let Err(error) = stream.read_exact(&mut header).await {
        return Err(reason(connection, error.to_string()).await);
    }
    let header = FrameHeader::decode(header)?;
    let mut body = vec![0; header.body_bytes];
    if let Err(error) = stream.read_exact(&mut body).await {
        return Err(reason(connection, error.to_string()).await);
    }
    Ok(Message::decode(header.kind, &body)?)
}

/// Why a stream broke: the connection knows better, if it is closed or about to be.
async fn reason(connection: &Connection, error: String) -> LinkError {
    let grace = Duration::from_millis(200);
    match tokio::time::timeout(grace, connection.closed()).await {
        Ok(error) => closed(&error),
        Err(_) => LinkError::Closed(error),
    }
}

fn closed(error: &ConnectionError) -> LinkError {
    let what = match error {
        ConnectionError::ApplicationClosed(ApplicationClose { error_code, reason }) => {
            let code = CloseCode::from_id(error_code.into_inner());
            format!("{} ({code:?})", String::from_utf8_lossy(reason))
        }
        other => other.to_string(),
    };
    LinkError::Closed(what)
}
