//! What sessions and requests share, from the opening of the service to its stop.
//!
//! Only holds. A reload makes another one, with new settings and everything else the same; sessions and
//! requests that have begun keep theirs.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::clock::Clock;
use crate::command::send::SendPath;
use crate::config::origins::OriginPattern;
use crate::hub::Hub;
use crate::limits::{AnswerPermits, BodyPermits, Limits, Throttle};
use crate::metrics::Metrics;
use crate::protocol::client_frame::FrameRules;
use crate::store::Store;
use crate::websocket::MessageBudget;

/// Clones are one.
#[derive(Clone)]
pub struct State(Arc<Shared>);

/// What a [`State`] holds.
#[derive(Clone)]
pub struct Shared {
    /// Settings that a reload changes.
    pub settings: Arc<Settings>,
    /// Messages and cursors.
    pub store: Store,
    /// Sessions.
    pub hub: Arc<Hub>,
    /// Tokens.
    pub auth: Auth,
    /// Limits for strangers.
    pub limits: Arc<Limits>,
    /// Bounds of memory and work.
    pub permits: Arc<Permits>,
    /// Counters and gauges.
    pub metrics: Arc<Metrics>,
    /// Sets gauges whose values are known elsewhere; must not block.
    pub observe: Arc<dyn Fn() + Send + Sync>,
    /// Lines of the log that would come too often.
    pub throttles: Arc<Throttles>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The names of the server.
    pub names: Arc<dyn Names>,
    /// Where tasks of sessions are spawned.
    pub tracker: TaskTracker,
    /// Set when the server stops.
    pub stop: CancellationToken,
}

/// Settings of sessions and requests.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What frames may hold.
    pub rules: Arc<FrameRules>,
    /// Most bytes waiting to be written to a session, and most bytes of its sends in flight.
    pub outbox_bytes_max: usize,
    /// Time without any input after which a Ping is sent.
    pub ping_interval: Duration,
    /// Set where `GET /message-log` needs no token: origins, beside the server's own, whose pages read
    /// without one.
    pub history_open: Option<Vec<OriginPattern>>,
    /// Origins whose scripts may read answers.
    pub cors_origins: Vec<OriginPattern>,
    /// Origins whose scripts may open a WebSocket; empty: all.
    pub ws_origins: Vec<OriginPattern>,
}

/// Permits of all sessions and requests together.
#[derive(Debug)]
pub struct Permits {
    /// Bodies of requests that are being read.
    pub bodies: BodyPermits,
    /// Unfinished messages of sessions.
    pub messages: MessageBudget,
    /// Answers of history on their way.
    pub answers: AnswerPermits,
    /// Gathering of metrics: one at a time.
    pub scrapes: Semaphore,
}

/// One line of the log in place of many.
#[derive(Debug, Default)]
pub struct Throttles {
    /// Logins that have lost their upgrade on the way.
    pub upgrades_lost: Throttle,
    /// Logins that cannot be read.
    pub bad_logins: Throttle,
}

/// The names of DNS that the server goes by: those of the settings and of its certificate.
pub trait Names: Send + Sync {
    /// Whether this is one of them.
    fn hold(&self, host: &str) -> bool;
    /// Whether this is one of them, or a wildcard among them stands for it.
    fn cover(&self, host: &str) -> bool;
}

impl State {
    /// The state that a service begins with.
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// The same with other settings.
    pub fn reloaded(&self, settings: Settings) -> Self {
        Self::new(Shared {
            settings: Arc::new(settings),
            ..Shared::clone(self)
        })
    }

    /// The stations of a send, of this state.
    pub fn send_path(&self) -> SendPath<'_> {
        SendPath {
            limits: &self.limits,
            hub: &self.hub,
            store: &self.store,
        }
    }
}

impl Deref for State {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Default for Permits {
    fn default() -> Self {
        Self {
            bodies: BodyPermits::default(),
            messages: MessageBudget::default(),
            answers: AnswerPermits::default(),
            scrapes: Semaphore::new(1),
        }
    }
}
