//! The log's thread: take what waits, write it once, answer.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use schema::wire::AckOutcome;

use super::log::{Log, Staged};
use super::{Append, Request};

/// Requests of one group.
const GROUP_REQUESTS_MAX: usize = 1024;
/// How often batches that found the log full are tried again.
const FULL_RETRY: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_secs(3600);

/// Answers that go out once the group is durable, each with the room that its batch holds.
type Answers = Vec<(oneshot::Sender<AckOutcome>, AckOutcome, Option<OwnedSemaphorePermit>)>;

pub(super) fn run(mut log: Log, inbox: &Receiver<Request>) {
    // Batches for which there was no room, in order of arrival.
    let mut waiting: VecDeque<Append> = VecDeque::new();
    loop {
        let mut patience = log.due_in().unwrap_or(IDLE);
        if !waiting.is_empty() {
            patience = patience.min(FULL_RETRY);
        }
        let first = match inbox.recv_timeout(patience) {
            Ok(request) => Some(request),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let requests = first.into_iter().chain(inbox.try_iter()).take(GROUP_REQUESTS_MAX);
        let requests: Vec<Request> = requests.collect();
        if !serve(&mut log, requests, &mut waiting) || log.is_broken() {
            break;
        }
        if log.due_in().is_some_and(|due| due.is_zero()) {
            log.close_segment();
        }
    }
    log.close_segment();
}

/// Serves a group; false when the thread is to end.
fn serve(log: &mut Log, requests: Vec<Request>, waiting: &mut VecDeque<Append>) -> bool {
    let mut answers = Answers::new();
    let mut begun = Vec::new();
    let mut stored = Vec::new();
    let mut go_on = true;
    stage_waiting(log, waiting, &mut answers);
    for request in requests {
        match request {
            Request::Append(append) => {
                // No batch overtakes one that waits: a stream's order is its watermark's truth.
                if !waiting.is_empty() {
                    log.count_full(&append);
                    waiting.push_back(append);
                } else if let Some(append) = stage(log, append, &mut answers) {
                    log.count_full(&append);
                    waiting.push_back(append);
                }
                if log.is_group_full() {
                    flush(log, &mut answers);
                }
            }
            Request::Begin { agent, oldest_unsettled, reply } => {
                begun.push((reply, log.begin(agent, &oldest_unsettled)));
                waiting.retain(|append| log.is_current(append));
            }
            Request::Stored { segment } => stored.push(segment),
            Request::Stop => go_on = false,
        }
        // A session must not be told of a watermark that is not durable.
        if !begun.is_empty() {
            flush_and_begin(log, &mut answers, &mut begun);
        }
    }
    flush(log, &mut answers);
    for segment in stored {
        if let Err(error) = log.remove_segment(segment) {
            // It is read again at the next start; the store recognises it by its token.
            tracing::error!(%error, segment, "failed to remove a stored segment");
        }
    }
    go_on
}

fn stage_waiting(log: &mut Log, waiting: &mut VecDeque<Append>, answers: &mut Answers) {
    while let Some(append) = waiting.pop_front() {
        if let Some(append) = stage(log, append, answers) {
            waiting.push_front(append);
            return;
        }
        if log.is_group_full() {
            flush(log, answers);
        }
    }
}

/// Stages a batch; gives it back when there is no room.
fn stage(log: &mut Log, append: Append, answers: &mut Answers) -> Option<Append> {
    match log.stage(&append) {
        Staged::Answer(outcome) => answers.push((append.reply, outcome, append.room)),
        Staged::Full => return Some(append),
        Staged::Stale => {}
    }
    None
}

fn flush(log: &mut Log, answers: &mut Answers) -> bool {
    let answers = std::mem::take(answers);
    if let Err(error) = log.flush() {
        // Nobody is answered: the sessions end, and the agents send again.
        tracing::error!(%error, "failed to write to the log");
        return false;
    }
    for (reply, outcome, room) in answers {
        let _ = reply.send(outcome);
        drop(room);
    }
    if log.due_in().is_some_and(|due| due.is_zero()) {
        log.close_segment();
    }
    true
}

fn flush_and_begin(
    log: &mut Log,
    answers: &mut Answers,
    begun: &mut Vec<(oneshot::Sender<super::Session>, super::Session)>,
) {
    let durable = flush(log, answers);
    for (reply, session) in begun.drain(..) {
        if durable {
            let _ = reply.send(session);
        }
    }
}
