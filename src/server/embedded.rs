//! A service without ports: its router is called in memory, by tests or an embedding program.

use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;

use super::error::StartError;
use super::ground::Ground;
use super::service;
use crate::clock::Clock;
use crate::command::domains::Domains;
use crate::config::Config;
use crate::http::gate::{Gate, Starting};
use crate::http::origin::Transport;
use crate::http::router;
use crate::state::State;
use crate::store::Store;

/// A service with these settings, without sockets, TLS and background tasks: free disk space is not
/// watched, and quotas count from zero.
///
/// To its store, dropping it is a crash; `state.store.close()` is not.
pub struct Embedded {
    /// State shared by its requests.
    pub state: State,
    /// Its domains, for administration.
    pub domains: Domains,
    gate: Gate,
    starting: Arc<Starting>,
}

impl Embedded {
    /// Opens the data directory and declares the domains of the settings, which needs a writable
    /// store. Relies on the store's lock alone to exclude other servers. Blocks on disk.
    ///
    /// # Errors
    /// [`StartError::Store`], [`StartError::Domains`].
    pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let ground = Ground::new(config, clock, Arc::default(), CancellationToken::new());
        let (clock, hub) = (Arc::clone(&ground.clock), Arc::clone(&ground.hub));
        let store = Store::open(ground.store_options(config), clock, hub)?;
        let auth = service::auth(&ground, config);
        let domains = Domains::new(store.clone(), auth.clone(), Arc::clone(&ground.clock));
        domains.ensure_declared()?;
        let state = service::state(&ground, config, None, store, auth);
        let gate = Gate::default();
        gate.open(router(state.clone(), config.metrics_listen.is_none()));
        Ok(Self {
            state,
            domains,
            gate,
            starting: ground.starting(config),
        })
    }

    /// The routes and layers of a listener. Each request needs its
    /// [`Visitor`](crate::limits::Visitor) as an extension.
    pub fn router(&self, transport: Transport) -> Router {
        self.gate.router(Arc::clone(&self.starting), transport)
    }
}
