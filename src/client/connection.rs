//! The WebSocket of one session, from the login to its end.
//!
//! Invariants: a server that is silent for too long counts as lost; no accepted frame is larger than any server's
//! settings allow.

use std::io;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::client::{Login, percent_encoded};
use crate::config::limits;
use crate::net::client::{ConnectError, Stream, Trust, connect};

/// Deadline of the response to the upgrade request.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(10);
/// After this long without a byte the server is pinged; after twice as long it counts as lost.
const SILENCE: Duration = Duration::from_secs(30);
/// Minimum time allowed for writing a frame, however small.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// Rate at which a larger frame must leave: a client that gives up on a slow line would retry forever.
const WRITE_BYTES_A_SECOND: usize = 16 << 10;
/// Deadline of the server's answer to a close.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// Deadline for finding a close that arrived before a write failed.
const LAST_WORDS_DEADLINE: Duration = Duration::from_secs(1);
/// Stands for a close without a code (RFC 6455, 7.1.5).
const NO_CODE: u16 = 1005;
/// A message's size beyond its content: names and numbers, fully escaped.
const ENVELOPE_BYTES_MAX: u64 = 16 << 10;
/// Bytes per read.
const READ_BYTES: usize = 16 << 10;

/// Why a session was not established.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No connection to the server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server, or a proxy in front of it, answered with something other than an upgrade.
    #[error("the server answers with HTTP status {status} in place of a WebSocket")]
    Refused {
        /// The HTTP status code.
        status: u16,
    },
    /// The token or a name cannot be sent.
    #[error("the login cannot be written as a request: is the token, or a name, too long?")]
    Unwritable,
    /// The connection broke before the upgrade was answered.
    #[error("the connection was lost before the server answered the login: {0}")]
    Lost(io::Error),
    /// The answer is not a WebSocket upgrade.
    #[error(
        "the server does not speak WebSocket as it should: its answer to the login is not that of RFC 6455, 4.2.2"
    )]
    Handshake,
    /// The upgrade exceeded its deadline.
    #[error("the server did not answer the login in time")]
    Slow,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The server closed it.
    #[error("{reason} ({code})")]
    Closed {
        /// The close code.
        code: u16,
        /// The server's reason text.
        reason: String,
    },
    /// The connection broke without a close.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The server has sent nothing for too long.
    #[error("the server has fallen silent")]
    Silent,
}

impl Ended {
    fn lost(error: &Error) -> Self {
        Self::Lost(match error {
            Error::ConnectionClosed | Error::AlreadyClosed => "it was closed".to_owned(),
            Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                "it was cut off".to_owned()
            }
            Error::Io(error) => error.to_string(),
            // Our own wording: the library's errors may contain the token and received data.
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                "it was cut off".to_owned()
            }
            Error::Capacity(_) => "the server sent more at once than any may".to_owned(),
            _ => "it broke the rules of WebSocket".to_owned(),
        })
    }
}

/// A session's WebSocket. The login's result shows in what follows: a refusal is a close.
pub struct Connection {
    socket: WebSocketStream<Stream>,
    heard_at: Instant,
    pinged: bool,
}

impl Connection {
    /// Connects and requests the session; over TLS, verified by `trust`, if the address says so.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(login: &Login, trust: &Trust) -> Result<Self, OpenError> {
        let address = &login.address;
        let trust = address.tls.then_some(trust);
        let stream = connect(&address.host, address.port, trust).await?;
        let request = request(login).map_err(|_| OpenError::Unwritable)?;
        let bytes_max = (limits::CONTENT_BYTES_MAX + ENVELOPE_BYTES_MAX) as usize;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .max_message_size(Some(bytes_max))
            .max_frame_size(Some(bytes_max));
        let upgrade = client_async_with_config(request, stream, Some(config));
        match timeout(UPGRADE_DEADLINE, upgrade).await {
            Err(_) => Err(OpenError::Slow),
            Ok(Ok((socket, _))) => Ok(Self {
                socket,
                heard_at: Instant::now(),
                pinged: false,
            }),
            Ok(Err(Error::Http(response))) => Err(OpenError::Refused {
                status: response.status().as_u16(),
            }),
            Ok(Err(Error::Io(error))) => Err(OpenError::Lost(error)),
            Ok(Err(_)) => Err(OpenError::Handshake),
        }
    }

    /// The next text frame of the server. Cancel-safe: frames not yet returned are kept.
    ///
    /// # Errors
    /// How the session ended; the connection is unusable from then on.
    pub async fn next(&mut self) -> Result<String, Ended> {
        loop {
            let quiet_until = self.heard_at + SILENCE * (1 + u32::from(self.pinged));
            let message = match timeout_at(quiet_until, self.socket.next()).await {
                Ok(message) => message,
                Err(_) if self.pinged => return Err(Ended::Silent),
                Err(_) => {
                    self.pinged = true;
                    self.write(Message::Ping(Bytes::new())).await?;
                    continue;
                }
            };
            self.heard_at = Instant::now();
            self.pinged = false;
            match message {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(close))) => {
                    // Flushes the answer to the close; whether it arrives is the server's concern.
                    let _ = timeout(WRITE_DEADLINE, self.socket.flush()).await;
                    return Err(closed(close));
                }
                // The library answers Pings; the server sends no binary frames.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Ended::lost(&error)),
                None => return Err(Ended::Lost("it was closed".to_owned())),
            }
        }
    }

    /// Sends a text frame.
    ///
    /// # Errors
    /// How the session ended; the connection is unusable from then on.
    pub async fn send(&mut self, text: String) -> Result<(), Ended> {
        self.write(Message::text(text)).await
    }

    async fn write(&mut self, message: Message) -> Result<(), Ended> {
        let more = Duration::from_secs((message.len() / WRITE_BYTES_A_SECOND) as u64);
        match timeout(WRITE_DEADLINE + more, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.last_words().await.unwrap_or(Ended::lost(&error))),
            Err(_) => Err(Ended::Silent),
        }
    }

    /// The server's close, if it arrived before a write failed; messages before it will be delivered again.
    async fn last_words(&mut self) -> Option<Ended> {
        let reading = async {
            while let Some(Ok(message)) = self.socket.next().await {
                if let Message::Close(close) = message {
                    return Some(closed(close));
                }
            }
            None
        };
        timeout(LAST_WORDS_DEADLINE, reading).await.ok().flatten()
    }

    /// Ends the session. Returns whether the server took everything sent: its close follows the last frame.
    pub async fn close(mut self) -> bool {
        let closing = async {
            self.socket.close(None).await?;
            // Messages delivered meanwhile stay unconfirmed, and are delivered again.
            while let Some(message) = self.socket.next().await {
                if let Message::Close(_) = message? {
                    return Ok(true);
                }
            }
            Ok::<_, Error>(false)
        };
        matches!(timeout(CLOSE_DEADLINE, closing).await, Ok(Ok(true)))
    }
}

/// The server's code and reason, or their defaults.
fn closed(close: Option<CloseFrame>) -> Ended {
    let given = close.map(|close| (close.code.into(), close.reason.as_str().to_owned()));
    let (code, mut reason) = given.unwrap_or((NO_CODE, String::new()));
    if reason.is_empty() {
        reason.push_str("without a reason");
    }
    Ended::Closed { code, reason }
}

/// The token goes into a header if it can: proxies log URLs.
fn request(login: &Login) -> Result<Request, Error> {
    // RFC 6750, 2.1: not every declared token can.
    if !login.token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let token = percent_encoded(&login.token);
        return format!("{}&token={token}", login.url()).into_client_request();
    }
    let mut request = login.url().into_client_request()?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", login.token))?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    Ok(request)
}
