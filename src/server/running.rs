//! A running server, until its orderly end.

use tracing::{error, info};

use super::first_start::FirstStart;
use super::listening::Listening;
use super::{settings, stopping};
use crate::command::domains::Domains;
use crate::config::Config;
use crate::net::{self, Tls};
use crate::protocol::close::CloseReason;
use crate::state::State;

/// A server that is open for requests.
pub struct Running {
    /// Set on the first start, when there was no domain.
    pub first_start: Option<FirstStart>,
    /// The state of the start; a reload serves a copy with new settings.
    pub(super) state: State,
    pub(super) listening: Listening,
    pub(super) domains: Domains,
    /// `None`: only `plain` is served.
    pub(super) tls: Option<Tls>,
}

impl Running {
    /// The URLs of the service: `https://ADDR:PORT`, and `http://ADDR:PORT` for `plain`.
    pub fn addresses(&self) -> impl Iterator<Item = String> {
        self.listening.endpoints.iter().map(ToString::to_string)
    }

    /// URL of the metrics, if they have a listener of their own.
    pub fn metrics_address(&self) -> Option<String> {
        self.listening
            .metrics_endpoint
            .map(|endpoint| endpoint.to_string())
    }

    /// Reloads the certificates, and applies declared tokens and other settings to new logins and
    /// requests. Settings that need a restart stay.
    pub async fn reload(&self, config: &Config) {
        if let Some(tls) = &self.tls {
            // Does not wait: the files may not answer.
            tls.request_reload();
        }
        let declared = config
            .token
            .iter()
            .map(|declared| (&declared.domain, declared.token()));
        let changed = self.state.auth.redeclare(declared);
        self.state.limits.reload(config.limits.clone());
        self.state.hub.set_limits(settings::hub_limits(config));
        let reloaded = settings::reloaded(&self.state.settings, config);
        self.listening.open(&self.state.reloaded(reloaded));
        let (store, domains) = (self.state.store.clone(), self.domains.clone());
        let retention = config.retention.clone();
        // Both may wait for the disk.
        let stored = tokio::task::spawn_blocking(move || {
            store.set_retention(retention);
            domains.ensure_declared()
        });
        match stored.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "a declared domain cannot be stored"),
            Err(error) => error!(%error, "declaring domains was interrupted"),
        }
        for domain in &changed {
            self.state.hub.recheck(domain);
        }
    }

    /// Stops accepting, closes the sessions with 1001, and makes everything durable. Waits for the
    /// disk without limit; killing the process meanwhile is as safe as a crash.
    pub async fn shutdown(self) {
        info!("stopping");
        self.state.stop.cancel();
        self.state.hub.close_all(&CloseReason::ShuttingDown);
        stopping::join(&self.state.tracker).await;
        let store = self.state.store.clone();
        // On a thread of its own: reads that hang may occupy all others.
        let is_closed = match net::spawn_detached("closing", move || store.close()) {
            Ok(closed) => closed.await.is_ok(),
            Err(_) => false,
        };
        if !is_closed {
            error!("closing the store was interrupted");
        }
    }
}
