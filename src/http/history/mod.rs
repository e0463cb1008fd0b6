//! `GET /message-log` (PROTOCOL.md section 5).

pub mod links;
pub mod open;
pub mod query;
pub mod room;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use tokio::sync::OwnedSemaphorePermit;
use tracing::error;

use crate::auth::Grant;
use crate::command::history::{self, HistoryPage, HistoryQuery, Place, Senders};
use crate::http::App;
use crate::http::access;
use crate::http::openapi::schemas::{self, HistoryParameters, MailboxParameters};
use crate::http::origin::Over;
use crate::http::parameters::{self, bad_parameter};
use crate::http::problem::{Problem, ProblemBody, SOON};
use crate::limits::{HangUp, Limit, Limited, Visitor};
use crate::model::{Mailbox, Message, UserId};
use crate::protocol::server_frame;
use crate::store::{ReadError, Store};
use room::{Asker, Room};

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
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    Extension(over): Extension<Over>,
    hang_up: Option<Extension<HangUp>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = parameters::of(&uri)?;
    let query = query::parse(&parameters)?;
    let token = access::token(&app.sessions.auth, &parameters, &headers);
    let token = token.map_err(bad_parameter)?;
    let domain = &query.mailbox.domain;
    let limits = &app.sessions.limits;
    let mut asker = None;
    if let (Some(open), None) = (&app.history_open, token) {
        open.check(over, app.names.as_ref(), &uri, &headers)?;
        asker = limits.network(&visitor).map(Asker::Address);
    } else {
        let grant = access::grant(&app, &visitor, domain, token)?;
        if let Grant::User(grant) = grant {
            let user = Mailbox {
                domain: domain.clone(),
                user: grant.id,
            };
            let counted = limits.user_request(&user);
            counted.map_err(|limited| Problem::limited(&limited))?;
            check_access(&user.user, &query)?;
            asker = Some(Asker::User(user));
        }
    }
    let hang_up = hang_up.map(|Extension(hang_up)| hang_up);
    let content_bytes_max = app.sessions.rules.content_bytes_max;
    let entered = app
        .answers
        .enter(domain, asker.as_ref(), content_bytes_max, hang_up);
    let entered = entered.await.map_err(|limit| {
        match limit {
            Limit::HistoryAnswersPerAddress => limits.note(limit, &visitor.address),
            _ => limits.note(limit, domain),
        }
        Problem::limited(&Limited { limit, retry: SOON })
    });
    let room = Arc::new(entered?);
    let store = app.sessions.store.clone();
    let turn = room.reading().await;
    let found = blocking(turn, move || {
        let (page, piece) = history::find(&store, &query)?;
        let reader = Reader {
            store,
            query,
            page,
            asker,
            room,
        };
        Ok((piece, reader))
    });
    let (piece, reader) = found.await?;
    let links = links::header(&reader.query, &reader.page);
    let mut response = body(piece, reader).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    if let Some(links) = links {
        response.headers_mut().insert(header::LINK, links);
    }
    Ok(response)
}

/// A project token reads any mailbox of its domain, that of `user` where the user takes part.
fn check_access(user: &UserId, query: &HistoryQuery) -> Result<(), Problem> {
    let takes_part = match &query.senders {
        Senders::All => false,
        Senders::From(other) | Senders::With(other) => user == other,
    };
    if takes_part || *user == query.mailbox.user {
        return Ok(());
    }
    Err(Problem::forbidden(
        "a user token reads only where its user is `toId`, `fromId` or `with`",
    ))
}

/// An answer on its way to a client.
struct Reader {
    store: Store,
    query: HistoryQuery,
    page: HistoryPage,
    asker: Option<Asker>,
    /// Kept by what reads, too, which goes on where the client has left.
    room: Arc<Room>,
}

type Piece = (Vec<Message>, Reader);

impl Reader {
    fn read_on(mut self) -> Result<Piece, ReadError> {
        let piece = history::read_on(&self.store, &self.query, &mut self.page)?;
        Ok((piece, self))
    }

    /// Appends messages to a list. Whether its recipient was there is no business of another user.
    fn append(&self, out: &mut Vec<u8>, messages: &[Message], first: bool) {
        for (at, message) in messages.iter().enumerate() {
            if at > 0 || !first {
                out.push(b',');
            }
            let is_told = match &self.asker {
                Some(Asker::User(user)) => *user == message.mailbox,
                Some(Asker::Address(_)) | None => true,
            };
            server_frame::message(out, message, is_told && message.recipient_offline);
        }
    }
}

/// Reads for as long as `turn` is held, also where the client has left.
async fn blocking(
    turn: Option<OwnedSemaphorePermit>,
    read: impl FnOnce() -> Result<Piece, ReadError> + Send + 'static,
) -> Result<Piece, Problem> {
    let read = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        read()
    });
    let read = read.await.map_err(|_| Problem::internal())?;
    read.map_err(|error| {
        error!(%error, "a page of history cannot be read");
        Problem::storage_unavailable()
    })
}

/// The answer's text: at once where the first piece is all, else piece by piece as the client
/// takes them. Its room is free once the last of it was taken.
fn body(first: Vec<Message>, mut reader: Reader) -> Body {
    let HistoryPage {
        total,
        pages,
        as_of,
        ..
    } = reader.page;
    let HistoryQuery { place, size, .. } = reader.query;
    let page = match place {
        Place::Page(number, _) => number,
        // What lies at a cursor is no page.
        Place::Cursor { .. } => 0,
    };
    let mut out = format!(
        r#"{{"total":{total},"page":{page},"size":{size},"pages":{pages},"asOf":{as_of},"list":["#
    )
    .into_bytes();
    reader.append(&mut out, &first, true);
    drop(first);
    if reader.page.is_read() {
        out.extend_from_slice(b"]}");
        if let Some(room) = Arc::get_mut(&mut reader.room) {
            room.shrink(out.len());
        }
        return Body::from(room::output(out, &reader.room));
    }
    let first = room::output(out, &reader.room);
    let rest = stream::try_unfold(Some(reader), |reader| async move {
        let Some(reader) = reader else {
            return Ok::<_, axum::Error>(None);
        };
        // A page that breaks off cannot be taken for a whole one: its JSON does not end.
        let turn = reader.room.reading().await;
        let piece = blocking(turn, || reader.read_on()).await;
        let (piece, reader) = piece.map_err(|_| axum::Error::new("the page cannot be read"))?;
        let mut out = Vec::new();
        reader.append(&mut out, &piece, false);
        let is_read = reader.page.is_read();
        if is_read {
            out.extend_from_slice(b"]}");
        }
        let out = room::output(out, &reader.room);
        Ok(Some((out, (!is_read).then_some(reader))))
    });
    Body::from_stream(stream::once(async { Ok(first) }).chain(rest))
}
