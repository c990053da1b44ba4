//! A connected agent: hello, control messages, and a task for each data stream.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use quinn::rustls::pki_types::CertificateDer;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::sync::mpsc;

use control::Authority;
use schema::wire::{AgentUuid, CloseCode, Hello, HelloAck, Message, SCHEMA_VERSION_OLDEST};

use crate::data;
use crate::endpoint::{AgentControl, OPENING_TIMEOUT, Shared};
use crate::enrich::Enrich;
use crate::enrol::refusal_of;
use crate::messages::{ReceiveError, receive, send};
use crate::stats::Refusal;

type Refused = (CloseCode, Refusal, String);

/// Serves an agent until its connection ends.
pub(crate) async fn run<E: Enrich>(
    connection: Connection,
    certificate: CertificateDer<'static>,
    shared: Arc<Shared<E>>,
) {
    let opening = open(&connection, &certificate);
    let opened = match tokio::time::timeout(OPENING_TIMEOUT, opening).await {
        Ok(opened) => opened,
        Err(_) => Err((CloseCode::Garbage, Refusal::Garbage, "no hello in time".to_owned())),
    };
    let (hello, replies, requests) = match opened {
        Ok(opened) => opened,
        Err((code, cause, why)) => return shared.refuse(&connection, code, cause, &why),
    };
    shared.counters.connections.fetch_add(1, Relaxed);
    if let Err((code, cause, why)) = greet(&connection, hello, replies, requests, &shared).await {
        shared.refuse(&connection, code, cause, &why);
    }
    shared.counters.connections.fetch_sub(1, Relaxed);
}

async fn open(
    connection: &Connection,
    certificate: &CertificateDer<'_>,
) -> Result<(Hello, SendStream, RecvStream), Refused> {
    let (replies, mut requests) = connection
        .accept_bi()
        .await
        .map_err(|error| (CloseCode::Garbage, Refusal::Garbage, error.to_string()))?;
    let message = receive(&mut requests).await.map_err(|error| refusal_of(&error))?;
    let Message::Hello(hello) = message else {
        return Err((CloseCode::Garbage, Refusal::Garbage, "expected a hello".into()));
    };
    // A newer agent is welcome: columns that this server does not know are skipped.
    if hello.schema_version < SCHEMA_VERSION_OLDEST {
        let why = format!(
            "schema version {}, need at least {SCHEMA_VERSION_OLDEST}: upgrade the agent",
            hello.schema_version
        );
        return Err((CloseCode::Version, Refusal::Version, why));
    }
    if !Authority::is_agent(certificate, hello.agent_uuid) {
        let why = "the certificate is that of another agent".to_owned();
        return Err((CloseCode::Certificate, Refusal::Certificate, why));
    }
    Ok((hello, replies, requests))
}

/// Answers the hello and serves the session.
async fn greet<E: Enrich>(
    connection: &Connection,
    hello: Hello,
    mut replies: SendStream,
    requests: RecvStream,
    shared: &Arc<Shared<E>>,
) -> Result<(), Refused> {
    let unavailable = |why: String| (CloseCode::Unavailable, Refusal::Unavailable, why);
    let agent = hello.agent_uuid;
    let registration = shared
        .enrich
        .agent_connected(&hello, connection.remote_address())
        .await
        .map_err(|error| unavailable(error.to_string()))?;
    let session = shared
        .wal
        .begin(agent, hello.oldest_unsettled)
        .await
        .ok_or_else(|| unavailable("the write-ahead log cannot be written".into()))?;
    let (configurations, changes) = mpsc::unbounded_channel();
    let control = AgentControl { connection: connection.clone(), configurations };
    let replaced = lock(&shared.agents).insert(agent, (session.epoch, control));
    if let Some((_, earlier)) = replaced {
        let code = VarInt::from_u32(CloseCode::Replaced.id());
        earlier.connection.close(code, b"the agent connected again");
    }
    let ack = Message::HelloAck(HelloAck {
        agent_id: registration.agent_id,
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
        server_time_us: now_us(),
        streams: session.streams,
        configuration: registration.configuration,
    });
    tracing::info!(%agent, agent_id = registration.agent_id, hostname = hello.host.hostname, peer = %connection.remote_address(), "agent connected");
    let source = data::Source { agent, agent_id: registration.agent_id, epoch: session.epoch };
    let result = match send(&mut replies, &ack).await {
        Ok(()) => serve(connection, replies, requests, changes, source, shared).await,
        Err(_) => Ok(()),
    };
    if forget(shared, agent, session.epoch) {
        shared.enrich.agent_disconnected(registration.agent_id).await;
    }
    tracing::info!(%agent, "agent disconnected");
    result
}

/// Takes an agent off the list; false when a newer session of it is there.
fn forget<E>(shared: &Shared<E>, agent: AgentUuid, epoch: u64) -> bool {
    let mut agents = lock(&shared.agents);
    let is_last = agents.get(&agent).is_some_and(|(newest, _)| *newest == epoch);
    if is_last {
        agents.remove(&agent);
    }
    is_last
}

async fn serve<E: Enrich>(
    connection: &Connection,
    mut replies: SendStream,
    mut requests: RecvStream,
    mut changes: mpsc::UnboundedReceiver<schema::wire::Configuration>,
    source: data::Source,
    shared: &Arc<Shared<E>>,
) -> Result<(), Refused> {
    let statistics = async {
        loop {
            match receive(&mut requests).await {
                Ok(Message::Statistics(statistics)) => {
                    shared.enrich.agent_statistics(source.agent_id, &statistics).await;
                }
                Ok(_) => {
                    let why = "expected statistics".to_owned();
                    return Err((CloseCode::Garbage, Refusal::Garbage, why));
                }
                Err(error @ ReceiveError::Wire(_)) => return Err(refusal_of(&error)),
                Err(_) => return Ok(()),
            }
        }
    };
    let pushes = async {
        while let Some(configuration) = changes.recv().await {
            if send(&mut replies, &Message::Configuration(configuration)).await.is_err() {
                break;
            }
        }
        // The session lives as long as its connection, not its control stream.
        std::future::pending::<()>().await;
    };
    let streams = async {
        while let Ok((acks, batches)) = connection.accept_bi().await {
            let (connection, shared) = (connection.clone(), shared.clone());
            tokio::spawn(async move {
                data::run(connection, acks, batches, source, shared).await;
            });
        }
    };
    tokio::select! {
        result = statistics => result,
        () = pushes => Ok(()),
        () = streams => Ok(()),
    }
}

pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_micros() as i64)
}
