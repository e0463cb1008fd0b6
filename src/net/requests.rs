//! HTTP/1.1 on one stream: hyper, the router, deadlines and shutdown.
//!
//! Never outlives its stop by more than a bound. Invariants: a stream that hyper hands over at an upgrade is no longer
//! touched; a response that ends its connection is not lost to a client still sending; a connection whose permit was
//! evicted ends at once.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::header::{HeaderMap, HeaderName};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::deadline::{Activity, Observed};
use super::lingering;
use super::options::NetOptions;
use super::request_line::Readable;
use crate::limits::{HangUp, Limits, Standing, Visitor};

/// Most header fields of a request; more are answered with 431.
const HEADERS_MAX: usize = 64;

/// Most bytes of a request's head, including a login URL with every parameter percent-encoded; more are answered with
/// 431.
const HEAD_BYTES_MAX: usize = 32 * 1024;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Grace period of requests in progress after the stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Time for an orderly end of a connection past its deadline.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// Origin of a request: the peer and, if that may be a proxy, the means to find its client.
pub(super) struct RequestOrigin {
    pub(super) peer: Visitor,
    pub(super) standing: Arc<Standing>,
    pub(super) limits: Option<Arc<Limits>>,
}

impl RequestOrigin {
    fn visitor(&self, headers: &HeaderMap) -> Visitor {
        let lines = headers.get_all(&FORWARDED_FOR).iter();
        let lines = lines.map(|line| std::str::from_utf8(line.as_bytes()).unwrap_or_default());
        let mut visitor = match &self.limits {
            Some(limits) => limits.visitor(&self.peer, lines),
            None => self.peer.clone(),
        };
        visitor.standing = Some(Arc::clone(&self.standing));
        visitor
    }
}

/// A request in progress, until its response body was handed over.
struct InProgress(Arc<Standing>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

/// The body of a response: its request is in progress until it is dropped.
struct Answer {
    body: Body,
    _in_progress: InProgress,
}

impl hyper::body::Body for Answer {
    type Data = <Body as hyper::body::Body>::Data;
    type Error = <Body as hyper::body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Answers requests until the client leaves, upgrades or is too slow, or the server stops.
pub(super) async fn answer<S>(
    stream: Observed<S>,
    activity: Activity,
    origin: RequestOrigin,
    router: Router,
    options: NetOptions,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let router = TowerToHyperService::new(router);
    let requests = activity.clone();
    let standing = Arc::clone(&origin.standing);
    let hang_up = HangUp::default();
    let ends = hang_up.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        requests.request_started();
        origin.standing.head_ended();
        let visitor = origin.visitor(request.headers());
        request.extensions_mut().insert(visitor);
        let in_progress = InProgress(Arc::clone(&origin.standing));
        request.extensions_mut().insert(hang_up.clone());
        let response = router.call(request);
        let requests = requests.clone();
        async move {
            let response = response.await;
            requests.answer_started();
            response.map(|response| {
                response.map(|body| Answer {
                    body,
                    _in_progress: in_progress,
                })
            })
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // This module's own deadlines replace it; it would also time idle connections.
        .header_read_timeout(None)
        // A complete request is handled even if its client has shut its write side.
        .half_close(true)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        // Bounds a head that never ends; hyper's buffer grows in steps, so this bound alone would not be exact.
        .max_buf_size(2 * HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Readable::new(stream)), service)
        .with_upgrades();

    let rest = tokio::select! {
        // Both are cancel-safe: the connection stays here, the token keeps its state.
        in_time = ends_in_time(&mut connection, &activity, &options) => match in_time {
            true => {
                activity.upgraded();
                // An upgraded connection has no parts left here.
                if let Some(parts) = connection.into_parts() {
                    lingering::linger(&mut parts.io.into_inner(), &stop).await;
                }
                return;
            }
            false => LAST_WORDS_TIMEOUT,
        },
        () = poll_fn(|cx| standing.poll_evicted(cx)) => return,
        () = stop.cancelled() => STOP_TIMEOUT,
        () = ends.cancelled() => LAST_WORDS_TIMEOUT,
    };
    Pin::new(&mut connection).graceful_shutdown();
    // Whatever the outcome, the connection ends here.
    let _ = tokio::time::timeout(rest, connection).await;
    activity.upgraded();
}

/// Drives a connection to its end; `false` if its deadline passes first. Cancel-safe.
async fn ends_in_time(
    connection: &mut (impl Future + Unpin),
    activity: &Activity,
    options: &NetOptions,
) -> bool {
    let mut deadline = activity.deadline(options);
    let mut timer = pin!(sleep_until(deadline.unwrap_or_else(Instant::now)));
    poll_fn(|cx| {
        if Pin::new(&mut *connection).poll(cx).is_ready() {
            // Any error is the client's: a malformed head was answered, and a broken stream cannot be.
            return Poll::Ready(true);
        }
        // The connection was polled just now, in this task, so its deadline changes at no other time.
        let current = activity.deadline(options);
        if let Some(at) = current
            && current != deadline
        {
            deadline = current;
            timer.as_mut().reset(at);
        }
        match deadline.is_some() && timer.as_mut().poll(cx).is_ready() {
            true => Poll::Ready(false),
            false => Poll::Pending,
        }
    })
    .await
}
