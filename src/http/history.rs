//! `GET /message-log` (PROTOCOL.md section 5).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tracing::error;

use crate::auth::{AuthError, Grant};
use crate::command::history::{self, HistoryPage, HistoryQuery};
use crate::http::problem::Problem;
use crate::http::{App, authorization};
use crate::model::{Domain, Mailbox, Message, MsgId, NameError, UserId};
use crate::protocol::login::{check_token, given_token};
use crate::protocol::query::Query;
use crate::protocol::server_frame;
use crate::store::{ReadError, Store};

const SIZE_MAX: u64 = 100;
const SIZE_DEFAULT: u64 = 10;

/// Extensions of section 5 that this version does not have: refused rather than ignored,
/// since an answer without them would be a wrong one.
const UNSUPPORTED: [&str; 6] = ["before", "after", "since", "until", "order", "with"];

/// Answers one page of a mailbox.
pub async fn message_log(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = Query::parse(uri.query().unwrap_or_default()).map_err(bad_parameter)?;
    let query = parse(&parameters)?;
    let authorization = authorization(&headers).map_err(bad_parameter)?;
    let token = given_token(&parameters, authorization, &[]).map_err(bad_parameter)?;
    if !app.history_open {
        authorize(&app, token, &query)?;
    }
    let store = app.sessions.store.clone();
    let page = blocking(move || {
        let page = history::find(&store, &query)?;
        Reader { store, query, page }.read_on()
    });
    let (piece, reader) = page.await?;
    let links = links(&reader.query, &reader.page);
    let mut response = body(piece, reader).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    if let Some(links) = links {
        response.headers_mut().insert(header::LINK, links);
    }
    Ok(response)
}

/// A page on its way to a client.
struct Reader {
    store: Store,
    query: HistoryQuery,
    page: HistoryPage,
}

type Piece = (Vec<Message>, Reader);

impl Reader {
    fn read_on(mut self) -> Result<Piece, ReadError> {
        let piece = history::read_on(&self.store, &self.query, &mut self.page)?;
        Ok((piece, self))
    }
}

async fn blocking(
    read: impl FnOnce() -> Result<Piece, ReadError> + Send + 'static,
) -> Result<Piece, Problem> {
    let read = tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| Problem::internal())?;
    read.map_err(|error| {
        error!(%error, "a page of history cannot be read");
        Problem::storage_unavailable()
    })
}

/// The answer's text: at once where the first piece is all, else piece by piece as the client
/// takes them, so that many large pages cost little memory.
fn body(first: Vec<Message>, reader: Reader) -> Body {
    let HistoryPage {
        total,
        pages,
        as_of,
        ..
    } = reader.page;
    let HistoryQuery { page, size, .. } = reader.query;
    let mut out = format!(
        r#"{{"total":{total},"page":{page},"size":{size},"pages":{pages},"asOf":{as_of},"list":["#
    )
    .into_bytes();
    append(&mut out, &first, true);
    if reader.page.is_read() {
        out.extend_from_slice(b"]}");
        return Body::from(out);
    }
    let rest = stream::try_unfold(Some(reader), |reader| async move {
        let Some(reader) = reader else {
            return Ok::<_, axum::Error>(None);
        };
        // A page that breaks off cannot be taken for a whole one: its JSON does not end.
        let piece = blocking(|| reader.read_on()).await;
        let (piece, reader) = piece.map_err(|_| axum::Error::new("the page cannot be read"))?;
        let mut out = Vec::new();
        append(&mut out, &piece, false);
        let reader = if reader.page.is_read() {
            out.extend_from_slice(b"]}");
            None
        } else {
            Some(reader)
        };
        Ok(Some((out, reader)))
    });
    Body::from_stream(stream::once(async { Ok(out) }).chain(rest))
}

fn append(out: &mut Vec<u8>, messages: &[Message], first: bool) {
    for (at, message) in messages.iter().enumerate() {
        if at > 0 || !first {
            out.push(b',');
        }
        server_frame::message(out, message, message.recipient_offline);
    }
}

fn bad_parameter(error: impl std::fmt::Display) -> Problem {
    Problem::parameter(error.to_string())
}

fn parse(parameters: &Query) -> Result<HistoryQuery, Problem> {
    for name in UNSUPPORTED {
        if parameters.value(name).map_err(bad_parameter)?.is_some() {
            return Err(Problem::parameter(format!(
                "`{name}` is not supported by this version"
            )));
        }
    }
    let domain = name(parameters, "domain", Domain::parse)?;
    let domain = domain.ok_or_else(|| Problem::parameter("`domain` is missing"))?;
    let user = name(parameters, "toId", UserId::parse)?;
    let user = user.ok_or_else(|| Problem::parameter("`toId` is missing"))?;
    Ok(HistoryQuery {
        mailbox: Mailbox { domain, user },
        from: name(parameters, "fromId", UserId::parse)?,
        page: number(parameters, "page", 1, MsgId::MAX.0)?.unwrap_or(1),
        size: number(parameters, "size", 1, SIZE_MAX)?.unwrap_or(SIZE_DEFAULT),
        as_of: number(parameters, "asOf", 0, MsgId::MAX.0)?.map(MsgId),
    })
}

fn name<T>(
    parameters: &Query,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, NameError>,
) -> Result<Option<T>, Problem> {
    let value = parameters.value(name).map_err(bad_parameter)?;
    let parsed = value.map(|value| parse(value).map_err(|error| format!("`{name}` {error}")));
    parsed.transpose().map_err(Problem::parameter)
}

fn number(
    parameters: &Query,
    name: &'static str,
    min: u64,
    max: u64,
) -> Result<Option<u64>, Problem> {
    let Some(value) = parameters.value(name).map_err(bad_parameter)? else {
        return Ok(None);
    };
    // `parse` alone would take a leading plus sign.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value
        .parse()
        .ok()
        .filter(|number| digits && (min..=max).contains(number));
    let expected =
        || Problem::parameter(format!("`{name}` must be an integer from {min} to {max}"));
    number.ok_or_else(expected).map(Some)
}

/// A project token reads any mailbox of its domain, a user token where its user takes part.
fn authorize(app: &App, token: Option<&str>, query: &HistoryQuery) -> Result<(), Problem> {
    let token = token.ok_or_else(|| {
        Problem::unauthorized("a token is needed: `Authorization: Bearer …` or `token`")
    })?;
    check_token(token).map_err(Problem::unauthorized)?;
    let verified = app
        .sessions
        .auth
        .verify(&query.mailbox.domain, token)
        .map_err(|error| match error {
            AuthError::Unknown => Problem::unauthorized("the token or the domain is unknown"),
            AuthError::Expired => Problem::unauthorized("the token has expired"),
            AuthError::OtherDomain => Problem::forbidden("the token is for another `domain`"),
        })?;
    match verified.grant {
        Grant::Project => Ok(()),
        Grant::User(user)
            if user.id == query.mailbox.user || Some(&user.id) == query.from.as_ref() =>
        {
            Ok(())
        }
        Grant::User(_) => Err(Problem::forbidden(
            "a user token reads only where its user is `toId` or `fromId`",
        )),
    }
}

/// The `Link` header (RFC 8288) that walks the pages, pinned by `asOf`; none where there are none.
fn links(query: &HistoryQuery, page: &HistoryPage) -> Option<HeaderValue> {
    let HistoryPage { pages, as_of, .. } = page;
    if *pages == 0 {
        return None;
    }
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut base = format!(
        "/message-log?domain={}&toId={}",
        encode(query.mailbox.domain.as_str()),
        encode(query.mailbox.user.as_str())
    );
    if let Some(from) = &query.from {
        base.push_str(&format!("&fromId={}", encode(from.as_str())));
    }
    let size = query.size;
    let link = |rel: &str, page: u64| {
        format!("<{base}&page={page}&size={size}&asOf={as_of}>; rel=\"{rel}\"")
    };
    let mut links = vec![link("first", 1)];
    if query.page > 1 {
        links.push(link("prev", (query.page - 1).min(*pages)));
    }
    if query.page < *pages {
        links.push(link("next", query.page + 1));
    }
    links.push(link("last", *pages));
    HeaderValue::try_from(links.join(", ")).ok()
}
