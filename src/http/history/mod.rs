//! `GET /message-log` (PROTOCOL.md section 5).

mod answer;
pub mod links;
pub mod open;
pub mod query;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use crate::auth::Grant;
use crate::command::history::{HistoryQuery, Senders};
use crate::http::access::Caller;
use crate::http::openapi::schemas::{self, HistoryParameters, MailboxParameters};
use crate::http::origin::Transport;
use crate::http::parameters;
use crate::http::problem::{Problem, ProblemBody, SOON};
use crate::limits::{HangUp, Limit, Limited, Limits, Requester};
use crate::model::Mailbox;
use crate::state;

/// Lists a mailbox: one page of it, or what lies at a cursor.
///
/// Newest first, unless it goes upwards from `after` or `order` says otherwise. The `Link` header
/// says where to go on. With a user token only where its user is `toId`, `fromId` or `with`.
/// Without one only where the operator has opened it (`history_open`).
#[utoipa::path(
    get,
    path = "/message-log",
    operation_id = "list_messages",
    tag = "history",
    params(MailboxParameters, HistoryParameters),
    responses(
        (
            status = 200,
            description = "A part of the mailbox",
            body = schemas::HistoryPage,
            headers(("Link" = String, description = "RFC 8288: `first`, `prev`, `next`, `last`; none where there is nothing to go to")),
        ),
        (
            status = 403,
            description = "The token does not allow this; or, without one where the server needs none, a page of another origin asks, or `Host` is no name of the server",
            body = inline(ProblemBody),
            content_type = "application/problem+json",
        ),
    ),
    security(("user" = []), ("token" = [])),
)]
pub async fn message_log(
    caller: Caller,
    State(state): State<state::State>,
    Extension(transport): Extension<Transport>,
    hang_up: Option<Extension<HangUp>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = parameters::of(&uri)?;
    let query = query::parse(&parameters)?;
    let token = caller.token(&parameters, &headers)?;
    let (settings, limits) = (&state.settings, &state.limits);
    let requester = match (&settings.history_open, token) {
        (Some(origins), None) => {
            open::check(origins, transport, state.names.as_ref(), &uri, &headers)?;
            let network = limits.network(&caller.visitor);
            network.map(Requester::Address)
        }
        _ => authorize(&caller, limits, &query, token)?,
    };
    let domain = &query.mailbox.domain;
    let bytes_max = answer::bytes_max(settings.rules.content_bytes_max);
    let hang_up = hang_up.map(|Extension(hang_up)| hang_up);
    let answers = &state.permits.answers;
    let permit = answers.acquire(domain, requester.as_ref(), bytes_max, hang_up);
    let permit = permit.await.map_err(|limit| {
        match limit {
            Limit::HistoryAnswersPerAddress => limits.note(limit, &caller.visitor.address),
            _ => limits.note(limit, domain),
        }
        Problem::limited(Limited { limit, retry: SOON })
    });
    answer::begin(state.store.clone(), query, requester, permit?).await
}

/// The user whose limits apply; `None` with a project token.
fn authorize(
    caller: &Caller,
    limits: &Limits,
    query: &HistoryQuery,
    token: Option<&str>,
) -> Result<Option<Requester>, Problem> {
    let domain = &query.mailbox.domain;
    let Grant::User(grant) = caller.grant(domain, token)? else {
        return Ok(None);
    };
    let user = Mailbox {
        domain: domain.clone(),
        user: grant.id,
    };
    limits.user_request(&user).map_err(Problem::limited)?;
    let takes_part = match &query.senders {
        Senders::All => false,
        Senders::From(other) | Senders::With(other) => user.user == *other,
    };
    if !takes_part && user.user != query.mailbox.user {
        return Err(Problem::forbidden(
            "a user token reads only where its user is `toId`, `fromId` or `with`",
        ));
    }
    Ok(Some(Requester::User(user)))
}
