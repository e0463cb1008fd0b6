//! WebSockets over HTTP/2 (RFC 8441), by hand: no library of these tests speaks it.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::configured::{Change, Proxy};
use super::{Login, Setup};
use crate::support::soon;
use crate::support::tls::{self, Stream};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames (RFC 9113, 6), and a flag of theirs.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Settings (RFC 9113, 6.5.2; RFC 8441, 3).
const MAX_CONCURRENT_STREAMS: u16 = 3;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// A connection of HTTP/2.
struct Connection {
    stream: Stream,
    /// What the proxy has announced.
    settings: Vec<(u16, u32)>,
}

impl Connection {
    /// `None`: the proxy chooses another protocol.
    async fn open(setup: &Setup) -> Option<Self> {
        let roots = tls::roots(&setup.server.home.ca());
        let stream = setup.tcp().await.unwrap();
        let tls = tls::over_with(
            stream,
            "localhost",
            &roots,
            rustls::ALL_VERSIONS,
            &["h2", "http/1.1"],
        );
        let stream = soon("a TLS handshake", tls).await.unwrap();
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return None;
        }
        let mut connection = Self {
            stream: Box::new(stream),
            settings: Vec::new(),
        };
        connection.stream.write_all(PREFACE).await.unwrap();
        connection.write(SETTINGS, 0, 0, &[]).await;
        let announced = connection.find(SETTINGS).await;
        connection.settings = announced
            .chunks_exact(6)
            .map(|pair| {
                let number = u16::from_be_bytes([pair[0], pair[1]]);
                (
                    number,
                    u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]),
                )
            })
            .collect();
        connection.write(SETTINGS, ACK, 0, &[]).await;
        Some(connection)
    }

    fn setting(&self, number: u16) -> Option<u32> {
        let mut settings = self.settings.iter();
        settings
            .find(|(found, _)| *found == number)
            .map(|(_, value)| *value)
    }

    async fn write(&mut self, kind: u8, flags: u8, number: u8, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags, 0, 0, 0, number]].concat();
        let frame = [&head, payload].concat();
        self.stream.write_all(&frame).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// What the next frame of this kind holds.
    async fn find(&mut self, kind: u8) -> Vec<u8> {
        soon("a frame", async {
            loop {
                let mut head = [0; 9];
                self.stream.read_exact(&mut head).await.unwrap();
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; length as usize];
                self.stream.read_exact(&mut payload).await.unwrap();
                let is_ack = kind == SETTINGS && head[4] & ACK != 0;
                if head[3] == kind && !is_ack {
                    return payload;
                }
            }
        })
        .await
    }
}

/// Header fields as they are (RFC 7541, 6.2.2).
fn fields(all: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 127);
        [&[length], text.as_bytes()].concat()
    };
    let field = |(name, value): &(&str, &str)| [&[0][..], &text(name), &text(value)].concat();
    all.iter().flat_map(field).collect()
}

#[tokio::test]
async fn a_session_over_haproxy() {
    let h2: [Change<'_>; 1] = [("both.pem", "both.pem alpn h2,http/1.1")];
    let Some((setup, _proxy)) = Setup::behind(Proxy::Haproxy, &h2).await else {
        return;
    };
    let mut connection = Connection::open(&setup).await.expect("HTTP/2");
    assert_eq!(connection.setting(ENABLE_CONNECT_PROTOCOL), Some(1));
    let target = format!("/ws?{}", Login::new("ann").query());
    let connect = fields(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", &target),
        (":authority", "localhost"),
        ("sec-websocket-version", "13"),
    ]);
    connection.write(HEADERS, END_HEADERS, 1, &connect).await;
    let answer = connection.find(HEADERS).await;
    // `:status: 200` (RFC 7541, A).
    assert_eq!(answer.first(), Some(&0x88), "{answer:?}");
    let ping = crate::support::raw::text_frame("ping");
    connection.write(DATA, 0, 1, &ping).await;
    let mut came = Vec::new();
    while !came.ends_with(b"pong") {
        came.extend(connection.find(DATA).await);
    }
}

#[tokio::test]
async fn others_have_sockets_over_another_connection() {
    let h2_of_nginx = [(" ssl;", " ssl http2;")];
    for (proxy, changes) in [
        (Proxy::Nginx, &h2_of_nginx[..]),
        (Proxy::Caddy, &[]),
        (Proxy::Traefik, &[]),
    ] {
        let Some((setup, _proxy)) = Setup::behind(proxy, changes).await else {
            continue;
        };
        let connection = Connection::open(&setup).await.expect("HTTP/2");
        let offered = connection.setting(ENABLE_CONNECT_PROTOCOL);
        assert_eq!(offered.unwrap_or(0), 0, "{proxy:?}");
    }
}

#[tokio::test]
async fn lighttpd_has_eight_streams_for_all_tabs_of_a_browser_and_is_told_to_have_none() {
    let Some((setup, _proxy)) = Setup::behind(Proxy::Lighttpd, &[]).await else {
        return;
    };
    assert!(Connection::open(&setup).await.is_none());
    let line = "server.feature-flags = (\"server.h2proto\" => \"disable\")";
    let Some((setup, _proxy)) = Setup::behind(Proxy::Lighttpd, &[(line, "")]).await else {
        return;
    };
    let connection = Connection::open(&setup).await.expect("HTTP/2");
    assert_eq!(connection.setting(ENABLE_CONNECT_PROTOCOL), Some(1));
    assert_eq!(connection.setting(MAX_CONCURRENT_STREAMS), Some(8));
}
