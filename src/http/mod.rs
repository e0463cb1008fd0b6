//! HTTP: thin handlers that parse a request, call a command, and encode its answer.
//!
//! Contains no message logic and no state of its own.

mod access;
pub mod body;
mod browser;
mod console;
mod cors;
pub mod erase;
mod extract;
pub mod gate;
mod headers;
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

use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::routing::get;
use axum::{Extension, Router};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::State;
use headers::no_store;
use history::open;
use problem::Problem;

/// The routes of a metrics-only listener.
pub fn metrics_router(state: State) -> Router {
    let (router, _) = OpenApiRouter::new()
        .routes(routes!(metrics::metrics))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .split_for_parts();
    router
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .fallback(async || Problem::not_found())
        .layer(from_fn(host::only_one))
        .with_state(state)
}

/// All routes of the server; that of the metrics only if `with_metrics`.
pub fn router(state: State, with_metrics: bool) -> Router {
    let metrics_route = match with_metrics {
        true => OpenApiRouter::new().routes(routes!(metrics::metrics)),
        false => OpenApiRouter::new(),
    };
    // Tokens, and data behind tokens, must not be cached.
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
    // Inside the layers: outside, it would answer preflights itself and bypass the rates.
    let metrics_route =
        metrics_route.method_not_allowed_fallback(async || Problem::method_not_allowed());
    let document = openapi::finish(document.merge_from(metrics_document), &state.settings);
    let limit = from_fn_with_state(state.clone(), rate::limit);
    let limited = |router: Router<_>| router.layer(from_fn(host::only_one)).layer(limit.clone());
    let router = router
        .route("/ws/", get(ws::ws))
        .merge(console::router())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .fallback(async || Problem::not_found())
        .layer(from_fn(ws::only_at_its_path))
        .layer(Extension(document));
    limited(router)
        .layer(cors::layer(&state.settings.cors_origins))
        .layer(from_fn_with_state(state.clone(), open::keep_from_pages))
        // No CORS: a page must not learn about its visitor's server.
        .merge(limited(metrics_route))
        .layer(from_fn(browser::explain))
        .layer(from_fn_with_state(state.clone(), metrics::count))
        .with_state(state)
}
