//! Answers while the store is being opened, and the switch to the whole service.
//!
//! Meanwhile only `/healthz` is 200; logins are closed with 1013, and everything else is 503, with
//! the progress of the start. Invariant: after the switch, or a reload, requests on existing
//! connections reach the new service, too.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::headers::nosniff;
use super::origin::Transport;
use super::problem::Problem;
use super::{browser, cors, health, host, ws};
use crate::config::origins::OriginPattern;
use crate::limits::Visitor;
use crate::metrics::Metrics;
use crate::protocol::close::CloseReason;
use crate::session;
use crate::websocket::{ConnectionOptions, MessageBudget};

/// Suggested wait before the next login.
const RETRY_MS: Range<u64> = 1000..5000;

/// Spreads the waits, so that clients do not return all at once.
const RETRY_STEP_MS: u64 = 397;

/// Request headers used here that CORS does not allow by default.
const OWN_HEADERS: &str = "authorization,content-type";

/// What handlers need while the server starts.
pub struct Starting {
    /// The progress as a clause; empty if unknown.
    pub progress: Box<dyn Fn() -> String + Send + Sync>,
    /// Origins whose scripts may read answers.
    pub cors_origins: Vec<OriginPattern>,
    /// Metrics for refused logins.
    pub metrics: Arc<Metrics>,
    /// Tracks connections of refused logins.
    pub tracker: TaskTracker,
    /// Set when the server stops.
    pub stop: CancellationToken,
    /// Logins refused so far.
    pub refused: AtomicU64,
}

/// Serves the answers of a start until opened. Clones share one switch.
#[derive(Clone, Default)]
pub struct Gate(Arc<ArcSwapOption<Router>>);

impl Gate {
    /// The router of a listener, for its whole life.
    pub fn router(&self, starting: Arc<Starting>, transport: Transport) -> Router {
        let before = before(starting);
        let gate = self.clone();
        let answer = move |request: Request| {
            let whole = gate.0.load();
            let router = whole.as_deref().unwrap_or(&before).clone();
            async move { TowerToHyperService::new(router).call(request).await }
        };
        Router::new()
            .fallback(answer)
            .layer(from_fn(preflight))
            .layer(map_response(nosniff))
            .layer(Extension(transport))
    }

    /// Switches every further request to this service.
    pub fn open(&self, whole: Router) {
        self.0.store(Some(Arc::new(whole)));
    }
}

/// Adds our own headers to those a preflight asks for: the CORS layer, which answers it, mirrors
/// them. `Host` is checked here, since a preflight gets no further.
async fn preflight(mut request: Request, next: Next) -> Result<Response, Problem> {
    if request.method() == Method::OPTIONS {
        host::is_one(&request)?;
        let name = header::ACCESS_CONTROL_REQUEST_HEADERS;
        let asked = request.headers().get(&name).map(HeaderValue::as_bytes);
        let all = match asked {
            Some(asked) => [asked, b",", OWN_HEADERS.as_bytes()].concat(),
            None => OWN_HEADERS.into(),
        };
        if let Ok(all) = HeaderValue::from_bytes(&all) {
            request.headers_mut().insert(name, all);
        }
    }
    Ok(next.run(request).await)
}

fn before(starting: Arc<Starting>) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/ws", get(log_in))
        .route("/ws/", get(log_in))
        .fallback(wait)
        .method_not_allowed_fallback(wait)
        .layer(from_fn(host::only_one))
        .layer(cors::layer(&starting.cors_origins))
        .layer(from_fn(browser::explain))
        .with_state(starting)
}

async fn wait(State(starting): State<Arc<Starting>>) -> Response {
    let progress = (starting.progress)();
    let detail = match progress.as_str() {
        "" => "the server is starting".to_owned(),
        progress => format!("the server is starting: {progress}"),
    };
    Problem::starting(detail).into_response()
}

/// Completes the handshake, as a browser cannot see an HTTP status.
async fn log_in(
    State(starting): State<Arc<Starting>>,
    Extension(visitor): Extension<Visitor>,
    mut request: Request,
) -> Result<Response, Problem> {
    let options = ConnectionOptions {
        message_bytes_max: 0,
        binary: false,
        budget: MessageBudget::default(),
    };
    let (response, connection) = ws::accept(&mut request, options)?;
    let turn = starting.refused.fetch_add(1, Ordering::Relaxed);
    let spread = turn.wrapping_mul(RETRY_STEP_MS) % (RETRY_MS.end - RETRY_MS.start);
    let retry_ms = RETRY_MS.start + spread;
    let tracker = starting.tracker.clone();
    tracker.spawn(async move {
        match connection.await {
            Ok(connection) => {
                let reason = CloseReason::Starting { retry_ms };
                let stop = starting.stop.clone();
                session::refuse(connection, &reason, visitor, &starting.metrics, stop).await;
            }
            Err(error) => debug!(%error, "a connection ended before its upgrade"),
        }
    });
    Ok(response)
}
