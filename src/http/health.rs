//! `GET /healthz` and `GET /readyz`: liveness of the process, and readiness of the store.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::http::problem::{Problem, ProblemBody};
use crate::limits::Limits;
use crate::store::Store;

/// The answer while free disk space is below its floor. Begins like the usual one.
const READY_FOR_BACKENDS: &str = "ready: the disk is short, and user tokens send nothing\n";

/// Tells that the process lives.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operating",
    responses((status = 200, description = "It does", body = String)),
)]
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Tells whether the store takes messages.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operating",
    responses(
        (status = 200, description = "It does", body = String),
        (
            status = 503,
            description = "It does not",
            body = inline(ProblemBody),
            content_type = "application/problem+json",
            headers(("Retry-After" = u64)),
        ),
    ),
)]
pub async fn ready(State(store): State<Store>, State(limits): State<Arc<Limits>>) -> Response {
    match store.writable() {
        Ok(()) if limits.is_disk_short() => READY_FOR_BACKENDS.into_response(),
        Ok(()) => "ready\n".into_response(),
        Err(_) => Problem::storage_unavailable().into_response(),
    }
}
