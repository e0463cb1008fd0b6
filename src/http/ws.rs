//! `GET /ws`: the WebSocket upgrade of a login (PROTOCOL.md section 2).

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use tracing::debug;

use crate::http::App;
use crate::http::access::authorization;
use crate::http::problem::Problem;
use crate::http::upgrade::{UpgradeError, upgrade};
use crate::limits::Visitor;
use crate::protocol::login::{Login, SUBPROTOCOL};
use crate::session;
use crate::websocket::ConnectionOptions;

/// Completes the handshake, whatever the login holds: a browser cannot see an HTTP status
/// here, so a refusal is a close code.
pub async fn ws(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    mut request: Request,
) -> Result<Response, Problem> {
    let login = login(&request);
    let subprotocol = offers(request.headers()).first() == Some(&SUBPROTOCOL);
    let options = ConnectionOptions {
        message_bytes_max: app.sessions.rules.message_bytes_max(),
        binary: false,
    };
    let upgraded = upgrade(&mut request, subprotocol.then_some(SUBPROTOCOL), options);
    let (response, connection) = upgraded.map_err(|error| match error {
        UpgradeError::NotWebSocket | UpgradeError::Version => Problem::upgrade_required(),
        error => Problem::parameter(error.to_string()),
    })?;
    let sessions = Arc::clone(&app.sessions);
    app.sessions.tracker.spawn(async move {
        match connection.await {
            Ok(connection) => session::open(sessions, connection, login, visitor).await,
            Err(error) => debug!(%error, "a connection ended before its upgrade"),
        }
    });
    Ok(response.into_response())
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
