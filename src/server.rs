//! Creates everything and connects it: the one place that knows all rooms.
//!
//! In this order: what can be wrong is judged, the ports are taken and answer that the server is starting, the store
//! is opened, which may take long, and then there is the whole service. A stop ends it anywhere in between.

mod disk;
mod first_start;
mod listening;
mod measuring;
mod memory;
mod orders;
mod running;
mod service;
mod waiting;

pub use first_start::FirstStart;
pub use listening::refused_port;
pub use running::Running;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admin::{self, Site};
use crate::auth::Auth;
use crate::clock::{Clock, SystemClock};
use crate::command::domains::{DomainError, Domains};
use crate::config::Config;
use crate::http::App;
use crate::http::gate::Starting;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::model::{MessageType, MsgId};
use crate::net::{self, CertificateError, OwnNames, Tls};
use crate::session;
use crate::store::{Claim, OpenError, Opening, Store, StoreOptions};
use crate::websocket::Room;
use listening::{Listening, Ports};
use waiting::on_disk;

/// How long a stop waits for sessions and requests to end, whose own bounds are below it: whatever clients
/// do, all of a stop but the disk's part is over within 5 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(4);

/// So often a start that takes long tells the log how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

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
    #[error(
        "cannot listen on {address} ({setting}): {}",
        refused_port(source, setting)
    )]
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
    /// A thread of the start panicked, or there was none to be had.
    #[error("the start was interrupted: {0}")]
    Interrupted(String),
}

/// What is there before the store.
struct Ground {
    clock: Arc<dyn Clock>,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    limits: Arc<Limits>,
    opening: Arc<Opening>,
    log_lines_dropped: Arc<AtomicU64>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// Starts a server, which runs until `stop`; `None` where that came before it was ready.
/// `log_lines_dropped` is counted up by whoever writes the log.
///
/// # Errors
/// Why there is none; nothing is left running.
pub async fn start(
    config: Config,
    log_lines_dropped: Arc<AtomicU64>,
    stop: CancellationToken,
) -> Result<Option<Running>, StartError> {
    let ground = Ground::new(&config, log_lines_dropped, stop);
    let Some((claim, tls)) = ground.judge(&config).await? else {
        return Ok(None);
    };
    let ports = Ports::bind(&config)?;
    let starting = ground.starting(&config);
    let listening = ports.answer(&config, &ground, tls.as_ref(), &starting);
    let started = match ground.open(claim).await {
        Ok(Some(store)) => ground.connect(&config, tls, &listening, store).await,
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    if !matches!(started, Ok(Some(_))) {
        ground.stop.cancel();
        end(&ground.tracker).await;
    }
    started
}

/// Waits for what the stop has ended, but not for ever.
async fn end(tracker: &TaskTracker) {
    tracker.close();
    if timeout(STOP_TIMEOUT, tracker.wait()).await.is_err() {
        let left = tracker.len();
        warn!(left, "some connections did not end in time");
    }
}

impl Ground {
    fn new(config: &Config, log_lines_dropped: Arc<AtomicU64>, stop: CancellationToken) -> Self {
        let types = MessageType::BASE.iter().chain(&config.types);
        let types: Vec<u32> = types.map(|kind| kind.0).collect();
        let metrics = Arc::new(Metrics::new(&types));
        session::count_from_zero(&metrics);
        let limits = service::hub_limits(config);
        Self {
            clock: Arc::new(SystemClock),
            hub: Arc::new(Hub::new(limits, Arc::clone(&metrics))),
            limits: Arc::new(Limits::new(config.limits.clone(), Arc::clone(&metrics))),
            metrics,
            opening: Arc::default(),
            log_lines_dropped,
            tracker: TaskTracker::new(),
            stop,
        }
    }

    /// Takes the data directory and, for TLS, reads the certificates; `None`: stopped.
    async fn judge(&self, config: &Config) -> Result<Option<(Claim, Option<Tls>)>, StartError> {
        let options = StoreOptions {
            tail_bytes_max: config.tail_bytes_max,
            cache_bytes: config.cache_bytes,
            segment_bytes: config.segment_bytes,
            retention: config.retention.clone(),
            metrics: Arc::clone(&self.metrics),
            opening: Arc::clone(&self.opening),
            ..StoreOptions::new(&config.data)
        };
        let (certs, hosts) = (config.certs.clone(), config.host.clone());
        let with_tls = config.listen.is_some();
        let clock = Arc::clone(&self.clock);
        let judging = net::apart("judging", move || -> Result<_, StartError> {
            // Where all locks are of no use: an earlier version's whose LOCK was removed.
            if admin::answers(&Site::new(&options.dir, None)) {
                return Err(OpenError::InUse(options.dir).into());
            }
            let claim = Claim::take(options)?;
            let tls = with_tls.then(|| Tls::open_by(&certs, &hosts, clock));
            Ok((claim, tls.transpose()?))
        });
        let judging = judging.map_err(StartError::interrupted)?;
        tokio::select! {
            () = self.stop.cancelled() => Ok(None),
            judged = judging => judged.map_err(StartError::interrupted)?.map(Some),
        }
    }

    fn starting(&self, config: &Config) -> Arc<Starting> {
        let opening = Arc::clone(&self.opening);
        Arc::new(Starting {
            progress: Box::new(move || opening.to_string()),
            cors_origins: config.cors_origins.clone(),
            metrics: Arc::clone(&self.metrics),
            tracker: self.tracker.clone(),
            stop: self.stop.clone(),
            refused: AtomicU64::new(0),
        })
    }

    /// Opens the store; `None`: stopped. Whatever it is at then, nobody waits for it for ever:
    /// what was acknowledged is durable.
    async fn open(&self, claim: Claim) -> Result<Option<Store>, StartError> {
        let (clock, hub) = (Arc::clone(&self.clock), Arc::clone(&self.hub));
        let opening = move || Store::open_claimed(claim, clock, hub);
        let opened = tokio::select! {
            opened = on_disk(&self.stop, "opening", opening) => opened?,
            never = self.attend_opening() => never,
        };
        match opened {
            None | Some(Err(OpenError::Stopped)) => Ok(None),
            Some(Ok(store)) if self.stop.is_cancelled() => {
                self.close(store).await?;
                Ok(None)
            }
            Some(opened) => Ok(Some(opened?)),
        }
    }

    /// Tells the log how far the opening is, and the opening of the stop. Without end.
    async fn attend_opening(&self) -> ! {
        let mut ticks = interval(PROGRESS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while tokio::select! {
            _ = ticks.tick() => true,
            () = self.stop.cancelled() => false,
        } {
            let progress = self.opening.to_string();
            if !progress.is_empty() {
                info!("starting: {progress}");
            }
        }
        self.opening.stop();
        loop {
            std::future::pending::<()>().await;
        }
    }

    async fn close(&self, store: Store) -> Result<(), StartError> {
        on_disk(&self.stop, "closing", move || store.close()).await?;
        Ok(())
    }

    async fn connect(
        &self,
        config: &Config,
        tls: Option<Tls>,
        listening: &Listening,
        store: Store,
    ) -> Result<Option<Running>, StartError> {
        warn_of_clock(store.last_id(), self.clock.as_ref());
        let auth = Auth::new(Arc::clone(&self.clock));
        for declared in &config.token {
            auth.declare(&declared.domain, declared.token());
        }
        let domains = Domains::new(store.clone(), auth.clone(), Arc::clone(&self.clock));
        // Only now that nothing else can fail: a token that is made is told.
        let made = {
            let domains = domains.clone();
            on_disk(&self.stop, "domains", move || domains.start()).await
        };
        let made = match made.and_then(|made| Ok(made.transpose()?)) {
            Ok(Some(made)) => made,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.close(store).await?;
                return Err(error);
            }
        };
        let first_start = made.zip(listening.taken.first());
        let first_start = first_start
            .map(|((domain, token), place)| FirstStart::new(&domains, domain, token, *place));
        let first_start = match first_start.transpose() {
            Ok(first_start) => first_start,
            Err(error) => {
                self.close(store).await?;
                return Err(error.into());
            }
        };
        let sessions = Arc::new(session::Context {
            store,
            hub: Arc::clone(&self.hub),
            auth,
            limits: Arc::clone(&self.limits),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
            rules: service::rules(config),
            outbox_bytes_max: config.outbox_bytes_max,
            ping_interval: config.ping_interval,
            tracker: self.tracker.clone(),
            stop: self.stop.clone(),
        });
        // Before anything comes on top of what is stored.
        let (measured, limits) = (sessions.store.clone(), Arc::clone(&self.limits));
        measuring::begin(measured, limits, self.stop.clone(), &self.tracker).await;
        let app = Arc::new(self.app(config, tls.as_ref(), &sessions));
        listening.open(&app);
        let stop = || self.stop.clone();
        if let Some(tls) = tls.clone() {
            let watching = net::watch(tls, net::watch::INTERVAL, stop());
            self.tracker.spawn(watching);
        }
        orders::take(config, &sessions, &domains, &self.tracker).await?;
        self.tracker.spawn(disk::watch(
            sessions.store.clone(),
            Arc::clone(&self.limits),
            stop(),
        ));
        info!("ready");
        Ok(Some(Running {
            first_start,
            sessions,
            app,
            listening: listening.clone(),
            domains,
            tls,
            tracker: self.tracker.clone(),
        }))
    }

    fn app(&self, config: &Config, tls: Option<&Tls>, sessions: &Arc<session::Context>) -> App {
        let history_open = service::history_open(config);
        let names = Arc::new(OwnNames::new(&config.host, tls));
        let (tls, metrics) = (tls.cloned(), Arc::clone(&self.metrics));
        let log_lines_dropped = Arc::clone(&self.log_lines_dropped);
        App {
            sessions: Arc::clone(sessions),
            history_open,
            observe: Arc::new(move || {
                if let Some(tls) = &tls {
                    tls.count_in(&metrics);
                }
                let dropped = &metrics.log.lines_dropped;
                let total = log_lines_dropped.load(Ordering::Relaxed);
                dropped.inc_by(total.saturating_sub(dropped.get()));
            }),
            cors_origins: config.cors_origins.clone(),
            ws_origins: config.ws_origins.clone(),
            names,
            bodies: Arc::default(),
            messages: Room::default(),
            answers: Arc::default(),
            upgrades_lost: Arc::default(),
            bad_logins: Arc::default(),
            scrapes: Arc::new(Semaphore::new(1)),
        }
    }
}

impl StartError {
    fn interrupted(error: impl std::error::Error) -> Self {
        Self::Interrupted(error.to_string())
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
