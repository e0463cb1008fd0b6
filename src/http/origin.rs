//! Recognizes the server's own pages by their origin.
//!
//! Compares headers set by browsers. A program can forge any origin, and nothing here protects
//! against programs.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

use super::headers::list;
use crate::config::origins::{self, OriginPattern};
use crate::state::Names;

/// Longer than any browser origin: a scheme, a DNS name, a port.
const ORIGIN_BYTES_MAX: usize = 300;

const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_PORT: &str = "x-forwarded-port";

/// The kind of listener a request arrived on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The TLS listener.
    Tls,
    /// The listener without TLS; a proxy in front may terminate TLS.
    Plain,
}

/// `Host` is repeated, or not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnclearHost;

/// The requested host; `None` if there is none, so the client is not a browser.
///
/// # Errors
/// [`UnclearHost`].
pub(super) fn host<'a>(
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, UnclearHost> {
    // An absolute target overrides the header (RFC 9112, 3.2.2).
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

/// Whether this is the origin of the server's own pages under the requested host.
pub(super) fn is_own(transport: Transport, names: &dyn Names, host: &str, origin: &str) -> bool {
    let page = Page::of(transport, origin);
    page.is_some_and(|page| page.is_at(split_port(host)) && page.is_not_rebound(names))
}

/// Whether no page can rebind this host: an address, `localhost`, or a name of the operator's.
pub(super) fn is_own_host(names: &dyn Names, host: &str) -> bool {
    let (host, _) = split_port(host);
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if let Some(address) = bare {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host.parse::<Ipv4Addr>().is_ok() || is_localhost(&host) || names.cover(&host)
}

fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => (host, Some(port).filter(|port| !port.is_empty())),
        _ => (authority, None),
    }
}

/// A page that may be one of the server's own.
struct Page<'a> {
    is_https: bool,
    host: &'a str,
    /// `None`: the default of the scheme.
    port: Option<&'a str>,
}

impl<'a> Page<'a> {
    /// Without TLS, the scheme may be that of a proxy in front.
    fn of(transport: Transport, origin: &'a str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        let is_https = scheme == "https";
        if !is_https && (scheme != "http" || transport == Transport::Tls) {
            return None;
        }
        let (host, port) = split_port(authority);
        let page = Self {
            is_https,
            host,
            port: None,
        };
        let port = page.without_default(port);
        Some(Self { port, ..page })
    }

    fn without_default<'b>(&self, port: Option<&'b str>) -> Option<&'b str> {
        let default = if self.is_https { "443" } else { "80" };
        port.filter(|port| *port != default)
    }

    fn is_at(&self, (host, port): (&str, Option<&str>)) -> bool {
        self.host.eq_ignore_ascii_case(host) && self.port == self.without_default(port)
    }

    /// Without TLS, the page's name may be rebound to this server.
    fn is_not_rebound(&self, names: &dyn Names) -> bool {
        self.is_https || is_own_host(names, self.host)
    }

    /// Whether its host is one of the operator's names, whatever a proxy makes of `Host`. Excludes
    /// `localhost`, whose other ports anything may use, and names matched only by a wildcard, which
    /// may be somebody else's.
    fn is_of(&self, names: &dyn Names) -> bool {
        !is_localhost(&self.host.to_ascii_lowercase()) && names.hold(self.host)
    }
}

/// The origin of a page that may not log in; `None` if it may, or if there is no origin. The
/// server's own pages always may. `proxied`: a trusted proxy sent the request; if it rewrites
/// `Host`, its forwarding headers name the requested host and port.
pub(super) fn refused<'a>(
    allowed: &[OriginPattern],
    transport: Transport,
    proxied: bool,
    names: &dyn Names,
    uri: &Uri,
    headers: &'a HeaderMap,
) -> Option<&'a str> {
    if allowed.is_empty() {
        return None;
    }
    let forwarded = |name: &'static str| list(headers, name).filter(|_| proxied);
    let named = host(uri, headers).ok().flatten();
    let hosts = named.into_iter().chain(forwarded(FORWARDED_HOST));
    let hosts: Vec<_> = hosts.map(split_port).collect();
    let ports: Vec<_> = forwarded(FORWARDED_PORT).collect();
    let is_own = |page: Page<'_>| {
        let is_asked = hosts.iter().any(|(host, port)| {
            let mut ports = ports.iter().map(|port| Some(*port));
            page.is_at((host, *port)) || ports.any(|port| page.is_at((host, port)))
        });
        is_asked && page.is_not_rebound(names) || page.is_of(names)
    };
    let may = |origin: &str| {
        origins::allows(allowed, origin) || Page::of(transport, origin).is_some_and(is_own)
    };
    let given = headers.get_all(header::ORIGIN).iter();
    // Browsers send text only.
    given
        .map(|origin| origin.to_str().unwrap_or("no text"))
        .find(|origin| !may(origin))
}

/// An `Origin` made safe for the log. Libraries put whole URLs there, which may contain a token,
/// and crafted ones could look like further fields of the line.
pub(super) fn loggable(origin: &str) -> &str {
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
    use axum::http::{HeaderName, HeaderValue};

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
            assert_eq!(loggable(origin), origin);
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
            assert_eq!(loggable(other), "no-origin", "{other}");
        }
    }

    /// As of `--host chat.example`, and a certificate for `*.wild.example`.
    struct Known;

    impl Names for Known {
        fn hold(&self, host: &str) -> bool {
            ["chat.example", "localhost"].contains(&host)
        }

        fn cover(&self, host: &str) -> bool {
            self.hold(host) || host.ends_with(".wild.example")
        }
    }

    fn is_refused(transport: Transport, uri: &Uri, pairs: &[(&'static str, &'static str)]) -> bool {
        let listed = [OriginPattern::One("https://app.example".to_owned())];
        let headers = headers(pairs);
        let is_proxied = headers.contains_key("x-forwarded-for");
        refused(&listed, transport, is_proxied, &Known, uri, &headers).is_some()
    }

    #[test]
    fn own_pages_may_log_in_whoever_is_listed() {
        let uri = Uri::from_static("/ws");
        let (tls, plain) = (Transport::Tls, Transport::Plain);
        for (transport, host, origin, expected) in [
            (tls, "x.example:8443", "https://x.example:8443", true),
            (tls, "X.example:443", "https://x.example", true),
            (tls, "x.example", "https://x.example:443", true),
            (tls, "[::1]:8443", "https://[::1]:8443", true),
            (plain, "x.example", "https://x.example", true),
            (plain, "x.example:80", "https://x.example:80", true),
            // Another port is another origin, and so is the scheme that this address does not speak.
            (tls, "x.example:8443", "https://x.example", false),
            (tls, "x.example", "https://x.example:8443", false),
            (tls, "x.example", "http://x.example", false),
            (tls, "x.example", "null", false),
            // By name, where a proxy has changed `Host`.
            (tls, "127.0.0.1:8443", "https://chat.example", true),
            (tls, "127.0.0.1:8443", "https://chat.example:9443", true),
            (plain, "127.0.0.1:8080", "https://chat.example:9443", true),
            (tls, "127.0.0.1:8443", "http://chat.example", false),
            (tls, "127.0.0.1:8443", "https://localhost:3000", false),
            (tls, "127.0.0.1:8443", "https://a.wild.example", false),
            (tls, "127.0.0.1:8443", "https://x.example", false),
        ] {
            let found = is_refused(transport, &uri, &[("host", host), ("origin", origin)]);
            assert_eq!(found, !expected, "{host} {origin}");
        }
        let absolute = Uri::from_static("http://localhost:8080/ws");
        let pairs = [("host", "x.example"), ("origin", "http://localhost:8080")];
        assert!(!is_refused(plain, &absolute, &pairs));
        // All that are given have to be good.
        let two = [
            ("origin", "https://app.example"),
            ("origin", "https://x.example"),
        ];
        assert!(!is_refused(tls, &uri, &two[..1]) && is_refused(tls, &uri, &two));
        let two = headers(&two);
        assert_eq!(refused(&[], tls, false, &Known, &uri, &two), None);
    }

    #[test]
    fn what_a_trusted_proxy_says_of_host_and_port_counts() {
        let uri = Uri::from_static("/ws");
        let forwarded = |name, value| [("x-forwarded-for", "203.0.113.7"), (name, value)];
        let (host, port) = ("x-forwarded-host", "x-forwarded-port");
        for (said, named, origin, expected) in [
            (forwarded(host, ""), "z", "https://", false),
            (
                forwarded(host, "x.example, y"),
                "z",
                "https://x.example",
                true,
            ),
            (
                forwarded(host, "y,x.example:81"),
                "z",
                "https://x.example:81",
                true,
            ),
            (
                forwarded(port, "8443"),
                "x.example",
                "https://x.example:8443",
                true,
            ),
            (
                forwarded(port, "443"),
                "x.example:8080",
                "https://x.example",
                true,
            ),
            (
                forwarded(port, "8443"),
                "x.example",
                "https://y.example:8443",
                false,
            ),
            (
                forwarded(port, "8443"),
                "x.example",
                "https://x.example:8444",
                false,
            ),
        ] {
            let all = [&said[..], &[("host", named), ("origin", origin)]].concat();
            let found = is_refused(Transport::Plain, &uri, &all);
            assert_eq!(found, !expected, "{said:?} {named} {origin}");
            // Of somebody who is not trusted it does not.
            assert!(is_refused(Transport::Plain, &uri, &all[1..]), "{said:?}");
        }
    }

    #[test]
    fn a_page_that_has_led_its_name_here_is_none_of_the_servers() {
        let uri = Uri::from_static("/ws");
        for (authority, expected) in [
            ("evil.example:8080", false),
            ("evil.example", false),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("localhost:8080", true),
            ("chat.localhost", true),
            ("chat.example:8080", true),
            ("a.wild.example", true),
        ] {
            let origin: &'static str = format!("http://{authority}").leak();
            let pairs = [("host", authority), ("origin", origin)];
            let found = is_refused(Transport::Plain, &uri, &pairs);
            assert_eq!(found, !expected, "{authority}");
        }
    }
}
