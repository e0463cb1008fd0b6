//! Error pages: when a browser opens a path directly, HTML with a sentence instead of JSON.
//!
//! Programs get the same as ever. Invariant: nothing from the request appears on the page.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use super::headers::{list, vary_by};
use super::problem::Problem;

/// The page loads nothing, and cannot be framed.
const POLICY: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The initiator of a browser's request (W3C Fetch Metadata, 2.2), sent over TLS and to
/// `localhost`.
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The request headers that decide between page and JSON.
const VARY: &str = "accept, authorization, sec-fetch-mode";

/// Renders a problem as a page if the request asks for one.
pub(super) async fn explain(request: Request, next: Next) -> Response {
    let takes_pages = takes_pages(request.method(), request.headers());
    let console = console(request.uri().path());
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let headers = response.headers_mut();
    vary_by(headers, VARY);
    if takes_pages {
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, html);
        headers.remove(header::CONTENT_LENGTH);
        let policy = HeaderValue::from_static(POLICY);
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        *response.body_mut() = Body::from(page(&problem, &console));
    }
    response
}

/// Whether this is a navigation. Scripts and programs accept anything, or JSON, and send tokens,
/// which a navigating browser cannot.
fn takes_pages(method: &Method, headers: &HeaderMap) -> bool {
    let is_opened = matches!(*method, Method::GET | Method::HEAD)
        && !headers.contains_key(header::AUTHORIZATION)
        && headers
            .get(FETCH_MODE)
            .is_none_or(|mode| mode == "navigate");
    is_opened && prefers_pages(headers)
}

/// Libraries that accept HTML and anything else by default (Java's `HttpURLConnection`, Indy) do
/// not name XHTML, as all browsers do.
fn prefers_pages(headers: &HeaderMap) -> bool {
    let ranges = list(headers, header::ACCEPT)
        .filter_map(|range| range.split(';').next())
        .map(|range| range.trim().to_ascii_lowercase());
    let ranges: Vec<_> = ranges.collect();
    let has = |wanted: &str| ranges.iter().any(|range| range == wanted);
    let takes_anything = has("*/*") || has("*");
    has("text/html")
        && (has("application/xhtml+xml") || !takes_anything)
        && !ranges.iter().any(|range| range.ends_with("json"))
}

/// The relative path to the console, whatever prefix a proxy has stripped.
fn console(path: &str) -> String {
    let folders = path.matches('/').count().saturating_sub(1);
    format!("./{}", "../".repeat(folders))
}

fn page(problem: &Problem, console: &str) -> String {
    let status = problem.status();
    let title = escaped(&status.to_string());
    let detail = escaped(problem.detail());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <h1>{title}</h1>\n<p>This is relaybox, an instant-message server: {detail}.</p>\n\
         <p><a href=\"{console}\">Open the console</a></p>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSERS: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

    #[test]
    fn only_who_opens_a_page_gets_one() {
        for (accept, expected) in [
            (BROWSERS, true),
            ("text/html", true),
            ("TEXT/HTML; charset=utf-8", true),
            ("*/*", false),
            ("application/json, text/html", false),
            ("text/html, application/problem+json;q=0.5", false),
            ("text/html, application/JSON", false),
            // Java's HttpURLConnection, Delphi's Indy.
            (
                "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
                false,
            ),
            ("text/html, */*", false),
            ("text/plain", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            let found = takes_pages(&Method::GET, &headers);
            assert_eq!(found, expected, "{accept}");
        }
    }

    #[test]
    fn who_sends_something_or_has_a_token_is_no_browser_that_opens_a_page() {
        for (method, name, value, expected) in [
            (Method::GET, "sec-fetch-mode", "navigate", true),
            (Method::HEAD, "user-agent", "x", true),
            (Method::POST, "user-agent", "x", false),
            (Method::DELETE, "user-agent", "x", false),
            (Method::GET, "authorization", "Bearer x", false),
            (Method::GET, "sec-fetch-mode", "cors", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(BROWSERS));
            headers.insert(name, HeaderValue::from_static(value));
            let found = takes_pages(&method, &headers);
            assert_eq!(found, expected, "{method} {name}: {value}");
        }
    }

    #[test]
    fn the_console_is_found_from_every_depth() {
        for (path, way) in [
            ("/", "./"),
            ("/a", "./"),
            ("/ws/", "./../"),
            ("/a/b/c", "./../../"),
        ] {
            assert_eq!(console(path), way, "{path}");
        }
    }
}
