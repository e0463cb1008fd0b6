//! Accepts connections and takes each through TLS to HTTP, in a task of its own.
//!
//! Never waits for one client on behalf of another. Invariants: at most as many sockets as there are
//! [`Places`] are open, upgraded ones included, but for those that end just then for a newcomer; one more is closed at
//! once, so that the backlog never fills with them.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::deadline::{Activity, Observed};
use super::greeting::{Greeted, Name};
use super::lingering::linger;
use super::places::{Place, Places};
use super::refusals::Refusals;
use super::requests::{self, Asker};
use super::tls::Tls;

/// Pause after an accept that failed for want of something: it would fail again at once.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Between two log lines about the same trouble.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// TCP looks after a silent peer from here on, and gives up on one that does not answer.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct NetOptions {
    /// From the first byte of TCP to the last of the TLS handshake.
    pub handshake_timeout: Duration,
    /// For a request's head: from the start of the connection, or from its first byte.
    pub head_timeout: Duration,
    /// Between requests; for carrying one out; and between two bytes of an answer that go out.
    pub idle_timeout: Duration,
    /// How long TCP bears that a peer takes nothing; longer than a session does.
    pub user_timeout: Duration,
}

impl Default for NetOptions {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            // Longer than balancers keep idle connections to a backend, most of them 60 s: one that was closed here just
            // as it sends a request there would be its client's error.
            idle_timeout: Duration::from_secs(75),
            user_timeout: Duration::from_secs(120),
        }
    }
}

impl NetOptions {
    /// The defaults, where sessions bear four such intervals of silence: TCP must not be the first to give up.
    pub fn with_ping_interval(interval: Duration) -> Self {
        let defaults = Self::default();
        Self {
            user_timeout: defaults.user_timeout.max(interval * 5),
            ..defaults
        }
    }
}

/// Serves `router` on `listener`, by TLS if there is any, until `stop`; a request finds who it is from, a
/// [`crate::limits::Visitor`], among its extensions.
///
/// Returns when it no longer accepts. Connections live on in tasks of `tracker`: those of HTTP end within 3 s of
/// `stop`, upgraded ones are the business of who asked for the upgrade.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    options: NetOptions,
    places: Places,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let mut told: Option<Instant> = None;
    let refusals = Arc::new(Refusals::default());
    loop {
        // Both are cancel-safe.
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // The client went before it was accepted.
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                if told.is_none_or(|told| told.elapsed() >= LOG_INTERVAL) {
                    told = Some(Instant::now());
                    tracing::error!(%error, "connections cannot be accepted");
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(ACCEPT_BACKOFF) => continue,
                }
            }
        };
        // Who finds no place is closed at once.
        let Some(place) = places.enter(peer.ip(), tls.is_none()) else {
            continue;
        };
        set_socket_options(&stream, options.user_timeout);
        let visit = Visit {
            peer,
            place,
            places: places.clone(),
            router: router.clone(),
            options,
            stop: stop.clone(),
            refusals: Arc::clone(&refusals),
        };
        match &tls {
            Some(tls) => tracker.spawn(visit.over_tls(stream, tls.clone())),
            None => tracker.spawn(visit.plain(stream)),
        };
    }
}

/// One connection, from its accept to its end or upgrade.
struct Visit {
    peer: SocketAddr,
    place: Place,
    places: Places,
    router: Router,
    options: NetOptions,
    stop: CancellationToken,
    refusals: Arc<Refusals>,
}

impl Visit {
    async fn plain(self, stream: TcpStream) {
        self.answer(stream, true).await;
    }

    async fn over_tls(self, stream: TcpStream, tls: Tls) {
        let name = Name::default();
        let handshake = tokio::time::timeout(self.options.handshake_timeout, async {
            if speaks_plain_http(&stream).await? {
                send_elsewhere(stream, &self.stop).await?;
                return Ok(None);
            }
            let stream = Greeted::new(stream, Arc::clone(&name));
            tls.acceptor().accept(stream).await.map(Some)
        });
        // A handshake that is given up leaves nothing behind.
        let standing = Arc::clone(self.place.standing());
        let stream = tokio::select! {
            () = self.stop.cancelled() => return,
            // Somebody else needs the place.
            () = poll_fn(|cx| standing.poll_lost(cx)) => return,
            stream = handshake => stream,
        };
        match stream {
            Ok(Ok(Some(stream))) => self.answer(stream, false).await,
            Ok(Ok(None)) => self.places.handshake_failed("plain_http"),
            Ok(Err(error)) => {
                self.places.handshake_failed("tls");
                self.refusals.tell(self.peer, name.get(), &error);
            }
            Err(_) => {
                self.places.handshake_failed("timeout");
                let error = io::Error::new(ErrorKind::TimedOut, "it took too long");
                self.refusals.tell(self.peer, name.get(), &error);
            }
        }
    }

    async fn answer<S>(self, stream: S, plain: bool)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let activity = Activity::new();
        let standing = Arc::clone(self.place.standing());
        let stream = Observed::new(stream, activity.clone(), self.place);
        let asker = Asker {
            peer: self.peer,
            standing,
            limits: plain.then(|| Arc::clone(self.places.limits())),
        };
        requests::answer(
            stream,
            activity,
            asker,
            self.router,
            self.options,
            self.stop,
        )
        .await;
    }
}

/// TLS starts with the byte 22 (RFC 8446, 5.1), a request's head with a letter of its method.
async fn speaks_plain_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    Ok(first[0].is_ascii_uppercase())
}

/// Tells who speaks HTTP to the TLS port what is wrong.
async fn send_elsewhere(mut stream: TcpStream, stop: &CancellationToken) -> io::Result<()> {
    const TEXT: &str = "This port speaks https (and wss) only.\n";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{TEXT}",
        TEXT.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    linger(&mut stream, stop).await;
    Ok(())
}

/// What fails here fails only this optimisation, so it is not an error.
fn set_socket_options(stream: &TcpStream, user_timeout: Duration) {
    use rustix::net::sockopt;
    // Without it a small write waits for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE);
    let _ = sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL);
    let user_timeout_ms = u32::try_from(user_timeout.as_millis()).unwrap_or(u32::MAX);
    let _ = sockopt::set_tcp_user_timeout(stream, user_timeout_ms);
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rustix::net::sockopt;

    use super::*;

    #[tokio::test]
    async fn tcp_gives_up_on_a_peer_that_acknowledges_nothing() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        let stream = stream.unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 0);
        for (interval_s, timeout_s) in [(1, 120), (25, 125), (60, 300)] {
            let interval = Duration::from_secs(interval_s);
            let options = NetOptions::with_ping_interval(interval);
            set_socket_options(&stream, options.user_timeout);
            let timeout_ms = sockopt::tcp_user_timeout(&stream).unwrap();
            assert_eq!(timeout_ms, timeout_s * 1000);
        }
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), KEEPALIVE_IDLE);
        assert!(sockopt::socket_keepalive(&stream).unwrap() && stream.nodelay().unwrap());
    }
}
