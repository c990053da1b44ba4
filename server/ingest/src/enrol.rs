//! Enrolment: a token against a certificate.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use quinn::Connection;

use control::IssueError;
use schema::wire::{CloseCode, EnrolReply, EnrolRequest, Message};

use crate::endpoint::{OPENING_TIMEOUT, Shared};
use crate::enrich::Enrich;
use crate::messages::{receive, send};
use crate::stats::Refusal;

/// Serves one enrolment; the peer closes.
pub(crate) async fn run<E: Enrich>(connection: Connection, shared: Arc<Shared<E>>) {
    let served = tokio::time::timeout(OPENING_TIMEOUT, serve(&connection, &shared)).await;
    match served {
        Ok(Ok(())) => {}
        Ok(Err((code, cause, why))) => shared.refuse(&connection, code, cause, &why),
        Err(_) => {
            let why = "no enrolment request in time";
            shared.refuse(&connection, CloseCode::Garbage, Refusal::Garbage, why);
        }
    }
}

type Refused = (CloseCode, Refusal, String);

async fn serve<E: Enrich>(connection: &Connection, shared: &Shared<E>) -> Result<(), Refused> {
    let garbage = |why: String| (CloseCode::Garbage, Refusal::Garbage, why);
    let (mut reply, mut request) =
        connection.accept_bi().await.map_err(|error| garbage(error.to_string()))?;
    let message = receive(&mut request).await.map_err(|error| refusal_of(&error))?;
    let Message::EnrolRequest(request) = message else {
        return Err(garbage("expected an enrolment request".into()));
    };
    let answer = match issue(shared, &request) {
        Ok(certificate_der) => {
            shared.counters.enrolled.fetch_add(1, Relaxed);
            tracing::info!(agent = %request.agent_uuid, hostname = request.hostname, "agent enrolled");
            EnrolReply::Issued {
                certificate_der,
                authority_der: shared.config.authority.certificate().to_vec(),
            }
        }
        Err(error) => {
            let cause = match error {
                IssueError::WrongToken => Refusal::Token,
                IssueError::Request(_) => Refusal::Garbage,
            };
            shared.counters.refused(cause);
            tracing::warn!(peer = %connection.remote_address(), %error, "enrolment refused");
            EnrolReply::Refused(error.to_string())
        }
    };
    let _ = send(&mut reply, &Message::EnrolReply(answer)).await;
    let _ = reply.finish();
    connection.closed().await;
    Ok(())
}

fn issue<E>(shared: &Shared<E>, request: &EnrolRequest) -> Result<Vec<u8>, IssueError> {
    shared.config.authority.enrol(&request.token_secret, request.agent_uuid, &request.csr_der)
}

/// How a peer whose first message failed is refused.
pub(crate) fn refusal_of(error: &crate::messages::ReceiveError) -> Refused {
    use crate::messages::ReceiveError;
    use schema::wire::WireError;
    match error {
        ReceiveError::Wire(WireError::ProtocolVersion { .. }) => {
            (CloseCode::Version, Refusal::Version, error.to_string())
        }
        _ => (CloseCode::Garbage, Refusal::Garbage, error.to_string()),
    }
}
