//! Errors for people: where a browser opens a path itself, a page with a sentence in place of JSON.
//!
//! Never changes what a program gets. Invariant: nothing of the request is on the page.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::problem::Problem;
use super::vary_by;

/// The page needs nothing, and is in no other one.
const POLICY: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Turns a problem into a page, where that is what is asked for.
pub(super) async fn explain(request: Request, next: Next) -> Response {
    let takes_pages = takes_pages(request.headers());
    let console = console(request.uri().path());
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let headers = response.headers_mut();
    vary_by(headers, "accept");
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

/// Whether a browser opens this by itself: scripts and programs ask for anything, or for JSON.
fn takes_pages(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).into_iter();
    let mut ranges = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|range| range.split(';').next())
        .map(str::trim);
    let mut takes_pages = false;
    let is_program = ranges.any(|range| {
        takes_pages |= range.eq_ignore_ascii_case("text/html");
        range.ends_with("json")
    });
    takes_pages && !is_program
}

/// The way from a path to the console, whatever prefix a proxy has taken away.
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

    #[test]
    fn only_who_opens_a_page_gets_one() {
        for (accept, expected) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("text/html", true),
            ("TEXT/HTML; charset=utf-8", true),
            ("*/*", false),
            ("application/json, text/html", false),
            ("text/html, application/problem+json;q=0.5", false),
            ("text/plain", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(takes_pages(&headers), expected, "{accept}");
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
