//! The part of a server that exists before its store, and opens the store.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::error::StartError;
use super::settings;
use super::stopping::on_disk;
use super::store_options::store_options;
use crate::admin::{self, Site};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::gate::Starting;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::model::MessageType;
use crate::net::{self, Tls};
use crate::session;
use crate::store::{Claim, OpenError, Opening, Store, StoreOptions};

/// Interval of the log lines about a long start.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Ground {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) hub: Arc<Hub>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) limits: Arc<Limits>,
    opening: Arc<Opening>,
    pub(super) log_lines_dropped: Arc<AtomicU64>,
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Ground {
    pub(super) fn new(
        config: &Config,
        clock: Arc<dyn Clock>,
        log_lines_dropped: Arc<AtomicU64>,
        stop: CancellationToken,
    ) -> Self {
        let types = MessageType::BASE.iter().chain(&config.types);
        let types: Vec<u32> = types.map(|kind| kind.0).collect();
        let metrics = Arc::new(Metrics::new(&types));
        session::count_from_zero(&metrics);
        let limits = settings::hub_limits(config);
        Self {
            clock,
            hub: Arc::new(Hub::new(limits, Arc::clone(&metrics))),
            limits: Arc::new(Limits::new(config.limits.clone(), Arc::clone(&metrics))),
            metrics,
            opening: Arc::default(),
            log_lines_dropped,
            tracker: TaskTracker::new(),
            stop,
        }
    }

    /// Claims the data directory and, for TLS, reads the certificates; `None`: stopped.
    pub(super) async fn judge(
        &self,
        config: &Config,
    ) -> Result<Option<(Claim, Option<Tls>)>, StartError> {
        let options = self.store_options(config);
        let (certs, hosts) = (config.certs.clone(), config.host.clone());
        let with_tls = config.listen.is_some();
        let clock = Arc::clone(&self.clock);
        let judging = net::spawn_detached("judging", move || -> Result<_, StartError> {
            // An earlier version whose LOCK file was removed holds no lock, but still answers.
            if admin::answers(&Site::new(&options.dir, None)) {
                return Err(OpenError::InUse(options.dir).into());
            }
            let claim = Claim::take(options)?;
            let tls = with_tls.then(|| Tls::open_by(&certs, &hosts, clock));
            Ok((claim, tls.transpose()?))
        });
        let judging = judging.map_err(StartError::interrupted)?;
        match self.stop.run_until_cancelled(judging).await {
            Some(judged) => judged.map_err(StartError::interrupted)?.map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn store_options(&self, config: &Config) -> StoreOptions {
        StoreOptions {
            metrics: Arc::clone(&self.metrics),
            opening: Arc::clone(&self.opening),
            ..store_options(config)
        }
    }

    pub(super) fn starting(&self, config: &Config) -> Arc<Starting> {
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

    /// Opens the store; `None`: stopped. A stop waits for it only a limited time: acknowledged
    /// messages are durable.
    pub(super) async fn open(&self, claim: Claim) -> Result<Option<Store>, StartError> {
        let (clock, hub) = (Arc::clone(&self.clock), Arc::clone(&self.hub));
        let opening = move || Store::open_claimed(claim, clock, hub);
        let opened = tokio::select! {
            opened = on_disk(&self.stop, "opening", opening) => opened?,
            never = self.watch_opening() => never,
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

    /// Logs the progress of opening, and passes on the stop. Never returns.
    async fn watch_opening(&self) -> ! {
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
        match std::future::pending::<Infallible>().await {}
    }

    pub(super) async fn close(&self, store: Store) -> Result<(), StartError> {
        on_disk(&self.stop, "closing", move || store.close()).await?;
        Ok(())
    }
}
