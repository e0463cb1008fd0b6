//! The web console (PROTOCOL.md section 8): static assets, embedded in the binary.
//!
//! Identical for every caller: the page fetches its data with its user's token. Invariant: an
//! asset's ETag changes whenever its text does.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::headers::list;

/// Only assets of this server, nothing inline, no text interpreted as HTML or script. `'self'`
/// includes the WebSocket of the same host and port (CSP 3, 6.7.2.8), so the policy does not depend
/// on a `Host` header.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Headers of every asset.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    // Cached but revalidated each time: the page and its modules change together.
    (header::CACHE_CONTROL, "no-cache"),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JS: &str = "text/javascript; charset=utf-8";

/// Path, content type and text of each asset.
const ASSETS: [(&str, &str, &str); 10] = [
    ("/", HTML, include_str!("console/index.html")),
    ("/console/style.css", CSS, include_str!("console/style.css")),
    ("/console/icon.svg", SVG, include_str!("console/icon.svg")),
    // Browsers request it for any page without an icon of its own.
    ("/favicon.ico", SVG, include_str!("console/icon.svg")),
    ("/console/app.js", JS, include_str!("console/app.js")),
    (
        "/console/history.js",
        JS,
        include_str!("console/history.js"),
    ),
    ("/console/live.js", JS, include_str!("console/live.js")),
    (
        "/console/message.js",
        JS,
        include_str!("console/message.js"),
    ),
    (
        "/console/session.js",
        JS,
        include_str!("console/session.js"),
    ),
    ("/console/words.js", JS, include_str!("console/words.js")),
];

/// ETags of the assets, in their order.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |(_, _, text): &(_, _, &str)| {
        let hash = digest(&SHA256, text.as_bytes());
        format!("\"{}\"", URL_SAFE_NO_PAD.encode(hash))
    };
    ASSETS.iter().map(tag).collect()
});

/// The routes of the console.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut router = Router::new();
    for ((path, content_type, text), tag) in ASSETS.into_iter().zip(TAGS.iter()) {
        let answer = move |headers: HeaderMap| async move {
            let mut response = match is_known(&headers, tag) {
                true => StatusCode::NOT_MODIFIED.into_response(),
                false => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
            };
            let headers = response.headers_mut();
            for (name, value) in HEADERS {
                headers.insert(name, HeaderValue::from_static(value));
            }
            headers.insert(header::ETAG, HeaderValue::from_static(tag));
            response
        };
        router = router.route(path, get(answer));
    }
    router
}

/// Whether the client's copy is current (RFC 9110, 13.1.2; tags are compared weakly).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let mut tags = list(headers, header::IF_NONE_MATCH);
    tags.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}
