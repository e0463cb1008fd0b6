//! The network as a client meets it: TLS, certificates, deadlines, limits, the stop.

mod authority;
mod certificates;
mod deadlines;
mod families;
mod hang_up;
mod limits;
mod lingering;
mod material;
mod pairs;
mod server_names;
mod tls;
mod watch;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use relaybox::http::upgrade::upgrade;
use relaybox::limits::{Limits, Visitor};
use relaybox::metrics::Metrics;
use relaybox::model::LimitOptions;
use relaybox::net::{ConnectionPermits, NetOptions, Tls, serve};
use relaybox::websocket::{ConnectionOptions, MessageBudget};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Nothing in these tests takes longer unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A listener on a free port; its test ends with [`Server::stop`], which fails on tasks left over.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) tracker: TaskTracker,
    pub(crate) token: CancellationToken,
    /// Lets requests for `/slow` and `/vouched` go on.
    pub(crate) release: Arc<Notify>,
}

impl Server {
    pub(crate) async fn start(tls: Option<Tls>, options: NetOptions) -> Self {
        Self::within(places(100), tls, options).await
    }

    pub(crate) async fn within(
        places: ConnectionPermits,
        tls: Option<Tls>,
        options: NetOptions,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, places, tls, options)
    }

    pub(crate) fn on(
        listener: TcpListener,
        places: ConnectionPermits,
        tls: Option<Tls>,
        options: NetOptions,
    ) -> Self {
        let server = Self {
            address: listener.local_addr().unwrap(),
            tracker: TaskTracker::new(),
            token: CancellationToken::new(),
            release: Arc::new(Notify::new()),
        };
        let release = Arc::clone(&server.release);
        let vouched = Arc::clone(&server.release);
        let router =
            Router::new()
                .route("/", get(|| async { "hello" }))
                .route(
                    "/peer",
                    get(|Extension(visitor): Extension<Visitor>| async move {
                        visitor.address.to_string()
                    }),
                )
                .route("/big", get(|| async { "x".repeat(8 << 20) }))
                .route(
                    "/body",
                    axum::routing::post(|body: String| async move { body }),
                )
                .route(
                    "/vouched",
                    get(|Extension(visitor): Extension<Visitor>| async move {
                        visitor.vouch();
                        vouched.notified().await;
                        "vouched"
                    }),
                )
                .route(
                    "/slow",
                    get(|| async move {
                        release.notified().await;
                        "slow"
                    }),
                )
                .merge(hang_up::router())
                .route("/ws", get(open))
                .with_state(server.token.clone());
        server.tracker.spawn(serve(
            listener,
            tls,
            router,
            options,
            places,
            server.tracker.clone(),
            server.token.clone(),
        ));
        server
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Stops; every task must end.
    pub(crate) async fn stop(self) {
        self.token.cancel();
        self.tracker.close();
        tokio::time::timeout(PATIENCE, self.tracker.wait())
            .await
            .expect("a task is left");
    }
}

/// A session that is closed by its first message, or ends with its client.
async fn open(
    State(stop): State<CancellationToken>,
    Extension(visitor): Extension<Visitor>,
    mut request: Request,
) -> impl IntoResponse {
    assert!(visitor.log_in());
    let options = ConnectionOptions {
        message_bytes_max: 1024,
        binary: false,
        budget: MessageBudget::default(),
    };
    match upgrade(&mut request, None, options) {
        Ok((response, connection)) => {
            tokio::spawn(async move {
                let mut connection = connection.await.unwrap();
                std::future::poll_fn(|cx| connection.poll_event(cx, true)).await;
                connection.close(1000, "bye", stop).await;
            });
            response
        }
        Err(_) => StatusCode::UPGRADE_REQUIRED.into_response(),
    }
}

pub(crate) const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The bounds of the contract, as far as a test does not shorten them.
/// MessageBudget for so many connections, from anywhere.
pub(crate) fn places(max: usize) -> ConnectionPermits {
    let metrics = Arc::new(Metrics::default());
    let limits = Limits::new(LimitOptions::default(), Arc::clone(&metrics));
    ConnectionPermits::new(max, max, Arc::new(limits), metrics)
}

pub(crate) fn options() -> NetOptions {
    NetOptions::default()
}

pub(crate) fn open_tls(dir: &Path) -> Tls {
    Tls::open(dir, &[]).unwrap()
}

/// A client that trusts the CA of a certificate directory and nothing else.
pub(crate) fn client(dir: &Path, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(dir.join("ca.pem")).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

pub(crate) async fn connect_tls(
    server: &Server,
    config: ClientConfig,
    name: &'static str,
) -> std::io::Result<TlsStream<TcpStream>> {
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from(name).unwrap(), server.connect().await)
        .await
}

/// Sends a request and reads its answer, of which the body ends with `end`.
pub(crate) async fn ask<S>(stream: &mut S, request: &str, end: &str) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut answer));
        assert!(read.await.expect("no answer").unwrap() > 0, "{answer:?}");
    }
    String::from_utf8(answer).unwrap()
}

/// Reads until the server closes, and fails if it does not.
pub(crate) async fn until_closed<S: AsyncRead + Unpin>(stream: &mut S) -> Vec<u8> {
    let mut read = Vec::new();
    // A reset is an end as well.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut read))
        .await
        .expect("the connection stays open");
    read
}
