//! Reading the history without a token, if the operator has opened it to a trusted network: for
//! programs on that network, not for web pages in its browsers.
//!
//! A page runs in its visitor's browser, and so inside that network. It could ask cross-origin, or
//! resolve a name of its own to this server (DNS rebinding) to become same-origin.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::config::origins::{self, OriginPattern};
use crate::http::access;
use crate::http::headers::vary_by;
use crate::http::origin::{self, Transport};
use crate::http::parameters;
use crate::http::problem::Problem;
use crate::state::{Names, Settings};

/// Admits programs, the server's own pages, and pages of these origins.
///
/// # Errors
/// 403 for a page of another origin, or of a rebound name.
pub(super) fn check(
    origins: &[OriginPattern],
    transport: Transport,
    names: &dyn Names,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    let host = origin::host(uri, headers).map_err(|_| foreign_host())?;
    if host.is_some_and(|host| !origin::is_own_host(names, host)) {
        return Err(foreign_host());
    }
    let is_allowed = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        let is_own = host.is_some_and(|host| origin::is_own(transport, names, host, origin));
        is_own || origins::allows(origins, origin)
    };
    if !headers.get_all(header::ORIGIN).iter().all(is_allowed) {
        return Err(Problem::forbidden(
            "without a token no page of another origin reads here, unless the setting `cors_origins` is set and lists its `Origin`",
        ));
    }
    Ok(())
}

fn foreign_host() -> Problem {
    Problem::forbidden(
        "without a token `Host` must be an address, `localhost` or a name of this server, as a page may have led its own name here: the setting `host` takes more names",
    )
}

/// Removes the CORS header from answers without a token, unless the settings name pages that may
/// read them. Preflights keep theirs: they carry no data, and browsers go by the header of the
/// answer.
pub(crate) async fn keep_from_pages(
    State(settings): State<Arc<Settings>>,
    request: Request,
    next: Next,
) -> Response {
    let open = settings.history_open.as_ref();
    let is_kept = open.is_some_and(|origins| origins.is_empty() && needs_no_token(&request));
    let mut response = next.run(request).await;
    if is_kept {
        let headers = response.headers_mut();
        headers.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        // A cache must not serve a program's answer to a page.
        vary_by(headers, "origin");
    }
    response
}

/// Whether this is a history request without a token.
fn needs_no_token(request: &Request) -> bool {
    let (method, uri) = (request.method(), request.uri());
    matches!(*method, Method::GET | Method::HEAD)
        && uri.path() == "/message-log"
        && parameters::of(uri).is_ok_and(|parameters| {
            let tokens = access::tokens(&parameters, request.headers());
            tokens.is_ok_and(|tokens| tokens.is_empty())
        })
}
