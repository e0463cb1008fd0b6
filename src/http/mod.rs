//! HTTP: thin handlers that parse a request, call a command, and encode its answer.
//!
//! Holds no logic of messages and no state of its own.

mod access;
mod console;
pub mod erase;
pub mod health;
pub mod history;
pub mod metrics;
mod parameters;
pub mod problem;
pub mod upgrade;
pub mod ws;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Method, header};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower_http::cors::{Any as AnyOrigin, CorsLayer};

use crate::session;
use problem::Problem;

/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// What the handlers share.
pub struct App {
    /// What sessions share; requests use the same store and tokens.
    pub sessions: Arc<session::Context>,
    /// Whether `GET /message-log` needs no token.
    pub history_open: bool,
    /// Sets those metrics that only who stands above HTTP knows; must not block.
    pub observe: Box<dyn Fn() + Send + Sync>,
}

/// What a listener for metrics alone serves.
pub fn metrics_router(app: Arc<App>) -> Router {
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .fallback(async || Problem::not_found())
        .with_state(app)
}

/// All paths of the server; that of the metrics only `with_metrics`.
pub fn router(app: Arc<App>, with_metrics: bool) -> Router {
    let metrics_route = match with_metrics {
        true => Router::new().route("/metrics", get(metrics::metrics)),
        false => Router::new(),
    };
    // Tokens are explicit and there are no cookies, so any origin may ask.
    let cors = CorsLayer::new()
        .allow_origin(AnyOrigin)
        .allow_methods([Method::GET, Method::HEAD, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([header::LINK, header::WWW_AUTHENTICATE, header::RETRY_AFTER])
        .max_age(PREFLIGHT_MAX_AGE);
    Router::new()
        .route("/ws", get(ws::ws))
        .route(
            "/message-log",
            get(history::message_log).delete(erase::message_log),
        )
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .merge(metrics_route)
        .merge(console::router())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .fallback(async || Problem::not_found())
        .layer(from_fn_with_state(Arc::clone(&app), metrics::count))
        .layer(cors)
        .with_state(app)
}
