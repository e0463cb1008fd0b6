//! A server that runs, until its orderly end.

use tracing::{error, info};

use super::first_start::FirstStart;
use super::listening::Listening;
use super::{settings, stopping};
use crate::command::domains::Domains;
use crate::config::Config;
use crate::net::{self, Tls};
use crate::protocol::close::CloseReason;
use crate::state::State;

/// A server whose service is open.
pub struct Running {
    /// Set at the first start with no domain.
    pub first_start: Option<FirstStart>,
    /// That of the start; a reload serves it with new settings.
    pub(super) state: State,
    pub(super) listening: Listening,
    pub(super) domains: Domains,
    /// Without it only `plain` is listened on.
    pub(super) tls: Option<Tls>,
}

impl Running {
    /// The URLs of the service: `https://ADDR:PORT`, and `http://ADDR:PORT` for `plain`.
    pub fn addresses(&self) -> impl Iterator<Item = String> {
        self.listening.endpoints.iter().map(ToString::to_string)
    }

    /// The URL of the metrics, if they are served apart.
    pub fn metrics_address(&self) -> Option<String> {
        self.listening
            .metrics_endpoint
            .map(|endpoint| endpoint.to_string())
    }

    /// Reads the certificates again, and takes over declared tokens and other settings for the logins and
    /// requests to come. Settings that need a restart stay as they are.
    pub async fn reload(&self, config: &Config) {
        if let Some(tls) = &self.tls {
            // Its files may not answer.
            tls.ask_reload();
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

    /// Stops accepting, closes the sessions with 1001, makes everything durable. Waits for the disk, however
    /// long; killing the process meanwhile is as safe as a crash.
    pub async fn shutdown(self) {
        info!("stopping");
        self.state.stop.cancel();
        self.state.hub.close_all(&CloseReason::ShuttingDown);
        stopping::join(&self.state.tracker).await;
        let store = self.state.store.clone();
        // Not behind reads that may hang.
        let is_closed = match net::apart("closing", move || store.close()) {
            Ok(closed) => closed.await.is_ok(),
            Err(_) => false,
        };
        if !is_closed {
            error!("closing the store was interrupted");
        }
    }
}
