//! A session: everything between a hello and the end of its connection.

use std::sync::Arc;

use quinn::{Connection, RecvStream, SendStream};
use tokio::task::JoinSet;

use schema::wire::{CloseCode, Hello, Message, PROTOCOL_VERSION, SCHEMA_VERSION, Signal};

use crate::exporter::{Shared, lock};
use crate::identity::Identity;
use crate::link::{LinkError, connect, open, receive, send, send_bytes};

/// Connects and serves until the connection ends. Returns why it ended.
pub(crate) async fn run(shared: &Arc<Shared>, identity: &Identity) -> LinkError {
    match begin(shared, identity).await {
        Ok((connection, requests, replies)) => {
            let error = serve(shared, &connection, requests, replies).await;
            lock(&shared.link).connected = false;
            connection.close(CloseCode::Done.id().into(), b"");
            error
        }
        Err(error) => error,
    }
}

async fn begin(
    shared: &Arc<Shared>,
    identity: &Identity,
) -> Result<(Connection, SendStream, RecvStream), LinkError> {
    let connection = connect(&shared.config, identity).await?;
    let (mut requests, mut replies) = open(&connection).await?;
    // One lock after the other: inside of the expression below both would be held until its end, in the
    // wrong order.
    let oldest_unsettled = lock(&shared.holdings).oldest_unsettled();
    let configuration_version = lock(&shared.link).configuration.version;
    let hello = Hello {
        protocol_version: PROTOCOL_VERSION,
        schema_version: SCHEMA_VERSION,
        agent_uuid: identity.uuid,
        agent_version: shared.config.agent_version.clone(),
        configuration_version,
        host: shared.config.host.clone(),
        oldest_unsettled,
    };
    send(&connection, &mut requests, &Message::Hello(hello)).await?;
    let Message::HelloAck(ack) = receive(&connection, &mut replies).await? else {
        return Err(LinkError::Unexpected);
    };
    lock(&shared.holdings).connected(&ack.streams);
    let mut link = lock(&shared.link);
    link.connected = true;
    link.agent_id = ack.agent_id;
    link.sessions += 1;
    link.problem.clear();
    link.configuration = ack.configuration;
    drop(link);
    tracing::info!(server = shared.config.server, agent_id = ack.agent_id, "connected");
    Ok((connection, requests, replies))
}

async fn serve(
    shared: &Arc<Shared>,
    connection: &Connection,
    requests: SendStream,
    replies: RecvStream,
) -> LinkError {
    let mut tasks = JoinSet::new();
    for signal in Signal::ALL {
        tasks.spawn(send_batches(shared.clone(), connection.clone(), signal));
    }
    tasks.spawn(send_statistics(shared.clone(), connection.clone(), requests));
    tasks.spawn(take_configurations(shared.clone(), connection.clone(), replies));
    // The first task that ends tells why; the others are aborted with the set.
    match tasks.join_next().await {
        Some(Ok(error)) => error,
        _ => LinkError::Unexpected,
    }
}

/// Sends a signal's batches in rising sequence, each as soon as it is sealed.
async fn send_batches(shared: Arc<Shared>, connection: Connection, signal: Signal) -> LinkError {
    let mut sealed = shared.sealed.subscribe();
    let mut stream = None;
    loop {
        sealed.borrow_and_update();
        loop {
            let next = lock(&shared.holdings).next(signal);
            let Some((header, payload)) = next else { break };
            let batches = match &mut stream {
                Some(batches) => batches,
                None => match open_stream(&shared, &connection, signal).await {
                    Ok(opened) => stream.insert(opened),
                    Err(error) => return error,
                },
            };
            let mut bytes = Message::Batch(header).encode();
            bytes.extend_from_slice(&payload);
            if let Err(error) = send_bytes(&connection, batches, &bytes).await {
                return error;
            }
            lock(&shared.link).sent_bytes += bytes.len() as u64;
        }
        if sealed.changed().await.is_err() {
            return LinkError::Closed("the exporter ends".into());
        }
    }
}

async fn open_stream(
    shared: &Arc<Shared>,
    connection: &Connection,
    signal: Signal,
) -> Result<SendStream, LinkError> {
    let (mut batches, acks) = open(connection).await?;
    // The most valuable first, when bandwidth is short.
    let rank = Signal::ALL.iter().position(|other| *other == signal).unwrap_or(0);
    let _ = batches.set_priority(-(rank as i32));
    send(connection, &mut batches, &Message::Open(signal)).await?;
    tokio::spawn(take_acks(shared.clone(), connection.clone(), acks, signal));
    Ok(batches)
}

/// Settles batches as their acknowledgements come.
async fn take_acks(
    shared: Arc<Shared>,
    connection: Connection,
    mut acks: RecvStream,
    signal: Signal,
) {
    loop {
        match receive(&connection, &mut acks).await {
            Ok(Message::Ack(ack)) => {
                lock(&shared.holdings).acknowledged(signal, ack.sequence, ack.outcome);
            }
            Ok(_) => break connection.close(CloseCode::Garbage.id().into(), b"expected an ack"),
            Err(_) => break connection.close(CloseCode::Done.id().into(), b""),
        }
    }
}

async fn send_statistics(
    shared: Arc<Shared>,
    connection: Connection,
    mut requests: SendStream,
) -> LinkError {
    let mut statistics = shared.statistics.subscribe();
    // What was reported before this session counts as news.
    statistics.mark_changed();
    while statistics.changed().await.is_ok() {
        let Some(report) = statistics.borrow_and_update().clone() else { continue };
        let message = Message::Statistics(report);
        if let Err(error) = send(&connection, &mut requests, &message).await {
            return error;
        }
    }
    LinkError::Closed("the exporter ends".into())
}

async fn take_configurations(
    shared: Arc<Shared>,
    connection: Connection,
    mut replies: RecvStream,
) -> LinkError {
    loop {
        match receive(&connection, &mut replies).await {
            Ok(Message::Configuration(configuration)) => {
                lock(&shared.link).configuration = configuration;
            }
            Ok(_) => return LinkError::Unexpected,
            Err(error) => return error,
        }
    }
}
