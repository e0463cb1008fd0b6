//! A server's address: `wss://HOST[:PORT][/PREFIX]`, or a bare host.

use std::fmt;

use crate::protocol::query::Query;

/// Default port of a host without a scheme: relaybox's own default.
const PORT: u16 = 8443;

/// Login path, below the prefix that a proxy may have added to the server's paths.
const PATH: &str = "/ws";

/// Login parameters accepted in the URL.
const PARAMETERS: [&str; 5] = ["id", "name", "domain", "resource", "token"];

/// The parsed address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Whether to connect over TLS.
    pub tls: bool,
    /// A host name or an IP address, the latter without brackets.
    pub host: String,
    /// The TCP port, explicit or by scheme.
    pub port: u16,
    /// Path of the WebSocket endpoint.
    pub path: String,
}

impl Address {
    /// Parses `wss://`, `ws://`, `https://` or `http://`, with the scheme's default port, or a bare host with port
    /// 8443; the server's path, with or without `/ws` at its end; and any login parameters after it.
    ///
    /// # Errors
    /// The flaw, as the rest of a sentence; never a parameter's value.
    pub fn parse(text: &str) -> Result<(Self, Query), String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (tls, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "wss" | "https" => (true, 443),
            "ws" | "http" => (false, 80),
            "" => (true, PORT),
            _ => return Err("must begin with wss:// or ws://, or be a host".into()),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let query = Query::parse(query).map_err(|error| error.to_string())?;
        if let Some(name) = query.other_than(&PARAMETERS) {
            return Err(format!("has a parameter that is none of a login: {name}"));
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = host_and_port(authority)?;
        let graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if !graphic(path) || path.contains('#') {
            return Err("has a path that is not percent-encoded".into());
        }
        let prefix = path.trim_end_matches('/');
        let prefix = prefix.strip_suffix(PATH).unwrap_or(prefix);
        let address = Self {
            tls,
            host,
            port: port.unwrap_or(default_port),
            path: format!("{prefix}{PATH}"),
        };
        Ok((address, query))
    }
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("lacks a ]")?;
            host.parse::<std::net::Ipv6Addr>()
                .map_err(|_| "has no IPv6 address in its brackets")?;
            (host, rest)
        }
        None => {
            let at = authority.find(':').unwrap_or(authority.len());
            let (host, rest) = authority.split_at(at);
            let part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if host.is_empty() || !host.bytes().all(part) {
                return Err("must name a host, such as chat.example.com".into());
            }
            (host, rest)
        }
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some(digits) => {
            let port = digits.parse().ok().filter(|port| *port > 0);
            Some(port.ok_or("must have a port from 1 to 65535")?)
        }
        None => return Err("must have nothing but a port behind its host".into()),
    };
    Ok((host.to_owned(), port))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        let scheme = if self.tls { "wss" } else { "ws" };
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}{}", self.path),
            false => write!(f, "{scheme}://{host}:{port}{}", self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_or_a_host() {
        for (text, whole) in [
            ("localhost", "wss://localhost:8443/ws"),
            ("chat.example.com:9000", "wss://chat.example.com:9000/ws"),
            ("127.0.0.1/", "wss://127.0.0.1:8443/ws"),
            ("[::1]:1", "wss://[::1]:1/ws"),
            ("wss://chat.example.com", "wss://chat.example.com:443/ws"),
            ("HTTPS://a_b/", "wss://a_b:443/ws"),
            ("ws://localhost/chat/ws", "ws://localhost:80/chat/ws"),
            ("ws://localhost/chat/ws/?id=u1", "ws://localhost:80/chat/ws"),
            ("wss://a/chat", "wss://a:443/chat/ws"),
            ("wss://a/chat/", "wss://a:443/chat/ws"),
            ("wss://a/news?id=u1", "wss://a:443/news/ws"),
            ("a/ws/", "wss://a:8443/ws"),
            ("http://[::1]", "ws://[::1]:80/ws"),
        ] {
            let address = Address::parse(text).map(|(address, _)| address.to_string());
            assert_eq!(address.as_deref(), Ok(whole), "{text}");
        }
        for text in [
            "",
            "wss://",
            "ftp://a",
            "a b",
            "user@a",
            "::1",
            "[::1",
            "[x]",
            "[::1]x",
            "a:",
            "a:0",
            "a:70000",
            "a/ä",
            "a/#b",
            "a?x=1",
            "a?id=%",
            "a?receipts=auto",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_login_url_has_its_parameters() {
        let url = "wss://localhost:8443/ws?id=u1&name=Al+ice&token=secret";
        let (address, query) = Address::parse(url).expect("well formed");
        assert_eq!(address.to_string(), "wss://localhost:8443/ws");
        assert_eq!(query.value("name"), Ok(Some("Al ice")));
        assert_eq!(query.value("token"), Ok(Some("secret")));
        assert_eq!(query.value("domain"), Ok(None));
    }
}
