//! Web origins (RFC 6454) of browsers.
//!
//! Parses and compares text only. Invariant: a pattern is spelled as browsers spell an origin,
//! without a default port, so that comparing text suffices.

use super::parse::{self, Parsed};

/// An entry of a list of origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`
    Any,
    /// A single origin: `https://app.example.com`, with a port unless it is the scheme's default;
    /// `null`; or that of an app: `capacitor://localhost`, `file://`.
    One(String),
    /// `moz-extension://*`: every app of this scheme. Ends with `://`.
    Apps(String),
    /// `https://*.example.com`: every subdomain, but not the domain itself.
    Below {
        /// The prefix: `https://`.
        scheme: String,
        /// The suffix: `.example.com`, with the port.
        domain: String,
    },
}

impl OriginPattern {
    fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::One(one) => origin.eq_ignore_ascii_case(one),
            Self::Apps(scheme) => {
                let host = origin.strip_prefix(scheme.as_str());
                host.is_some_and(|host| !host.is_empty() && is_opaque_host(host))
            }
            Self::Below { scheme, domain } => {
                let rest = origin.strip_prefix(scheme.as_str());
                let name = rest.and_then(|rest| rest.strip_suffix(domain.as_str()));
                name.is_some_and(|name| parse::host(name).is_ok_and(|name| !name.contains(':')))
            }
        }
    }
}

/// Whether an `Origin` header's value is on the list.
pub fn allows(list: &[OriginPattern], origin: &str) -> bool {
    list.iter().any(|pattern| pattern.allows(origin))
}

/// The origin of pages without one of their own: files, sandboxed frames (RFC 6454, 7.1).
const NULL: &str = "null";

/// `*`, `https://app.example.com`, `http://localhost:3000`, `https://*.example.com`, `app://x`, `file://`, `null`.
pub(super) fn pattern(text: &str) -> Parsed<OriginPattern> {
    let expected = || {
        "* or an origin such as https://app.example.com, https://*.example.com, http://localhost:3000, \
         capacitor://localhost, moz-extension://*, file:// or null, without a path"
            .to_owned()
    };
    if text == "*" {
        return Ok(OriginPattern::Any);
    }
    let text = text.to_ascii_lowercase();
    if text == NULL {
        return Ok(OriginPattern::One(text));
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(expected)?;
    let (host, port) = split_port(rest).ok_or_else(expected)?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    // Firefox gives an extension a different host in each installation.
    if is_scheme && is_of_app(scheme) && rest == "*" {
        return Ok(OriginPattern::Apps(format!("{scheme}://")));
    }
    if is_scheme && is_of_app(scheme) && is_opaque_host(rest) {
        return Ok(OriginPattern::One(text));
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let is_address = |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok();
    let is_host = match bare {
        Some(bare) => is_address(bare),
        None => !is_address(host) && parse::host(host).is_ok(),
    };
    if !is_scheme || !is_host {
        return Err(expected());
    }
    let own = matches!((scheme, port), ("https", Some(443)) | ("http", Some(80)));
    let port = port
        .filter(|_| !own)
        .map_or(String::new(), |p| format!(":{p}"));
    Ok(match host.strip_prefix('*') {
        Some(domain) => OriginPattern::Below {
            scheme: format!("{scheme}://"),
            domain: format!("{domain}{port}"),
        },
        None => OriginPattern::One(format!("{scheme}://{host}{port}")),
    })
}

/// Whether browsers keep the host of such an origin as the app spells it, a DNS name or not.
fn is_of_app(scheme: &str) -> bool {
    !matches!(scheme, "http" | "https" | "ws" | "wss" | "ftp")
}

/// An opaque host (WHATWG URL, 3.5), with an optional port; that of `file://` is empty.
fn is_opaque_host(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_graphic() && !b"#*/<>?@\\^|".contains(&byte);
    text.bytes().all(is_part)
}

/// The host and the port, if any; `None` if that is not a number above 0.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|port| digits && *port > 0)?;
            Some((host, Some(port)))
        }
        _ => Some((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_match_exactly_or_below_a_domain() {
        let cases = [
            ("*", "https://a.example", true),
            ("https://app.example.com", "https://app.example.com", true),
            (
                "https://APP.example.com:443",
                "https://app.example.com",
                true,
            ),
            ("http://localhost:3000", "http://localhost:3000", true),
            ("http://localhost:80", "http://localhost", true),
            ("https://[::1]:8443", "https://[::1]:8443", true),
            ("capacitor://localhost", "capacitor://localhost", true),
            ("https://app.example.com", "http://app.example.com", false),
            (
                "https://app.example.com",
                "https://app.example.com:8443",
                false,
            ),
            (
                "https://app.example.com",
                "https://app.example.com.evil.example",
                false,
            ),
            (
                "https://app.example.com",
                "https://evil.app.example.com",
                false,
            ),
            ("https://app.example.com", "null", false),
            ("https://*.example.com", "https://a.example.com", true),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://.example.com", false),
            ("https://*.example.com", "https://evilexample.com", false),
            ("https://*.example.com", "https://a.example.com:8443", false),
            (
                "https://*.example.com",
                "https://evil.example/.example.com",
                false,
            ),
            ("https://*.example.com", "https://evil:1.example.com", false),
            (
                "https://*.example.com:8443",
                "https://a.example.com:8443",
                true,
            ),
        ];
        for (text, origin, allowed) in cases {
            let list = [pattern(text).expect(text)];
            assert_eq!(allows(&list, origin), allowed, "{text} {origin}");
        }
        assert!(!allows(&[], "https://a.example"));
    }

    #[test]
    fn apps_and_pages_without_an_origin_can_be_listed() {
        let uuid = "safari-web-extension://0A1B2C3D-0000-4000-8000-ABCDEF012345";
        for origin in [
            "null",
            "file://",
            "app://.",
            "app://-",
            "app://obsidian.md",
            "tauri://localhost",
            "ionic://localhost:8080",
            "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
            uuid,
        ] {
            let list = [pattern(origin).expect(origin)];
            assert!(allows(&list, origin));
            for other in ["https://localhost", "app://", "null ", "file:///home", ""] {
                assert!(!allows(&list, other), "{origin} {other}");
            }
        }
        let list = [pattern("NULL").expect("null")];
        assert!(allows(&list, "null"));
    }

    #[test]
    fn all_apps_of_a_scheme_can_be_listed() {
        for (text, origin, allowed) in [
            ("app://*", "app://obsidian.md", true),
            ("app://*", "app://-", true),
            ("APP://*", "app://a:1", true),
            ("moz-extension://*", "moz-extension://0a1b2c3d-0000", true),
            ("app://*", "app://", false),
            ("app://*", "app://a/b", false),
            ("app://*", "apps://a", false),
            ("app://*", "https://app", false),
            ("app://*", "null", false),
        ] {
            let list = [pattern(text).expect(text)];
            assert_eq!(allows(&list, origin), allowed, "{text} {origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "app.example.com",
            "https://",
            "https://app.example.com/",
            "https://app.example.com/chat",
            "https://user@app.example.com",
            "https://app.example.com:",
            "https://app.example.com:0",
            "https://app.example.com:+1",
            "https://app.example.com:99999",
            "https://a.*.example.com",
            "https://*",
            "https://*.",
            "https://::1",
            "https://[::1",
            "1http://a",
            "nul",
            "file:///",
            "app://a/b",
            "http://*",
            "ws://*",
        ] {
            assert!(pattern(text).is_err(), "{text}");
        }
    }
}
