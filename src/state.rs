//! State shared by sessions and requests while the service is open.
//!
//! No behaviour. A reload creates a copy with new settings; sessions and requests in progress keep
//! theirs.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
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

/// The shared state. Clones share one.
#[derive(Clone)]
pub struct State(Arc<Shared>);

/// The contents of a [`State`].
#[derive(Clone)]
pub struct Shared {
    /// Settings that a reload can change.
    pub settings: Arc<Settings>,
    /// The store.
    pub store: Store,
    /// Sessions online.
    pub hub: Arc<Hub>,
    /// Tokens and keys of the domains.
    pub auth: Auth,
    /// Rates, quotas and connection limits.
    pub limits: Arc<Limits>,
    /// Permits that bound memory and concurrency.
    pub permits: Arc<Permits>,
    /// Counters and gauges.
    pub metrics: Arc<Metrics>,
    /// Updates metrics whose values are kept elsewhere; must not block.
    pub observe: Arc<dyn Fn() + Send + Sync>,
    /// Throttles of repeated log lines.
    pub throttles: Arc<Throttles>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The server's own names.
    pub names: Arc<dyn Names>,
    /// Tracks the tasks of sessions.
    pub tracker: TaskTracker,
    /// Set when the server stops.
    pub stop: CancellationToken,
}

/// Settings of sessions and requests.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Limits on frames.
    pub rules: Arc<FrameRules>,
    /// Most bytes waiting to be written to a session, and most bytes of its sends in flight.
    pub outbox_bytes_max: usize,
    /// Time without any input after which a Ping is sent.
    pub ping_interval: Duration,
    /// Set if `GET /message-log` needs no token: origins, beside the server's own, whose pages may
    /// read without one.
    pub history_open: Option<Vec<OriginPattern>>,
    /// Origins whose scripts may read answers.
    pub cors_origins: Vec<OriginPattern>,
    /// Origins whose scripts may open a WebSocket; empty: all.
    pub ws_origins: Vec<OriginPattern>,
}

/// Permits of all sessions and requests together.
#[derive(Debug, Default)]
pub struct Permits {
    /// Memory of request bodies.
    pub bodies: BodyPermits,
    /// Memory of unfinished messages.
    pub messages: MessageBudget,
    /// History answers in flight.
    pub answers: AnswerPermits,
    /// The turn to gather metrics: one at a time.
    pub scrapes: Mutex<()>,
}

/// Throttles of repeated log lines.
#[derive(Debug, Default)]
pub struct Throttles {
    /// Logins that lost their upgrade on the way.
    pub upgrades_lost: Throttle,
    /// Malformed logins.
    pub bad_logins: Throttle,
}

/// The server's DNS names: those in the settings and in its certificate.
pub trait Names: Send + Sync {
    /// Whether this is one of the names.
    fn hold(&self, host: &str) -> bool;
    /// Whether this is one of the names, or matches a wildcard among them.
    fn cover(&self, host: &str) -> bool;
}

impl State {
    /// The initial state of a service.
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// A copy with other settings.
    pub fn reloaded(&self, settings: Settings) -> Self {
        Self::new(Shared {
            settings: Arc::new(settings),
            ..Shared::clone(self)
        })
    }

    /// The parts of the server that a send passes through.
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
