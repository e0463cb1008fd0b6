//! A service without ports: its router is called in memory, by tests and by a program that embeds it.

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
use crate::http::origin::Over;
use crate::http::router;
use crate::state::State;
use crate::store::Store;

/// The service of these settings, without sockets, TLS and the tasks beside it: nobody watches the disk, and quotas
/// count what comes.
///
/// Dropping it is like a crash for its store; `state.store.close()` is not.
pub struct Embedded {
    /// What its requests share.
    pub state: State,
    /// Its domains, to be administered.
    pub domains: Domains,
    gate: Gate,
    starting: Arc<Starting>,
}

impl Embedded {
    /// Opens the data directory and declares the domains of the settings, for which the store has to be writable. Asks
    /// no running server whether the directory is its own; the store's lock does. Blocks on the disk.
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

    /// The routes and layers of a listener. Each request needs its [`Visitor`](crate::limits::Visitor) as an extension.
    pub fn router(&self, over: Over) -> Router {
        self.gate.router(Arc::clone(&self.starting), over)
    }
}
