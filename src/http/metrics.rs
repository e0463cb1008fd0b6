//! `GET /metrics`: counters and gauges in the Prometheus text format.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::error;

use crate::command::stats::{self, Measured};
use crate::http::problem::Problem;
use crate::metrics::{Gauge, Metrics};
use crate::state;

/// The text format, version 0.0.4.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Tells what is counted, in the Prometheus text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operating",
    responses((status = 200, description = "All metrics, as they stand now", body = String)),
)]
pub async fn metrics(State(state): State<state::State>) -> Result<Response, Problem> {
    // One at a time: a client that scrapes without pause waits for itself.
    let _turn = state.permits.scrapes.lock().await;
    let gathered = {
        let state = state.clone();
        tokio::task::spawn_blocking(move || {
            (state.observe)();
            let measured = stats::measure(&state.store, &state.hub);
            set_gauges(&state.metrics, &measured);
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

/// Sizes of an unreadable data directory keep their last value.
fn set_gauges(metrics: &Metrics, measured: &Measured) {
    let set = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    let (gauges, totals) = (&metrics.sessions, &measured.sessions);
    set(&gauges.sessions, totals.sessions);
    set(&gauges.sessions_max, measured.sessions_max);
    set(&gauges.catching_up, totals.catching_up);
    set(&gauges.unconfirmed, totals.unconfirmed);
    set(&gauges.outbox_bytes, totals.bytes);
    let (gauges, store) = (&metrics.store, &measured.store);
    set(&gauges.queue, store.queue as u64);
    set(&gauges.queue_bytes, store.queue_bytes as u64);
    set(&gauges.checkpoint_lag_bytes, store.memtable_bytes as u64);
    set(&gauges.checkpoint_lag_seconds, store.memtable_age.as_secs());
    if let Some(disk) = &measured.disk {
        let part = |name| gauges.bytes.with_label_values(&[name]);
        set(&part("journal"), disk.journal);
        set(&part("index"), disk.index);
        set(&gauges.free_bytes, disk.free);
    }
    let is_writable = measured.not_writable.is_none();
    set(&gauges.writable, u64::from(is_writable));
    // The last, partial second counts as one.
    let hold_s = measured.clock_hold.map(|left| left.as_secs().max(1));
    set(&gauges.clock_hold_seconds, hold_s.unwrap_or_default());
}

/// Counts every response by its route, never by a path made up by a client.
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
