//! A WebSocket that may fail at any moment, and says how: what fleets live on.
//!
//! Every wait has a deadline of its caller's; nothing here panics on what a network can do. What
//! no network can do, only a wrong server, comes out as [`Heard::Wrong`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Login;
use super::tls::Stream;

/// Close codes after which a client comes back: the server stops, a lost Pong, replaced by a
/// login of one's own that was long on its way.
const COME_BACK: [u16; 6] = [1000, 1001, 1011, 1012, 1013, 4409];

/// What came, or what became of the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Text(String),
    /// The payload of a Ping; its Pong leaves with the next flush.
    Ping(String),
    /// The connection is over, as connections end.
    Ended,
    /// Something that a client should never see.
    Wrong(String),
}

/// How to reach the server: encrypted by way of one address, and not by way of another.
#[derive(Clone)]
pub struct Dialer {
    tls: TlsConnector,
    tls_address: String,
    plain_address: String,
}

impl Dialer {
    pub fn new(roots: RootCertStore, tls_address: &str, plain_address: &str) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            tls: TlsConnector::from(Arc::new(config)),
            tls_address: tls_address.into(),
            plain_address: plain_address.into(),
        }
    }

    /// A WebSocket, whatever the server then says to the login.
    pub async fn dial(
        &self,
        login: &Login,
        encrypted: bool,
        patience: Duration,
    ) -> Result<Link, Heard> {
        let dialing = self.dial_patiently(login, encrypted);
        match timeout(patience, dialing).await {
            Ok(Ok(socket)) => Ok(Link { socket, patience }),
            Ok(Err(error)) => Err(heard_error(&error)),
            Err(_) => Err(Heard::Ended),
        }
    }

    async fn dial_patiently(
        &self,
        login: &Login,
        encrypted: bool,
    ) -> Result<WebSocketStream<Stream>, Error> {
        let address = if encrypted {
            &self.tls_address
        } else {
            &self.plain_address
        };
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let stream: Stream = if encrypted {
            let name = ServerName::try_from("localhost").unwrap();
            Box::new(self.tls.connect(name, tcp).await?)
        } else {
            Box::new(tcp)
        };
        let (socket, _) = tokio_tungstenite::client_async(login.request(), stream).await?;
        Ok(socket)
    }
}

/// One connection. Dropped, it ends without a Close.
pub struct Link {
    socket: WebSocketStream<Stream>,
    patience: Duration,
}

impl Link {
    /// What comes next. Cancel-safe.
    pub async fn next(&mut self) -> Heard {
        loop {
            return match self.socket.next().await {
                Some(Ok(Message::Text(text))) => Heard::Text(text.to_string()),
                Some(Ok(Message::Ping(payload))) => match String::from_utf8(payload.to_vec()) {
                    Ok(payload) => Heard::Ping(payload),
                    Err(_) => Heard::Wrong(format!("a Ping with {payload:?}")),
                },
                Some(Ok(Message::Close(Some(frame)))) => {
                    let code = u16::from(frame.code);
                    let internal = frame.reason.contains("internal");
                    if COME_BACK.contains(&code) && !internal {
                        Heard::Ended
                    } else {
                        Heard::Wrong(format!("closed with {code}: {}", frame.reason))
                    }
                }
                Some(Ok(Message::Binary(_))) => Heard::Wrong("a binary frame".into()),
                Some(Ok(Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(None))) | None => Heard::Ended,
                Some(Err(error)) => heard_error(&error),
            };
        }
    }

    /// Sends a text frame; whether it left for the network.
    pub async fn send(&mut self, text: &str) -> bool {
        let sending = self.socket.send(Message::text(text));
        matches!(timeout(self.patience, sending).await, Ok(Ok(())))
    }

    /// Has Pongs leave that wait; whether they left for the network.
    pub async fn flush(&mut self) -> bool {
        matches!(
            timeout(self.patience, self.socket.flush()).await,
            Ok(Ok(()))
        )
    }

    /// Closes as a browser does, without waiting for the answer.
    pub async fn close(mut self) {
        // A connection that cannot take it is over anyway.
        let _ = timeout(self.patience, self.socket.close(None)).await;
    }
}

fn heard_error(error: &Error) -> Heard {
    match error {
        Error::Io(error) if error.kind() != std::io::ErrorKind::InvalidData => Heard::Ended,
        // Single bytes look like an attack to this client while it waits for the upgrade.
        Error::AttackAttempt
        | Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | Error::Protocol(ProtocolError::HandshakeIncomplete)
        | Error::Protocol(ProtocolError::SendAfterClosing) => Heard::Ended,
        error => Heard::Wrong(format!("{error:?}")),
    }
}
