//! A data stream: batches up, acknowledgements down, both in order.

use std::sync::Arc;

use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::{mpsc, oneshot};

use schema::block::{self, BlockError, Limits};
use schema::wire::{
    Ack, AckOutcome, AgentUuid, BatchHeader, CloseCode, Message, ProcessEvent, Rejection, Signal,
    WireError,
};
use schema::{Drop, Table};

use crate::endpoint::Shared;
use crate::enrich::Enrich;
use crate::enrol::refusal_of;
use crate::messages::{ReceiveError, receive, receive_bytes, send, skip_bytes};
use crate::stats::Refusal;
use crate::wal::Append;

/// Batches of a stream between arrival and acknowledgement.
const UNACKED_MAX: usize = 256;
/// Above this, a block is checked on a thread for such work.
const INLINE_CHECK_BYTES: usize = 32 << 10;
/// A rejected payload is read over, to keep the stream, up to this many times the limit.
const SKIP_FACTOR: usize = 16;

/// Who sends.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub agent: AgentUuid,
    pub agent_id: u16,
    pub epoch: u64,
}

type Pending = (BatchHeader, oneshot::Receiver<AckOutcome>);

/// Serves a stream until it ends.
pub(crate) async fn run<E: Enrich>(
    connection: Connection,
    acks: SendStream,
    mut batches: RecvStream,
    source: Source,
    shared: Arc<Shared<E>>,
) {
    let (pending, answers) = mpsc::channel(UNACKED_MAX);
    let acknowledging =
        tokio::spawn(acknowledge(connection.clone(), acks, answers, shared.clone()));
    match take_batches(&mut batches, source, &pending, &shared).await {
        Ok(()) | Err(ReceiveError::End | ReceiveError::Lost) => {}
        Err(error) => {
            let (code, cause, why) = refusal_of(&error);
            shared.refuse(&connection, code, cause, &why);
        }
    }
    drop(pending);
    let _ = acknowledging.await;
}

async fn take_batches<E: Enrich>(
    stream: &mut RecvStream,
    source: Source,
    pending: &mpsc::Sender<Pending>,
    shared: &Shared<E>,
) -> Result<(), ReceiveError> {
    let opening = receive(stream).await?;
    let Message::Open(signal) = opening else { return Err(unexpected("open", &opening)) };
    loop {
        let message = receive(stream).await?;
        let Message::Batch(header) = message else { return Err(unexpected("batch", &message)) };
        if header.signal != signal {
            return Err(WireError::OutOfRange("batch.signal").into());
        }
        let (content, room) = take_payload(stream, &header, shared).await?;
        shared.counters.batch();
        let (reply, answer) = oneshot::channel();
        shared.wal.append(Append {
            agent: source.agent,
            agent_id: source.agent_id,
            epoch: source.epoch,
            header,
            content,
            reply,
            room,
        });
        if pending.send((header, answer)).await.is_err() {
            return Err(ReceiveError::Lost);
        }
    }
}

fn unexpected(expected: &'static str, message: &Message) -> ReceiveError {
    WireError::UnexpectedKind { expected, kind: message.kind() }.into()
}

type Content = (Result<Vec<u8>, Rejection>, Option<tokio::sync::OwnedSemaphorePermit>);

/// Reads a payload and checks it whole: what is acknowledged must be storable.
async fn take_payload<E>(
    stream: &mut RecvStream,
    header: &BatchHeader,
    shared: &Shared<E>,
) -> Result<Content, ReceiveError> {
    let bytes = header.payload_bytes as usize;
    let config = &shared.config;
    if bytes > config.batch_bytes_max {
        let limit = config.batch_bytes_max.saturating_mul(SKIP_FACTOR);
        if bytes > limit {
            let field = "batch.payload_bytes";
            let too_long = WireError::TooLong { field, length: bytes as u64, limit: limit as u64 };
            return Err(too_long.into());
        }
        skip_bytes(stream, bytes).await?;
        return Ok((Err(Rejection::TooManyBytes), None));
    }
    // Waiting here stops reading, which stops the agent: back-pressure.
    let permits = bytes.min(config.memory_bytes_max) as u32;
    let room = shared.room.clone().acquire_many_owned(permits).await;
    let room = room.map_err(|_| ReceiveError::Lost)?;
    let payload = receive_bytes(stream, bytes).await?;
    if header.rows as usize > config.batch_rows_max {
        return Ok((Err(Rejection::TooManyRows), None));
    }
    let (header, rows_max) = (*header, config.batch_rows_max);
    let checked = if bytes <= INLINE_CHECK_BYTES {
        check(&header, payload, rows_max)
    } else {
        tokio::task::spawn_blocking(move || check(&header, payload, rows_max))
            .await
            .map_err(|_| ReceiveError::Lost)?
    };
    Ok((checked, Some(room)))
}

fn check(header: &BatchHeader, payload: Vec<u8>, rows_max: usize) -> Result<Vec<u8>, Rejection> {
    if header.signal == Signal::Processes {
        let events = ProcessEvent::decode_all(&payload, header.rows as usize);
        return events.map(|_| payload).map_err(|_| Rejection::Damaged);
    }
    let table = Table::from_id(header.table_id).ok_or(Rejection::UnknownTable)?;
    if Signal::of(table) != header.signal {
        return Err(Rejection::UnknownTable);
    }
    let limits = Limits { rows_max, ..Limits::default() };
    match block::decode(&payload, &limits) {
        Ok(batch) if batch.table == table && batch.rows == header.rows as usize => Ok(payload),
        Ok(_) => Err(Rejection::Damaged),
        Err(BlockError::Format(_)) => Err(Rejection::BlockVersion),
        Err(BlockError::TooManyRows(_)) => Err(Rejection::TooManyRows),
        Err(BlockError::TooManyBytes) => Err(Rejection::TooManyBytes),
        Err(_) => Err(Rejection::Damaged),
    }
}

/// Sends acknowledgements in order, as batches become durable.
async fn acknowledge<E>(
    connection: Connection,
    mut acks: SendStream,
    mut answers: mpsc::Receiver<Pending>,
    shared: Arc<Shared<E>>,
) {
    while let Some((header, answer)) = answers.recv().await {
        let Ok(outcome) = answer.await else {
            // The log failed, or a newer session took over (then the connection is closed).
            if connection.close_reason().is_none() {
                let why = "the write-ahead log cannot be written";
                shared.refuse(&connection, CloseCode::Unavailable, Refusal::Unavailable, why);
            }
            return;
        };
        match outcome {
            AckOutcome::Stored => {
                if let Some(table) = Table::from_id(header.table_id) {
                    shared.counters.received(table, header.rows);
                }
            }
            AckOutcome::Duplicate => shared.counters.dropped(Drop::BatchDuplicate, header.rows),
            AckOutcome::Rejected(_) => shared.counters.dropped(Drop::BatchRejected, header.rows),
        }
        let ack = Message::Ack(Ack { sequence: header.sequence, outcome });
        if send(&mut acks, &ack).await.is_err() {
            return;
        }
    }
}
