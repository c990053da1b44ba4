//! Peers that do it wrong get a clear error, a counter moves, and service goes on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod doubles;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use doubles::{Server, agent_config, logs, totals_of, wait_until};
use export::Exporter;
use ingest::Refusal;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use schema::block::Encoder;
use schema::wire::{
    ALPN_DATA, Ack, AckOutcome, AgentUuid, BatchHeader, CloseCode, FRAME_HEADER_BYTES, FrameHeader,
    Hello, HostFacts, Message, PROTOCOL_VERSION, Rejection, SCHEMA_VERSION, SERVER_NAME, Signal,
};
use schema::{Drop, Table};

const AGENT: AgentUuid = AgentUuid([9; 16]);

/// A client written by hand, with a certificate of `issuer` for AGENT, or none.
async fn dial(server: &Server, issuer: Option<&Server>) -> Result<Connection, ConnectionError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(server.authority.certificate().clone()).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut tls = match issuer {
        None => builder.with_no_client_auth(),
        Some(issuer) => {
            let key = KeyPair::generate().unwrap();
            let request = CertificateParams::default().serialize_request(&key).unwrap();
            let certificate =
                issuer.authority.enrol(&issuer.secret(), AGENT, request.der()).unwrap();
            let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
            builder.with_client_auth_cert(vec![certificate.into()], key).unwrap()
        }
    };
    tls.alpn_protocols = vec![ALPN_DATA.to_vec()];
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let crypto = QuicClientConfig::try_from(tls).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    let address: SocketAddr = server.address().parse().unwrap();
    endpoint.connect(address, SERVER_NAME).unwrap().await
}

fn hello() -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION,
        schema_version: SCHEMA_VERSION,
        agent_uuid: AGENT,
        agent_version: "test".into(),
        configuration_version: 0,
        host: HostFacts { hostname: "test-host".into(), ..HostFacts::default() },
        oldest_unsettled: vec![],
    }
}

async fn receive(stream: &mut RecvStream) -> Message {
    let mut header = [0; FRAME_HEADER_BYTES];
    stream.read_exact(&mut header).await.unwrap();
    let header = FrameHeader::decode(header).unwrap();
    let mut body = vec![0; header.body_bytes];
    stream.read_exact(&mut body).await.unwrap();
    Message::decode(header.kind, &body).unwrap()
}

async fn greeted(server: &Server) -> (Connection, SendStream, RecvStream) {
    let connection = dial(server, Some(server)).await.unwrap();
    let (mut requests, mut replies) = connection.open_bi().await.unwrap();
    requests.write_all(&Message::Hello(hello()).encode()).await.unwrap();
    assert!(matches!(receive(&mut replies).await, Message::HelloAck(ack) if ack.agent_id == 3));
    (connection, requests, replies)
}

/// Why the server closed: code and words.
async fn close_reason(connection: &Connection) -> (CloseCode, String) {
    let closed = tokio::time::timeout(Duration::from_secs(15), connection.closed()).await;
    match closed.expect("the server closes") {
        ConnectionError::ApplicationClosed(close) => (
            CloseCode::from_id(close.error_code.into_inner()).unwrap(),
            String::from_utf8(close.reason.to_vec()).unwrap(),
        ),
        other => panic!("{other:?}"),
    }
}

/// A good agent is served, whatever came before.
async fn assert_service_goes_on(server: &Server, cause: Refusal, at_least: u64) {
    let refused = || server.handle().stats().refused.get(&cause).copied().unwrap_or(0);
    wait_until(|| refused() >= at_least).await;
    let exporter = Exporter::start(agent_config(server, &server.address())).unwrap();
    exporter.submit(logs(0..10));
    let stats = exporter.shutdown(Duration::from_secs(20));
    assert_eq!(totals_of(&stats, Table::L7FlowLog).acknowledged, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_our_certificate_are_refused() {
    let (server, other) = (Server::start().await, Server::start().await);
    let connection = dial(&server, None).await.unwrap();
    let (code, why) = close_reason(&connection).await;
    assert_eq!(code, CloseCode::Certificate);
    assert!(why.contains("enrol"), "{why}");
    // With TLS 1.3 the client is done before the server has seen its certificate.
    if let Ok(connection) = dial(&server, Some(&other)).await {
        let error = connection.closed().await;
        assert!(error.to_string().contains("cert"), "{error}");
    }
    // A certificate of ours, but for another agent than the hello says.
    let connection = dial(&server, Some(&server)).await.unwrap();
    let (mut requests, _replies) = connection.open_bi().await.unwrap();
    let mut impostor = hello();
    impostor.agent_uuid = AgentUuid([1; 16]);
    requests.write_all(&Message::Hello(impostor).encode()).await.unwrap();
    let (code, why) = close_reason(&connection).await;
    assert_eq!(code, CloseCode::Certificate);
    assert!(why.contains("another agent"), "{why}");
    assert_service_goes_on(&server, Refusal::Certificate, 3).await;
    server.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_are_refused_in_words() {
    let server = Server::start().await;
    let mut old_schema = hello();
    old_schema.schema_version = 0;
    let mut old_protocol = hello();
    old_protocol.protocol_version = 0;
    for (hello, words) in [(old_schema, "schema version 0"), (old_protocol, "protocol version 0")] {
        let connection = dial(&server, Some(&server)).await.unwrap();
        let (mut requests, _replies) = connection.open_bi().await.unwrap();
        requests.write_all(&Message::Hello(hello).encode()).await.unwrap();
        let (code, why) = close_reason(&connection).await;
        assert_eq!(code, CloseCode::Version);
        assert!(why.contains(words), "{why}");
    }
    assert_service_goes_on(&server, Refusal::Version, 2).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_messages_end_the_connection_only() {
    let server = Server::start().await;
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0xff; 100], vec![3, 0, 0, 0, 3, 1]] {
        let connection = dial(&server, Some(&server)).await.unwrap();
        let (mut requests, _replies) = connection.open_bi().await.unwrap();
        requests.write_all(&garbage).await.unwrap();
        requests.finish().unwrap();
        assert_eq!(close_reason(&connection).await.0, CloseCode::Garbage);
    }
    let (connection, _requests, _replies) = greeted(&server).await;
    let (mut batches, _acks) = connection.open_bi().await.unwrap();
    batches.write_all(&Message::Open(Signal::RequestLogs).encode()).await.unwrap();
    batches.write_all(&Message::Hello(hello()).encode()).await.unwrap();
    let (code, why) = close_reason(&connection).await;
    assert_eq!(code, CloseCode::Garbage);
    assert!(why.contains("expected batch"), "{why}");
    assert_service_goes_on(&server, Refusal::Garbage, 4).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_batches_are_rejected_by_name_and_never_come_again() {
    let server = Server::start_with(|config| {
        config.batch_bytes_max = 20_000;
        config.batch_rows_max = 1000;
    })
    .await;
    let (connection, _requests, _replies) = greeted(&server).await;
    let (mut batches, mut acks) = connection.open_bi().await.unwrap();
    batches.write_all(&Message::Open(Signal::RequestLogs).encode()).await.unwrap();
    let mut encoder = Encoder::new().unwrap();
    let mut block = |rows: u64| encoder.encode(&logs(0..rows)).unwrap();
    let mut damaged = block(10);
    let end = damaged.len() - 1;
    damaged[end] ^= 1;
    let mut later_format = block(10);
    later_format[3] = 2;
    let logs_id = Table::L7FlowLog.id();
    let cases = [
        (logs_id, 10, block(10), AckOutcome::Stored),
        (logs_id, 10, vec![7; 60_000], AckOutcome::Rejected(Rejection::TooManyBytes)),
        (logs_id, 2000, block(2000), AckOutcome::Rejected(Rejection::TooManyRows)),
        (logs_id, 11, block(10), AckOutcome::Rejected(Rejection::Damaged)),
        (logs_id, 10, damaged, AckOutcome::Rejected(Rejection::Damaged)),
        (logs_id, 10, later_format, AckOutcome::Rejected(Rejection::BlockVersion)),
        (1, 10, block(10), AckOutcome::Rejected(Rejection::UnknownTable)),
        (Table::L4FlowLog.id(), 10, block(10), AckOutcome::Rejected(Rejection::UnknownTable)),
        (logs_id, 10, block(10), AckOutcome::Stored),
    ];
    for (i, (table_id, rows, payload, outcome)) in cases.into_iter().enumerate() {
        let header = BatchHeader {
            signal: Signal::RequestLogs,
            sequence: i as u64 + 1,
            table_id,
            rows,
            payload_bytes: payload.len() as u32,
        };
        batches.write_all(&Message::Batch(header).encode()).await.unwrap();
        batches.write_all(&payload).await.unwrap();
        let expected = Message::Ack(Ack { sequence: header.sequence, outcome });
        assert_eq!(receive(&mut acks).await, expected, "case {i}");
    }
    let dropped = server.handle().stats().dropped;
    assert_eq!(dropped[&Drop::BatchRejected], 10 + 2000 + 11 + 10 + 10 + 10 + 10);
    // Sent again, a stored batch is a duplicate, also on another connection.
    connection.close(0u32.into(), b"");
    let (connection, _requests, _replies) = greeted(&server).await;
    let (mut batches, mut acks) = connection.open_bi().await.unwrap();
    batches.write_all(&Message::Open(Signal::RequestLogs).encode()).await.unwrap();
    let payload = block(10);
    let header = BatchHeader {
        signal: Signal::RequestLogs,
        sequence: 9,
        table_id: logs_id,
        rows: 10,
        payload_bytes: payload.len() as u32,
    };
    batches.write_all(&[Message::Batch(header).encode(), payload].concat()).await.unwrap();
    let expected = Message::Ack(Ack { sequence: 9, outcome: AckOutcome::Duplicate });
    assert_eq!(receive(&mut acks).await, expected);
    wait_until(|| server.sink.rows(Table::L7FlowLog) == 20).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absurd_length_ends_the_connection_without_an_allocation() {
    let server = Server::start().await;
    let (connection, _requests, _replies) = greeted(&server).await;
    let (mut batches, _acks) = connection.open_bi().await.unwrap();
    batches.write_all(&Message::Open(Signal::FlowLogs).encode()).await.unwrap();
    let header = BatchHeader {
        signal: Signal::FlowLogs,
        sequence: 1,
        table_id: Table::L4FlowLog.id(),
        rows: 1,
        payload_bytes: u32::MAX,
    };
    batches.write_all(&Message::Batch(header).encode()).await.unwrap();
    let (code, why) = close_reason(&connection).await;
    assert_eq!(code, CloseCode::Garbage);
    assert!(why.contains("batch.payload_bytes has 4294967295"), "{why}");
    assert_service_goes_on(&server, Refusal::Garbage, 1).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_above_the_limit_are_refused() {
    let server = Server::start_with(|config| config.connections_max = 1).await;
    let (connection, _requests, _replies) = greeted(&server).await;
    let second = dial(&server, Some(&server)).await;
    assert!(second.is_err(), "a second connection was accepted");
    connection.close(0u32.into(), b"");
    wait_until(|| server.handle().stats().connections == 0).await;
    assert_service_goes_on(&server, Refusal::TooManyConnections, 1).await;
    server.stop().await;
}
