//! Accepts connections and takes each through TLS to HTTP, in a task of its own.
//!
//! No client ever waits for another. Invariants: every open socket holds one of the [`ConnectionPermits`], upgraded
//! ones included, except those being closed for a newcomer; a connection without a permit is closed at once, so that
//! the backlog never fills up with them.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::deadline::{Activity, Observed};
use super::hello;
use super::lingering::linger;
use super::options::NetOptions;
use super::permits::{ConnectionPermit, ConnectionPermits};
use super::proxy_protocol::{self, ClientStream, HeaderError};
use super::refusals::Refusals;
use super::requests::{self, RequestOrigin};
use super::tls::Tls;
use crate::limits::{Throttle, Visitor};

/// Pause after an accept that failed for lack of resources: it would fail again at once.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Most bytes read from a client until its TLS handshake is complete. A ClientHello has some 2 KiB with everything
/// browsers add, and the first request may arrive with the end of the handshake, in a record of up to 16 KiB. The
/// library alone would buffer 64 KiB of one unfinished message.
const HANDSHAKE_BYTES_MAX: usize = 32 << 10;

/// Idle time after which TCP probes a silent peer, and drops it if it does not answer.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Serves `router` on `listener`, over TLS if configured, until `stop`; a request finds its origin, a
/// [`crate::limits::Visitor`], among its extensions.
///
/// Returns once it no longer accepts. Connections live on in tasks of `tracker`: those of HTTP end within 3 s of
/// `stop`, and upgraded ones belong to the handler of the upgrade.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    options: NetOptions,
    permits: ConnectionPermits,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let unaccepted = Throttle::default();
    let refusals = Arc::new(Refusals::default());
    loop {
        // Cancel-safe.
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else {
            return;
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // The client left before it was accepted.
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                if let Some(times) = unaccepted.due() {
                    tracing::error!(%error, times, "connections cannot be accepted");
                }
                stop.run_until_cancelled(tokio::time::sleep(ACCEPT_BACKOFF))
                    .await;
                continue;
            }
        };
        // Without a permit, the connection is closed at once.
        let peer = Visitor::direct(peer.ip());
        let Some(permit) = permits.acquire(peer.address) else {
            continue;
        };
        set_socket_options(&stream, options.user_timeout);
        let accepted = Accepted {
            peer,
            permit,
            permits: permits.clone(),
            router: router.clone(),
            options,
            stop: stop.clone(),
            refusals: Arc::clone(&refusals),
        };
        match &tls {
            Some(tls) => tracker.spawn(accepted.over_tls(stream, tls.clone())),
            None => tracker.spawn(accepted.plain(stream)),
        };
    }
}

/// One connection, from its accept to its end or upgrade.
struct Accepted {
    /// The peer, or the client that a trusted proxy connects for.
    peer: Visitor,
    permit: ConnectionPermit,
    permits: ConnectionPermits,
    router: Router,
    options: NetOptions,
    stop: CancellationToken,
    refusals: Arc<Refusals>,
}

/// Why a connection is refused.
enum Refused {
    Broken(io::Error),
    /// Its PROXY protocol header is unusable.
    ProxyHeader,
    PlainHttp,
    /// Its address has too many connections.
    Limited,
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl Accepted {
    async fn plain(mut self, stream: TcpStream) {
        // The first head is due from now on, whatever precedes it.
        let activity = Activity::new();
        let end = self.end();
        let reading = tokio::time::timeout(
            self.options.head_timeout,
            self.read_proxy_header(stream, true),
        );
        let stream = tokio::select! {
            () = end => return,
            stream = reading => stream,
        };
        if let Ok(Ok(stream)) = stream {
            self.answer(stream, activity, true).await;
        }
    }

    async fn over_tls(mut self, stream: TcpStream, tls: Tls) {
        let (end, mut name) = (self.end(), None);
        let handshake = tokio::time::timeout(self.options.handshake_timeout, async {
            let mut stream = self.read_proxy_header(stream, false).await?;
            if speaks_plain_http(&stream).await? {
                send_elsewhere(&mut stream, ONLY_TLS, &self.stop).await?;
                return Err(Refused::PlainHttp);
            }
            let hello = hello::hide(&mut stream).await?;
            name = hello.name;
            stream.bound(Some(HANDSHAKE_BYTES_MAX));
            let mut stream = tls.acceptor(hello.is_hidden).accept(stream).await?;
            stream.get_mut().0.bound(None);
            Ok(stream)
        });
        // A cancelled handshake leaves nothing behind.
        let stream = tokio::select! {
            () = end => return,
            stream = handshake => stream,
        };
        match stream {
            Ok(Ok(stream)) => self.answer(stream, Activity::new(), false).await,
            Ok(Err(Refused::PlainHttp)) => self.permits.handshake_failed("plain_http"),
            Ok(Err(Refused::ProxyHeader)) => self.permits.handshake_failed("proxy_header"),
            Ok(Err(Refused::Limited)) => {}
            Ok(Err(Refused::Broken(error))) => {
                self.permits.handshake_failed("tls");
                self.refusals.log(self.peer.address, name.as_ref(), &error);
            }
            Err(_) => {
                self.permits.handshake_failed("timeout");
                let error = io::Error::new(ErrorKind::TimedOut, "it took too long");
                self.refusals.log(self.peer.address, name.as_ref(), &error);
            }
        }
    }

    /// Ready once the server stops or the permit is evicted.
    fn end(&self) -> impl Future<Output = ()> + use<> {
        let (stop, standing) = (self.stop.clone(), Arc::clone(self.permit.standing()));
        async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = poll_fn(|cx| standing.poll_evicted(cx)) => {}
            }
        }
    }

    /// Reads the PROXY protocol header of a trusted proxy's connection; refuses one from any other peer.
    async fn read_proxy_header(
        &mut self,
        stream: TcpStream,
        plain: bool,
    ) -> Result<ClientStream, Refused> {
        let limits = self.permits.limits();
        let peer = self.peer.address;
        if !limits.is_proxy(peer) {
            if !proxy_protocol::has_header(&stream).await? {
                return Ok(ClientStream::untouched(stream));
            }
            limits.proxies().header_refused(peer);
            let mut stream = ClientStream::untouched(stream);
            if plain {
                send_elsewhere(&mut stream, NO_PROXY_HEADER, &self.stop).await?;
            }
            return Err(Refused::ProxyHeader);
        }
        let (header, stream) = match proxy_protocol::read(stream).await {
            Ok(read) => read,
            Err(HeaderError::Io(error)) => return Err(error.into()),
            Err(error) => {
                limits.proxies().header_unreadable(peer, &error);
                return Err(Refused::ProxyHeader);
            }
        };
        if !plain {
            limits.proxies().passed_on(peer, header.is_there());
        }
        if let Some(from) = header.from {
            self.peer = Visitor::passed_on(from);
        }
        let has_room = self
            .permits
            .count_for_address(&mut self.permit, &self.peer, plain);
        has_room.then_some(stream).ok_or(Refused::Limited)
    }

    async fn answer<S>(self, stream: S, activity: Activity, plain: bool)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let standing = Arc::clone(self.permit.standing());
        let stream = Observed::new(stream, activity.clone(), self.permit);
        let origin = RequestOrigin {
            peer: self.peer,
            standing,
            limits: plain.then(|| Arc::clone(self.permits.limits())),
        };
        requests::answer(
            stream,
            activity,
            origin,
            self.router,
            self.options,
            self.stop,
        )
        .await;
    }
}

/// TLS starts with the byte 22 (RFC 8446, 5.1), a request's head with a letter of its method.
async fn speaks_plain_http(stream: &ClientStream) -> io::Result<bool> {
    Ok(stream.first().await?.is_ascii_uppercase())
}

const ONLY_TLS: &str = "This port speaks https (and wss) only.\n";

const NO_PROXY_HEADER: &str = "No PROXY protocol header is expected from this address.\n";

/// Answers a client that uses the wrong protocol here with a hint.
async fn send_elsewhere(
    stream: &mut ClientStream,
    text: &str,
    stop: &CancellationToken,
) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    linger(stream, stop).await;
    Ok(())
}

/// A failure here costs only an optimisation, so it is no error.
fn set_socket_options(stream: &TcpStream, user_timeout: Duration) {
    use rustix::net::sockopt;
    // Without it, a small write waits for the previous one's acknowledgement.
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
