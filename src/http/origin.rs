//! Whether a page that asks is one of the server's own.
//!
//! Only compares what browsers say. A program may claim any origin, and no answer here depends on that.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Uri, header};

use crate::config::origins::{self, OriginPattern};

/// Longer than the origins of browsers: a scheme, a name of DNS, a port.
const ORIGIN_BYTES_MAX: usize = 300;

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What a request came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The address with TLS.
    Tls,
    /// The one without, where a proxy may have spoken TLS before.
    Plain,
}

/// `Host` stands more than once, or is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnclearHost;

/// Whom the request names as its server; `None`: nobody, and so no browser sent it.
///
/// # Errors
/// [`UnclearHost`].
pub(super) fn host<'a>(
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, UnclearHost> {
    // Named in the target it counts in the place of the header (RFC 9112, 3.2.2).
    if let Some(host) = uri.authority().map(Authority::as_str) {
        return Ok(Some(host));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else {
        return Ok(None);
    };
    let host = host.to_str().ok();
    let host = host.filter(|_| hosts.next().is_none());
    host.map(Some).ok_or(UnclearHost)
}

/// Whether this is the origin of the server's own pages under this name. Their scheme may be that of a proxy.
pub(super) fn is_own(over: Over, host: &str, origin: &str) -> bool {
    let Some((scheme, of_page)) = origin.split_once("://") else {
        return false;
    };
    // A browser leaves it out.
    let port = match (scheme, over) {
        ("https", _) => ":443",
        ("http", Over::Plain) => ":80",
        _ => return false,
    };
    let host = host.strip_suffix(port).unwrap_or(host);
    host.eq_ignore_ascii_case(of_page)
}

/// The origin of a page that may not log in; `None` where it may, or none asks. Pages of the server itself always may;
/// `proxied` says whether a trusted proxy brings the request, which names the host that the page was asked for where
/// it puts another one into `Host`.
pub(super) fn refused<'a>(
    allowed: &[OriginPattern],
    over: Over,
    proxied: bool,
    uri: &Uri,
    headers: &'a HeaderMap,
) -> Option<&'a str> {
    if allowed.is_empty() {
        return None;
    }
    let named = host(uri, headers).ok().flatten();
    let forwarded = headers.get_all(&FORWARDED_HOST).into_iter();
    let forwarded = forwarded
        .filter(|_| proxied)
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim);
    let hosts: Vec<&str> = named.into_iter().chain(forwarded).collect();
    let may = |origin: &str| {
        let is_own = hosts.iter().any(|host| is_own(over, host, origin));
        is_own || origins::allows(allowed, origin)
    };
    let given = headers.get_all(header::ORIGIN).iter();
    // One that is no text is none that a browser sends.
    given
        .map(|origin| origin.to_str().unwrap_or("no text"))
        .find(|origin| !may(origin))
}

/// An `Origin` as the log may show it. Libraries put whole URLs there, which may hold a token, and whoever writes one can
/// make it look like further fields of the line.
pub(super) fn said(origin: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]+".contains(&byte);
    let is_origin = origin.split_once("://").is_some_and(|(scheme, authority)| {
        scheme.bytes().chain(authority.bytes()).all(is_plain) && origin.len() <= ORIGIN_BYTES_MAX
    });
    match is_origin || origin == "null" {
        true => origin,
        false => "no-origin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        // `collect` would keep the last of each name alone.
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn the_log_shows_origins_and_nothing_else() {
        for origin in [
            "null",
            "https://chat.example:8443",
            "http://[::1]:80",
            "file://",
            "capacitor://localhost",
        ] {
            assert_eq!(said(origin), origin);
        }
        let long = format!("https://{}.example", "a".repeat(ORIGIN_BYTES_MAX));
        for other in [
            "",
            "rb-secret",
            "wss://chat.example/ws?token=rb-secret",
            "https://rb-secret@chat.example",
            "https://chat.example?rb-secret",
            "https://chat.example#rb-secret",
            "https://x limit=store_quota times=1",
            "https://x\tlimit=store_quota",
            "https://x\"",
            "https://x=1",
            &long,
        ] {
            assert_eq!(said(other), "no-origin", "{other}");
        }
    }

    #[test]
    fn own_pages_may_log_in_whoever_is_listed() {
        let listed = [OriginPattern::One("https://app.example".to_owned())];
        let uri = Uri::from_static("/ws");
        let absolute = Uri::from_static("http://chat.example:8080/ws");
        let (tls, plain) = (Over::Tls, Over::Plain);
        for (over, proxied, uri, host, origin, refused_is) in [
            (
                tls,
                false,
                &uri,
                "chat.example:8443",
                "https://chat.example:8443",
                None,
            ),
            (
                tls,
                false,
                &uri,
                "Chat.example:443",
                "https://chat.example",
                None,
            ),
            (tls, false, &uri, "[::1]:8443", "https://[::1]:8443", None),
            (
                plain,
                false,
                &uri,
                "chat.example",
                "https://chat.example",
                None,
            ),
            (
                plain,
                false,
                &uri,
                "chat.example",
                "http://chat.example",
                None,
            ),
            (
                plain,
                false,
                &absolute,
                "x.example",
                "http://chat.example:8080",
                None,
            ),
            // Another port is another origin, and so is the scheme that this address does not speak.
            (
                tls,
                false,
                &uri,
                "chat.example:8443",
                "https://chat.example",
                Some("https://chat.example"),
            ),
            (
                tls,
                false,
                &uri,
                "chat.example",
                "http://chat.example",
                Some("http://chat.example"),
            ),
            (tls, false, &uri, "chat.example", "null", Some("null")),
            // What a proxy says counts where that is trusted.
            (
                plain,
                true,
                &uri,
                "127.0.0.1:8080",
                "https://front.example",
                None,
            ),
            (
                plain,
                false,
                &uri,
                "127.0.0.1:8080",
                "https://front.example",
                Some("https://front.example"),
            ),
        ] {
            let headers = headers(&[
                ("host", host),
                ("origin", origin),
                ("x-forwarded-host", "front.example, inner.example"),
            ]);
            let found = refused(&listed, over, proxied, uri, &headers);
            assert_eq!(found, refused_is, "{host} {origin}");
        }
        // All that are given have to be good.
        let two = headers(&[
            ("origin", "https://app.example"),
            ("origin", "https://x.example"),
        ]);
        assert_eq!(
            refused(&listed, tls, false, &uri, &two),
            Some("https://x.example")
        );
        assert_eq!(refused(&[], tls, false, &uri, &two), None);
    }
}
