//! From an HTTP request to a WebSocket connection (RFC 6455, 4.2).
//!
//! Independent of the caller. Invariant: a refused request is not consumed.

use std::future::Future;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use axum::http::{HeaderValue, Method, Version};
use axum::response::Response;
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::websocket::{Connection, ConnectionOptions};

/// Tolerates nonzero trailing bits and missing padding, which some clients produce. RFC 6455's own
/// example in 4.1 has such bits.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a request does not become a WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Not a GET of HTTP/1.1, or without `Connection: upgrade` and `Upgrade: websocket`: answer 426 with both.
    #[error(
        "this address speaks WebSocket: send GET with Connection: upgrade and Upgrade: websocket"
    )]
    NotWebSocket,
    /// Another version of the protocol: answer 426 with `Sec-WebSocket-Version: 13` (RFC 6455, 4.4).
    #[error("Sec-WebSocket-Version must be 13")]
    Version,
    /// The key is missing, repeated, or not 16 bytes in base64: answer 400.
    #[error("Sec-WebSocket-Key must be one value of 16 bytes in base64")]
    Key,
    /// The connection broke before the upgrade was complete.
    #[error("the connection ended during the upgrade: {0}")]
    Broken(String),
}

/// Answers an upgrade request with 101, choosing `subprotocol`, and returns a future of the
/// connection.
///
/// It resolves once the answer has been sent, and must run in a task of its own.
///
/// # Errors
/// The first violation of RFC 6455, 4.2.1.
pub fn upgrade(
    request: &mut Request,
    subprotocol: Option<HeaderValue>,
    options: ConnectionOptions,
) -> Result<
    (
        Response,
        impl Future<Output = Result<Connection, UpgradeError>> + Send + use<>,
    ),
    UpgradeError,
> {
    judge(request)?;
    let (response, upgraded) =
        fastwebsockets::upgrade::upgrade(request).map_err(|_| UpgradeError::Key)?;
    let mut response = response.map(|_| Body::empty());
    if let Some(subprotocol) = subprotocol {
        let headers = response.headers_mut();
        headers.insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    let connection = async move {
        let websocket = upgraded
            .await
            .map_err(|error| UpgradeError::Broken(error.to_string()))?;
        Ok(Connection::new(websocket.into_inner(), options))
    };
    Ok((response, connection))
}

fn judge(request: &Request) -> Result<(), UpgradeError> {
    if request.method() != Method::GET
        || request.version() != Version::HTTP_11
        || !fastwebsockets::upgrade::is_upgrade_request(request)
    {
        return Err(UpgradeError::NotWebSocket);
    }
    let headers = request.headers();
    if headers.get(SEC_WEBSOCKET_VERSION) != Some(&HeaderValue::from_static("13")) {
        return Err(UpgradeError::Version);
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None)
            if LENIENT
                .decode(key.as_bytes())
                .is_ok_and(|key| key.len() == 16) =>
        {
            Ok(())
        }
        _ => Err(UpgradeError::Key),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::websocket::MessageBudget;

    const GOOD: &[(&str, &str)] = &[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn options() -> ConnectionOptions {
        ConnectionOptions {
            message_bytes_max: 1024,
            binary: false,
            budget: MessageBudget::default(),
        }
    }

    /// The good request with one header left out, replaced or repeated.
    fn request(method: Method, without: &str, extra: Option<(&str, &str)>) -> Request {
        let mut builder = Request::builder().method(method).uri("/ws");
        for (name, value) in GOOD.iter().filter(|(name, _)| *name != without) {
            builder = builder.header(*name, *value);
        }
        if let Some((name, value)) = extra {
            builder = builder.header(name, value);
        }
        builder.body(Body::empty()).unwrap()
    }

    #[test]
    fn a_good_request_is_answered_with_the_key_of_the_rfc() {
        let mut request = request(Method::GET, "", None);
        let (response, _connection) = upgrade(
            &mut request,
            Some(HeaderValue::from_static("relaybox")),
            options(),
        )
        .unwrap();
        assert_eq!(response.status(), 101);
        let headers = response.headers();
        // RFC 6455, 1.3.
        assert_eq!(
            headers.get("sec-websocket-accept").unwrap(),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(headers.get("sec-websocket-protocol").unwrap(), "relaybox");
    }

    #[test]
    fn a_key_is_whatever_decodes_to_16_bytes_and_is_answered_as_it_is() {
        for (key, accept) in [
            // RFC 6455, 4.1.
            ("AQIDBAUGBwgJCgsMDQ4PEC==", "OfS0wDaT5NoxF2gqm7Zj2YtetzM="),
            ("dGhlIHNhbXBsZSBub25jZQ", "RZWuh2JK/hL0RMgTNJFfZIAppXg="),
        ] {
            let replaced = Some(("sec-websocket-key", key));
            let mut request = request(Method::GET, "sec-websocket-key", replaced);
            let (response, _connection) = upgrade(&mut request, None, options()).unwrap();
            let said = response.headers().get("sec-websocket-accept").unwrap();
            assert_eq!(said, accept, "{key}");
        }
    }

    #[test]
    fn every_flaw_is_named() {
        type Extra = Option<(&'static str, &'static str)>;
        let cases: &[(Method, &str, Extra, &str)] = &[
            (Method::POST, "", None, "speaks WebSocket"),
            (Method::GET, "connection", None, "speaks WebSocket"),
            (Method::GET, "upgrade", None, "speaks WebSocket"),
            (
                Method::GET,
                "upgrade",
                Some(("upgrade", "h2c")),
                "speaks WebSocket",
            ),
            (Method::GET, "sec-websocket-version", None, "Version"),
            (
                Method::GET,
                "sec-websocket-version",
                Some(("sec-websocket-version", "8")),
                "Version",
            ),
            (Method::GET, "sec-websocket-key", None, "Key"),
            (
                Method::GET,
                "sec-websocket-key",
                Some(("sec-websocket-key", "c2hvcnQ=")),
                "Key",
            ),
            (
                Method::GET,
                "",
                Some(("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")),
                "Key",
            ),
        ];
        for (method, without, extra, expected) in cases {
            let mut request = request(method.clone(), without, *extra);
            let error = upgrade(&mut request, None, options()).err().unwrap();
            let error = error.to_string();
            assert!(error.contains(expected), "{without} {extra:?}: {error}");
        }
    }
}
