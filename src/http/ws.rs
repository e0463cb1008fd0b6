//! `GET /ws`: the WebSocket upgrade of a login (PROTOCOL.md section 2).

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{debug, info, warn};

use crate::http::access::{authorization, is_own};
use crate::http::headers::list;
use crate::http::openapi::schemas::LoginParameters;
use crate::http::origin::{self, Transport};
use crate::http::problem::{Problem, ProblemBody};
use crate::http::upgrade::{UpgradeError, upgrade};
use crate::limits::{Limit, Visitor};
use crate::protocol::close::CloseReason;
use crate::protocol::given_token::{GivenTokens, SUBPROTOCOL};
use crate::protocol::login::Login;
use crate::protocol::query::Query;
use crate::session;
use crate::state;
use crate::websocket::{Connection, ConnectionOptions};

/// Paths of the login endpoint.
const PATHS: [&str; 2] = ["/ws", "/ws/"];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

const LOST_UPGRADE: &str = "a login has come as a plain GET: a proxy in between does not pass `Connection: upgrade` and `Upgrade: websocket` on over HTTP/1.1, or somebody has opened its URL in a browser";

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
            status = 426,
            description = "The request asks for no upgrade",
            body = inline(ProblemBody),
            content_type = "application/problem+json",
            headers(("Upgrade" = String), ("Sec-WebSocket-Version" = String)),
        ),
    ),
)]
pub async fn ws(
    State(state): State<state::State>,
    Extension(visitor): Extension<Visitor>,
    Extension(transport): Extension<Transport>,
    mut request: Request,
) -> Result<Response, Problem> {
    let options = ConnectionOptions {
        message_bytes_max: state.settings.rules.message_bytes_max(),
        binary: false,
        budget: state.permits.messages.clone(),
    };
    if is_lost_upgrade(&request)
        && let Some(times) = state.throttles.upgrades_lost.due()
    {
        let address = visitor.address;
        warn!(%address, times, "{LOST_UPGRADE}");
    }
    let (response, connection) = accept(&mut request, options)?;
    // Only now: without an upgrade, it does not count as a login.
    let login = login(&state, &visitor, transport, &request);
    let tracker = state.tracker.clone();
    tracker.spawn(async move {
        match connection.await {
            Ok(connection) => session::open(state, connection, login, visitor).await,
            Err(error) => debug!(%error, "a connection ended before its upgrade"),
        }
    });
    Ok(response.into_response())
}

/// Completes the handshake, whatever the login contains.
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
    let first = list(request.headers(), header::SEC_WEBSOCKET_PROTOCOL).next();
    let subprotocol = first.filter(|first| *first == SUBPROTOCOL);
    let subprotocol = subprotocol.map(|_| HeaderValue::from_static(SUBPROTOCOL));
    let upgraded = upgrade(request, subprotocol, options);
    upgraded.map_err(|error| match error {
        UpgradeError::NotWebSocket if is_lost_upgrade(request) => {
            Problem::upgrade_required(LOST_UPGRADE)
        }
        UpgradeError::NotWebSocket | UpgradeError::Version => {
            Problem::upgrade_required(format!("{error}, over HTTP/1.1"))
        }
        error => Problem::parameter(error.to_string()),
    })
}

/// Whether a proxy has turned a login into a plain request: some headers of a WebSocket client are
/// left, or a proxied request has login parameters.
fn is_lost_upgrade(request: &Request) -> bool {
    let headers = request.headers();
    let is_upgrade = request.version() == Version::HTTP_11
        && fastwebsockets::upgrade::is_upgrade_request(request);
    let of_client = [header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION];
    let of_proxy = [header::VIA, header::FORWARDED, FORWARDED_FOR];
    let any = |names: &[HeaderName]| names.iter().any(|name| headers.contains_key(name));
    !is_upgrade && (any(&of_client) || any(&of_proxy) && request.uri().query().is_some())
}

/// Points a WebSocket client at another path to the login endpoint.
pub(super) async fn only_at_its_path(request: Request, next: Next) -> Response {
    let is_here = PATHS.contains(&request.uri().path());
    if !is_here && is_handshake(&request) {
        return Problem::not_the_path_of_logins().into_response();
    }
    next.run(request).await
}

/// Whether this is a WebSocket handshake. Some proxies add the other headers to every request; such
/// an upgrade is ignored (RFC 9110, 7.8).
fn is_handshake(request: &Request) -> bool {
    request.method() == Method::GET
        && fastwebsockets::upgrade::is_upgrade_request(request)
        && request.headers().contains_key(header::SEC_WEBSOCKET_KEY)
}

fn login(
    state: &state::State,
    visitor: &Visitor,
    transport: Transport,
    request: &Request,
) -> Result<Login, CloseReason> {
    let (uri, headers) = (request.uri(), request.headers());
    let query = Query::parse(uri.query().unwrap_or_default()).map_err(|error| error.to_string());
    // Over all lines of the header (RFC 6455, 11.3.4).
    let offers: Vec<_> = list(headers, header::SEC_WEBSOCKET_PROTOCOL).collect();
    let given = query.as_ref().map_err(String::clone).and_then(|query| {
        let given = GivenTokens::of(query, authorization(headers)?, &offers);
        given.map_err(|error| error.to_string())
    });
    // A page cannot set this header, so `Origin` does not matter. With a token in another place as
    // well, the header may be a proxy's, which says nothing about the page behind it.
    let is_program = (given.as_ref()).is_ok_and(GivenTokens::are_in_authorization_alone);
    let (allowed, proxied) = (&state.settings.ws_origins, visitor.proxied);
    let names = state.names.as_ref();
    let refused = || origin::refused(allowed, transport, proxied, names, uri, headers);
    if !is_program && let Some(origin) = refused() {
        let limits = &state.limits;
        limits.note(Limit::WsOrigins, &origin::loggable(origin));
        return Err(CloseReason::OriginRefused);
    }
    let token = given.and_then(|given| given.choose(|token| is_own(&state.auth, token)));
    let login = token.and_then(|token| {
        let query = query.as_ref().map_err(String::clone)?;
        Login::parse(query, token)
    });
    login.map_err(|sentence| {
        if let Some(times) = state.throttles.bad_logins.due() {
            let address = visitor.address;
            info!(%address, times, "a login is malformed: {sentence}");
        }
        CloseReason::BadLogin(sentence)
    })
}
