//! `POST /messages` (PROTOCOL.md section 6).

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Serialize;
use tokio::sync::oneshot;
use tracing::warn;
use utoipa::ToSchema;

use crate::command::send::{self, SendError};
use crate::http::access::{self, Caller};
use crate::http::body;
use crate::http::openapi::schemas::{MessageBody, TimeMs};
use crate::http::problem::Problem;
use crate::model::MsgId;
use crate::protocol::request;
use crate::state;
use crate::store::{Accepted, AppendError};

/// What became of a message that was sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Sent {
    /// It went to `toId`.
    One(SentToOne),
    /// It went to `toIds`.
    Many(SentToMany),
}

/// A message that was sent to one recipient (`toId`).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SentToOne {
    /// Its id.
    #[schema(value_type = MsgId)]
    msg_id: u64,
    /// When it was accepted, in milliseconds since the Unix epoch.
    #[schema(value_type = TimeMs)]
    send_at: u64,
    /// Whether the same `clientMsgId` had been accepted before.
    duplicate: bool,
}

/// A message that was sent to several recipients (`toIds`).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SentToMany {
    /// One id for each recipient, in their order.
    #[schema(value_type = Vec<MsgId>)]
    msg_ids: Vec<u64>,
    /// When the first one was accepted, in milliseconds since the Unix epoch.
    #[schema(value_type = TimeMs)]
    send_at: u64,
    /// Whether the same `clientMsgId` had been accepted before.
    duplicate: bool,
}

/// Sends a message to one user or many.
///
/// Answered once it is on disk: with 201, or, where this `clientMsgId` was accepted within the last
/// 24 hours, with 200 and the ids of then. Nothing is stored for anyone where anything is refused.
#[utoipa::path(
    post,
    path = "/messages",
    tag = "backend",
    request_body(content = MessageBody),
    responses(
        (status = 201, description = "It is on disk", body = Sent),
        (status = 200, description = "It was already: the same `clientMsgId` again", body = Sent),
    ),
    security(("project" = [])),
)]
pub async fn send(
    caller: Caller,
    State(state): State<state::State>,
    request: Request,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let (head, body) = request.into_parts();
    let rules = &state.settings.rules;
    let bytes_max = request::message_bytes_max(rules);
    let bodies = &state.permits.bodies;
    let read = body::of_project(&caller, bodies, &head.headers, body, bytes_max);
    let (token, text) = read.await?;
    let wanted = request::message(&text, rules).map_err(Problem::refused)?;
    // Frees its memory before the wait.
    drop(text);
    caller.check_project(&wanted.domain, token)?;
    let to_array = wanted.send.to_array;
    let (answer, answered) = oneshot::channel();
    // From here on the send is carried out even if its caller leaves.
    send::send_as_backend(state.send_path(), wanted, |outcome| {
        // The caller may have left.
        let _ = answer.send(outcome);
    });
    let outcome = answered.await.map_err(|_| Problem::internal())?;
    let accepted = outcome.map_err(refusal)?;
    let status = match accepted.duplicate {
        false => StatusCode::CREATED,
        true => StatusCode::OK,
    };
    Ok((status, Json(sent(&accepted, to_array))))
}

fn sent(accepted: &Accepted, to_array: bool) -> Sent {
    let first = accepted.ids.first().copied().unwrap_or_default();
    let (send_at, duplicate) = (first.send_at_ms(), accepted.duplicate);
    if to_array {
        let msg_ids = accepted.ids.iter().map(|MsgId(id)| *id).collect();
        return Sent::Many(SentToMany {
            msg_ids,
            send_at,
            duplicate,
        });
    }
    Sent::One(SentToOne {
        msg_id: first.0,
        send_at,
        duplicate,
    })
}

fn refusal(error: SendError) -> Problem {
    match error {
        SendError::Limited(limited) => Problem::limited(limited),
        SendError::Store(AppendError::DomainRemoved) => access::unknown(),
        SendError::Store(error) => {
            warn!(%error, "a message of a backend is not stored");
            Problem::storage_unavailable()
        }
    }
}
