//! Creates everything and connects it: the one place that knows all rooms.

mod first_start;
mod measuring;

pub use first_start::FirstStart;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::admin::{self, AdminSocket, Live, Site};
use crate::auth::Auth;
use crate::clock::{Clock, SystemClock};
use crate::command::domains::{DomainError, Domains};
use crate::config::Config;
use crate::http::body::Bodies;
use crate::http::{self, App};
use crate::hub::{Hub, HubLimits};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::model::{Domain, MessageType, MsgId};
use crate::net::{self, CertificateError, NetOptions, Places, Tls};
use crate::protocol::client_frame::FrameRules;
use crate::protocol::close::CloseReason;
use crate::session;
use crate::store::{OpenError, Store, StoreOptions};

/// How long a stop waits for sessions and requests to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections that the kernel keeps until they are accepted (it may keep fewer): when everyone comes
/// back at once, who finds no room there is reset.
const BACKLOG: u32 = 8192;

/// Most connections to the address that is for metrics alone.
const METRICS_CONNECTIONS_MAX: usize = 32;

/// A clock this far behind the newest message is worth a warning: until it has caught up,
/// messages carry times in its future.
pub const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(60);

/// Why the server could not be started. Each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The certificates cannot be read or made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({setting}): {source}")]
    Listen {
        /// The setting that names it.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The domains cannot be made.
    #[error(transparent)]
    Domains(#[from] DomainError),
    /// A thread of the start panicked.
    #[error("the start was interrupted: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// A server that accepts connections.
pub struct Running {
    /// Set at the first start with no domain.
    pub first_start: Option<FirstStart>,
    /// Where it listens, as URLs: `https://ADDR:PORT`, and `http://ADDR:PORT` for `plain`.
    pub addresses: Vec<String>,
    /// Where metrics are served apart, as a URL.
    pub metrics_address: Option<String>,
    sessions: Arc<session::Context>,
    domains: Domains,
    tls: Tls,
    tracker: TaskTracker,
}

/// Starts a server. `log_lines_dropped` is counted up by whoever writes the log.
///
/// # Errors
/// Why there is none; nothing is left running.
pub async fn start(
    config: Config,
    log_lines_dropped: Arc<AtomicU64>,
) -> Result<Running, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let types = MessageType::BASE.iter().chain(&config.types);
    let types: Vec<u32> = types.map(|kind| kind.0).collect();
    let metrics = Arc::new(Metrics::new(&types));
    let limits = HubLimits {
        sessions_max: config.sessions_max,
        sessions_per_user_max: config.sessions_per_user_max,
    };
    let hub = Arc::new(Hub::new(limits, Arc::clone(&metrics)));
    let options = StoreOptions {
        tail_bytes_max: config.tail_bytes_max,
        cache_bytes: config.cache_bytes,
        segment_bytes: config.segment_bytes,
        retention: config.retention.clone(),
        metrics: Arc::clone(&metrics),
        ..StoreOptions::new(&config.data)
    };
    // Where all locks are of no use: an earlier version's whose LOCK was removed.
    if admin::answers(&Site::new(&config.data, None)) {
        return Err(OpenError::InUse(config.data).into());
    }
    let store = {
        let (clock, hub) = (Arc::clone(&clock), Arc::clone(&hub));
        tokio::task::spawn_blocking(move || Store::open(options, clock, hub)).await??
    };
    warn_of_clock(store.last_id(), clock.as_ref());
    match connect(
        &config,
        clock,
        hub,
        store.clone(),
        metrics,
        log_lines_dropped,
    )
    .await
    {
        Ok(running) => Ok(running),
        Err(error) => {
            tokio::task::spawn_blocking(move || store.close()).await?;
            Err(error)
        }
    }
}

fn warn_of_clock(newest: MsgId, clock: &dyn Clock) {
    let behind = Duration::from_micros(newest.0.saturating_sub(clock.now_us()));
    if behind > CLOCK_BEHIND_MAX {
        warn!(
            behind_s = behind.as_secs(),
            "the clock is behind the newest message: it ran ahead once, or is wrong now"
        );
    }
}

async fn connect(
    config: &Config,
    clock: Arc<dyn Clock>,
    hub: Arc<Hub>,
    store: Store,
    metrics: Arc<Metrics>,
    log_lines_dropped: Arc<AtomicU64>,
) -> Result<Running, StartError> {
    let tls = {
        let (certs, hosts) = (config.certs.clone(), config.host.clone());
        let clock = Arc::clone(&clock);
        tokio::task::spawn_blocking(move || Tls::open_by(&certs, &hosts, clock)).await??
    };
    let listener = bind("listen", config.listen)?;
    let plain = match config.plain {
        Some(address) => Some(bind("plain", address)?),
        None => None,
    };
    let metrics_listener = match config.metrics_listen {
        Some(address) => Some(bind("metrics_listen", address)?),
        None => None,
    };
    let address = local_address(&listener, config.listen);

    // Only now that nothing else can fail: a token that is made is told.
    let auth = Auth::new(Arc::clone(&clock));
    for declared in &config.token {
        auth.declare(&declared.domain, declared.token());
    }
    let domains = Domains::new(store.clone(), auth.clone(), Arc::clone(&clock));
    let made = {
        let domains = domains.clone();
        tokio::task::spawn_blocking(move || domains.start()).await??
    };
    let first_start = made.map(|(domain, token)| FirstStart::new(&domain, token, address));

    let limits = Arc::new(Limits::new(config.limits.clone(), Arc::clone(&metrics)));
    let tracker = TaskTracker::new();
    session::count_from_zero(&metrics);
    let sessions = Arc::new(session::Context {
        store,
        hub,
        auth,
        limits: Arc::clone(&limits),
        metrics: Arc::clone(&metrics),
        clock,
        rules: rules(config),
        outbox_bytes_max: config.outbox_bytes_max,
        ping_interval: config.ping_interval,
        tracker: tracker.clone(),
        stop: CancellationToken::new(),
    });
    let mut addresses = vec![format!("https://{address}")];
    let app = Arc::new(App {
        sessions: Arc::clone(&sessions),
        history_open: config.history_open,
        observe: {
            let (tls, metrics) = (tls.clone(), Arc::clone(&metrics));
            Box::new(move || {
                tls.count_in(&metrics);
                let dropped = &metrics.log.lines_dropped;
                let total = log_lines_dropped.load(Ordering::Relaxed);
                dropped.inc_by(total.saturating_sub(dropped.get()));
            })
        },
        cors_origins: config.cors_origins.clone(),
        ws_origins: config.ws_origins.clone(),
        bodies: Bodies::default(),
        scrapes: Semaphore::new(1),
    });
    // One for all listeners: each connection costs an open file, whichever port it came to.
    let places = Places::new(
        config.connections_max,
        Arc::clone(&limits),
        Arc::clone(&metrics),
    );
    let connections_max = i64::try_from(config.connections_max).unwrap_or(i64::MAX);
    metrics.net.connections_max.set(connections_max);
    let listen = |listener, tls, router, places: &Places| {
        let stop = sessions.stop.clone();
        tracker.spawn(net::serve(
            listener,
            tls,
            router,
            NetOptions::default(),
            places.clone(),
            tracker.clone(),
            stop,
        ));
    };
    let router = || http::router(Arc::clone(&app), config.metrics_listen.is_none());
    listen(listener, Some(tls.clone()), router(), &places);
    if let (Some(plain), Some(asked)) = (plain, config.plain) {
        addresses.push(format!("http://{}", local_address(&plain, asked)));
        listen(plain, None, router(), &places);
    }
    let mut metrics_address = None;
    if let (Some(listener), Some(asked)) = (metrics_listener, config.metrics_listen) {
        metrics_address = Some(format!("http://{}", local_address(&listener, asked)));
        // Apart, so that a crowd of strangers does not keep the operator out.
        let places = Places::new(METRICS_CONNECTIONS_MAX, limits, metrics);
        let router = http::metrics_router(Arc::clone(&app));
        listen(listener, None, router, &places);
    }
    let stop = sessions.stop.clone();
    tracker.spawn(net::watch(tls.clone(), net::watch::INTERVAL, stop));
    for address in addresses.iter().chain(&metrics_address) {
        info!(address, "listening");
    }
    take_orders(config, &sessions, &domains, &tracker);
    tracker.spawn(measuring::measure(
        sessions.store.clone(),
        Arc::clone(&sessions.limits),
        sessions.stop.clone(),
    ));
    Ok(Running {
        first_start,
        addresses,
        metrics_address,
        sessions,
        domains,
        tls,
        tracker,
    })
}

/// Listens on the admin socket. Without it the server still serves, but its command line
/// cannot reach it.
fn take_orders(
    config: &Config,
    sessions: &Arc<session::Context>,
    domains: &Domains,
    tracker: &TaskTracker,
) {
    let site = Site::new(&config.data, config.socket.clone());
    let socket = match AdminSocket::bind(&site) {
        Ok(socket) => socket,
        Err(error) => {
            return warn!(%error, "the admin socket cannot be made, and no command reaches this server: name another place for it (--socket)");
        }
    };
    let hub = Arc::clone(&sessions.hub);
    let context = admin::Context {
        domains: domains.clone(),
        changed: Arc::new(move |domain: &Domain| hub.recheck(domain)),
        live: Live {
            store: sessions.store.clone(),
            hub: Arc::clone(&sessions.hub),
            metrics: Arc::clone(&sessions.metrics),
            started_at_ms: sessions.clock.now_ms(),
        },
    };
    let stop = sessions.stop.clone();
    tracker.spawn(admin::serve(socket, context, tracker.clone(), stop));
}

impl Running {
    /// Reads the certificates again, declares the tokens of new settings and takes over their
    /// retention and limits. What of the settings cannot change while running is left as it is.
    pub async fn reload(&self, config: &Config) {
        let tls = self.tls.clone();
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(())) => info!("the certificates have been read again"),
            Ok(Err(error)) => error!(%error, "the certificates stay as they were"),
            Err(error) => error!(%error, "reading the certificates was interrupted"),
        }
        let declared = config
            .token
            .iter()
            .map(|declared| (&declared.domain, declared.token()));
        let changed = self.sessions.auth.redeclare(declared);
        self.sessions.store.set_retention(config.retention.clone());
        self.sessions.limits.reload(config.limits.clone());
        let domains = self.domains.clone();
        match tokio::task::spawn_blocking(move || domains.ensure_declared()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "a declared domain cannot be stored"),
            Err(error) => error!(%error, "declaring domains was interrupted"),
        }
        for domain in &changed {
            self.sessions.hub.recheck(domain);
        }
    }

    /// Stops accepting, closes the sessions with 1001, makes everything durable.
    pub async fn shutdown(self) {
        info!("stopping");
        self.sessions.stop.cancel();
        self.sessions.hub.close_all(&CloseReason::ShuttingDown);
        self.tracker.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.tracker.wait())
            .await
            .is_err()
        {
            warn!(
                left = self.tracker.len(),
                "some connections did not end in time"
            );
        }
        let store = self.sessions.store.clone();
        if tokio::task::spawn_blocking(move || store.close())
            .await
            .is_err()
        {
            error!("closing the store was interrupted");
        }
    }
}

fn rules(config: &Config) -> FrameRules {
    let types = MessageType::BASE
        .iter()
        .chain(&config.types)
        .copied()
        .collect();
    FrameRules {
        content_bytes_max: config.content_bytes_max,
        types,
    }
}

fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    listen_on(address).map_err(|source| StartError::Listen {
        setting,
        address,
        source,
    })
}

fn listen_on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A restart must not wait for what the last server's connections leave in the kernel.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn local_address(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}
