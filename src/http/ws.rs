//! `GET /ws`: the WebSocket upgrade of a login (PROTOCOL.md section 2).

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tracing::debug;

use crate::config::origins::{self, OriginPattern};
use crate::http::App;
use crate::http::access::authorization;
use crate::http::openapi::schemas::LoginParameters;
use crate::http::problem::{Problem, ProblemBody};
use crate::http::upgrade::{UpgradeError, upgrade};
use crate::limits::Visitor;
use crate::protocol::login::{Login, SUBPROTOCOL};
use crate::session;
use crate::websocket::{Connection, ConnectionOptions};

/// Logs in: an upgrade to WebSocket (RFC 6455).
///
/// The handshake is completed whatever the login holds, as a browser cannot see an HTTP status here:
/// a refused login is a close code.
#[utoipa::path(
    get,
    path = "/ws",
    operation_id = "log_in",
    tag = "clients",
    params(LoginParameters),
    responses(
        (status = 101, description = "The connection is a WebSocket from here on"),
        (
            status = 403,
            description = "The page's origin may not log in here",
            body = inline(ProblemBody),
            content_type = "application/problem+json",
        ),
        (
            status = 426,
            description = "The request asks for no upgrade",
            body = inline(ProblemBody),
            content_type = "application/problem+json",
            headers(("Upgrade" = String), ("Sec-WebSocket-Version" = String)),
        ),
    ),
)]
pub async fn ws(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    mut request: Request,
) -> Result<Response, Problem> {
    check_origin(&app.ws_origins, request.headers())?;
    let login = login(&request);
    let options = ConnectionOptions {
        message_bytes_max: app.sessions.rules.message_bytes_max(),
        binary: false,
        room: app.messages.clone(),
    };
    let (response, connection) = accept(&mut request, options)?;
    let sessions = Arc::clone(&app.sessions);
    app.sessions.tracker.spawn(async move {
        match connection.await {
            Ok(connection) => session::open(sessions, connection, login, visitor).await,
            Err(error) => debug!(%error, "a connection ended before its upgrade"),
        }
    });
    Ok(response.into_response())
}

/// Completes the handshake, whatever the login holds.
pub(super) fn accept(
    request: &mut Request,
    options: ConnectionOptions,
) -> Result<
    (
        Response,
        impl Future<Output = Result<Connection, UpgradeError>> + Send + use<>,
    ),
    Problem,
> {
    let subprotocol = offers(request.headers()).first() == Some(&SUBPROTOCOL);
    let upgraded = upgrade(request, subprotocol.then_some(SUBPROTOCOL), options);
    upgraded.map_err(|error| match error {
        UpgradeError::NotWebSocket | UpgradeError::Version => Problem::upgrade_required(),
        error => Problem::parameter(error.to_string()),
    })
}

/// Whether the page that asks, if one does, may: what is no browser sends no `Origin`.
pub(super) fn check_origin(allowed: &[OriginPattern], headers: &HeaderMap) -> Result<(), Problem> {
    if allowed.is_empty() {
        return Ok(());
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let is_allowed = |value: &HeaderValue| {
        let origin = value.to_str();
        origin.is_ok_and(|origin| origins::allows(allowed, origin))
    };
    if origins.all(is_allowed) {
        return Ok(());
    }
    Err(Problem::forbidden(
        "`Origin` must be one of those that the setting `ws_origins` lists",
    ))
}

fn login(request: &Request) -> Result<Login, String> {
    let query = request.uri().query().unwrap_or_default();
    Login::parse(
        query,
        authorization(request.headers())?,
        &offers(request.headers()),
    )
}

/// The subprotocols that the client offers, over all lines of the header (RFC 6455, 11.3.4).
fn offers(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|offer| !offer.is_empty())
        .collect()
}
