//! Creates and connects everything: the only module that knows all rooms.
//!
//! The data directory and the certificates are checked first. Then the ports are bound and answer
//! "starting" while the store is opened, which may take long, and the service is connected to it. A
//! stop is honoured at every step.

mod admin_socket;
mod disk;
mod embedded;
mod error;
mod first_start;
mod ground;
mod listening;
mod memory;
mod quotas;
mod running;
mod service;
mod settings;
mod stopping;
mod store_options;

pub use embedded::Embedded;
pub use error::{StartError, refused_port};
pub use first_start::FirstStart;
pub use running::Running;
pub use store_options::store_options;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::{Clock, SystemClock};
use crate::command::domains::Domains;
use crate::config::Config;
use crate::model::MsgId;
use crate::net::{self, Tls};
use crate::store::Store;
use ground::Ground;
use listening::{Listening, Ports};

/// A clock that lags the newest message by more than this causes a warning: until it has caught up,
/// messages carry times in its future.
pub const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(60);

/// Starts a server, which runs until `stop`; `None` if stopped before it was ready.
/// `log_lines_dropped` is counted by the log's writer.
///
/// # Errors
/// Nothing is left running.
pub async fn start(
    config: Config,
    log_lines_dropped: Arc<AtomicU64>,
    stop: CancellationToken,
) -> Result<Option<Running>, StartError> {
    let ground = Ground::new(&config, Arc::new(SystemClock), log_lines_dropped, stop);
    let Some((claim, tls)) = ground.judge(&config).await? else {
        return Ok(None);
    };
    let ports = Ports::bind(&config)?;
    let starting = ground.starting(&config);
    let listening = ports.answer(&config, &ground, tls.as_ref(), &starting);
    let started = match ground.open(claim).await {
        Ok(Some(store)) => connect(&ground, &config, tls, listening, store).await,
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    if !matches!(started, Ok(Some(_))) {
        ground.stop.cancel();
        stopping::join(&ground.tracker).await;
    }
    started
}

/// Connects an open store to a service that is ready; `None`: stopped.
async fn connect(
    ground: &Ground,
    config: &Config,
    tls: Option<Tls>,
    listening: Listening,
    store: Store,
) -> Result<Option<Running>, StartError> {
    warn_of_clock(store.last_id(), ground.clock.as_ref());
    let auth = service::auth(ground, config);
    let domains = Domains::new(store.clone(), auth.clone(), Arc::clone(&ground.clock));
    let first_start = match FirstStart::begin(&domains, &listening, &ground.stop).await {
        Ok(Some(first_start)) => first_start,
        Ok(None) => return Ok(None),
        Err(error) => {
            ground.close(store).await?;
            return Err(error);
        }
    };
    let state = service::state(ground, config, tls.as_ref(), store, auth);
    // Before any message is added.
    quotas::begin(&state).await;
    listening.open(&state);
    if let Some(tls) = &tls {
        let watching = net::watch(tls.clone(), net::watch::INTERVAL, state.stop.clone());
        state.tracker.spawn(watching);
    }
    admin_socket::listen(config, &state, &domains).await?;
    state.tracker.spawn(disk::watch(state.clone()));
    info!("ready");
    Ok(Some(Running {
        first_start,
        state,
        listening,
        domains,
        tls,
    }))
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
