//! Response headers shared by several handlers.

use axum::http::header::AsHeaderName;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

/// Keeps browsers from sniffing a content type.
pub(super) async fn nosniff(mut response: Response) -> Response {
    let nosniff = HeaderValue::from_static("nosniff");
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

pub(super) async fn no_store(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, no_store);
    response
}

/// The entries of a header that is a list, over all of its lines (RFC 9110, 5.6.1).
pub(super) fn list(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let entries = lines.flat_map(|line| line.split(','));
    entries.map(str::trim).filter(|entry| !entry.is_empty())
}

/// Adds a request header to `Vary`, all on one line: some readers look at the first line only.
pub(super) fn vary_by(headers: &mut HeaderMap, name: &'static str) {
    let lines = headers.get_all(header::VARY).into_iter();
    let known = lines.filter_map(|line| line.to_str().ok());
    let all: Vec<_> = known.chain([name]).collect();
    if let Ok(all) = HeaderValue::try_from(all.join(", ")) {
        headers.insert(header::VARY, all);
    }
}
