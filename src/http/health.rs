//! `GET /healthz` and `GET /readyz`: whether the process lives, and whether it can store.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::http::App;
use crate::http::problem::Problem;

/// The process answers.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// The store takes messages; 503 while it does not.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.sessions.store.writable() {
        Ok(()) => "ready\n".into_response(),
        Err(_) => {
            let mut response = Problem::storage_unavailable().into_response();
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
            response
        }
    }
}
