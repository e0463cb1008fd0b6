//! HTTP: thin handlers that parse a request, call a command, and encode its answer.
//!
//! Holds no logic of messages and no state of its own.

mod access;
pub mod body;
mod browser;
mod console;
pub mod erase;
pub mod gate;
pub mod health;
pub mod history;
mod host;
pub mod messages;
pub mod metrics;
mod openapi;
pub mod origin;
mod parameters;
pub mod presence;
pub mod problem;
mod rate;
pub mod tokens;
pub mod upgrade;
pub mod ws;

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use tokio::sync::Semaphore;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::origins::{self, OriginPattern};
use crate::limits::Throttle;
use crate::session;
use crate::websocket::Room;
use body::Bodies;
use history::open::{self, OpenHistory};
use history::room::Answers;
use origin::Names;
use problem::Problem;

/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// What the handlers share. A clone has the same rooms.
#[derive(Clone)]
pub struct App {
    /// What sessions share; requests use the same store and tokens.
    pub sessions: Arc<session::Context>,
    /// Where `GET /message-log` needs no token: who reads it without.
    pub history_open: Option<OpenHistory>,
    /// Origins whose scripts may read answers.
    pub cors_origins: Vec<OriginPattern>,
    /// Origins whose scripts may open a WebSocket; empty: all.
    pub ws_origins: Vec<OriginPattern>,
    /// By what the server's own pages are known.
    pub names: Arc<dyn Names>,
    /// Room for the bodies of requests.
    pub bodies: Arc<Bodies>,
    /// Room for the unfinished messages of sessions.
    pub messages: Room,
    /// Room for answers of history on their way.
    pub answers: Arc<Answers>,
    /// Tells of logins that have lost their upgrade on the way.
    pub upgrades_lost: Arc<Throttle>,
    /// Tells of logins that cannot be read.
    pub bad_logins: Arc<Throttle>,
    /// Whose turn it is to have the metrics gathered; one permit.
    pub scrapes: Arc<Semaphore>,
    /// Sets those metrics that only who stands above HTTP knows; must not block.
    pub observe: Arc<dyn Fn() + Send + Sync>,
}

/// What a listener for metrics alone serves.
pub fn metrics_router(app: Arc<App>) -> Router {
    let (router, _) = OpenApiRouter::new()
        .routes(routes!(metrics::metrics))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .split_for_parts();
    router
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .fallback(async || Problem::not_found())
        .layer(from_fn(host::only_one))
        .with_state(app)
}

/// All paths of the server; that of the metrics only `with_metrics`.
pub fn router(app: Arc<App>, with_metrics: bool) -> Router {
    let metrics_route = match with_metrics {
        true => OpenApiRouter::new().routes(routes!(metrics::metrics)),
        false => OpenApiRouter::new(),
    };
    // Tokens, and what they open, are for whoever asked, and for no cache.
    let by_token = OpenApiRouter::new()
        .routes(routes!(history::message_log, erase::message_log))
        .routes(routes!(messages::send))
        .routes(routes!(tokens::mint))
        .routes(routes!(presence::of_user))
        .layer(map_response(no_store));
    let (router, document) = OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(ws::ws))
        .merge(by_token)
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(openapi::json))
        .split_for_parts();
    let (metrics_route, metrics_document) = metrics_route.split_for_parts();
    // Below the layers: what stands on them answers preflights itself, and counts for no rate.
    let metrics_route =
        metrics_route.method_not_allowed_fallback(async || Problem::method_not_allowed());
    let document = openapi::finish(document.merge_from(metrics_document), &app);
    let limit = from_fn_with_state(Arc::clone(&app), rate::limit);
    let limited = |router: Router<_>| router.layer(from_fn(host::only_one)).layer(limit.clone());
    let router = router
        .route("/ws/", get(ws::ws))
        .merge(console::router())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .fallback(async || Problem::not_found())
        .layer(from_fn(ws::only_at_its_path))
        .layer(Extension(document));
    limited(router)
        .layer(cors(&app.cors_origins))
        .layer(from_fn_with_state(Arc::clone(&app), open::keep_from_pages))
        // No script reads it: a page would learn of its visitor's server.
        .merge(limited(metrics_route))
        .layer(from_fn(browser::explain))
        .layer(from_fn_with_state(Arc::clone(&app), metrics::count))
        .with_state(app)
}

/// No browser takes an answer for something else than it says.
async fn nosniff(mut response: Response) -> Response {
    let nosniff = HeaderValue::from_static("nosniff");
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

async fn no_store(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, no_store);
    response
}

/// Caches keep apart what differs by this header of the request. All in one line: not every reader looks for more.
fn vary_by(headers: &mut HeaderMap, name: &'static str) {
    let lines = headers.get_all(header::VARY).into_iter();
    let known = lines.filter_map(|line| line.to_str().ok());
    let all: Vec<_> = known.chain([name]).collect();
    if let Ok(all) = HeaderValue::try_from(all.join(", ")) {
        headers.insert(header::VARY, all);
    }
}

/// Lets scripts of these origins ask, with any header, as tracing scripts add some of their own. Tokens are explicit and there are no cookies, so all may where
/// the settings say nothing.
fn cors(allowed: &[OriginPattern]) -> CorsLayer {
    let origins = if allowed.contains(&OriginPattern::Any) {
        AllowOrigin::any()
    } else {
        let allowed = allowed.to_vec();
        AllowOrigin::predicate(move |origin: &HeaderValue, _| {
            let origin = origin.to_str();
            origin.is_ok_and(|origin| origins::allows(&allowed, origin))
        })
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::LINK, header::WWW_AUTHENTICATE, header::RETRY_AFTER])
        .max_age(PREFLIGHT_MAX_AGE)
}
