//! `GET /metrics`: what is counted, in the Prometheus text format.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::error;

use crate::command::stats;
use crate::http::problem::Problem;
use crate::metrics::Metrics;
use crate::state;

/// The version of the format that is spoken.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Tells what is counted, in the Prometheus text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operating",
    responses((status = 200, description = "All metrics, as they stand now", body = String)),
)]
pub async fn metrics(State(state): State<state::State>) -> Result<Response, Problem> {
    // One at a time: whoever asks on and on waits for himself.
    let turn = state.permits.scrapes.acquire().await;
    let _turn = turn.map_err(|_| Problem::internal())?;
    let gathered = {
        let state = state.clone();
        tokio::task::spawn_blocking(move || {
            (state.observe)();
            stats::look(&state.store, &state.hub, &state.metrics);
            state.metrics.text()
        })
    };
    let text = gathered.await.map_err(|_| Problem::internal())?;
    let text = text.map_err(|error| {
        error!(%error, "the metrics cannot be written as text");
        Problem::internal()
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Counts every answer, by the route that gave it: never by a path that a client made up.
pub(super) async fn count(
    State(metrics): State<Arc<Metrics>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let path = path.as_ref().map_or("other", MatchedPath::as_str);
    let requests = &metrics.net.requests;
    requests
        .with_label_values(&[path, response.status().as_str()])
        .inc();
    response
}
