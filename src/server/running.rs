//! A server that runs, until its orderly end.

use std::sync::Arc;

use tokio_util::task::TaskTracker;
use tracing::{error, info};

use super::listening::Listening;
use super::{FirstStart, end, service};
use crate::command::domains::Domains;
use crate::config::Config;
use crate::http::App;
use crate::net::{self, Tls};
use crate::protocol::close::CloseReason;
use crate::session;

/// A server whose service is open.
pub struct Running {
    /// Set at the first start with no domain.
    pub first_start: Option<FirstStart>,
    pub(super) sessions: Arc<session::Context>,
    /// What is served since the start; a reload serves what new settings make of it.
    pub(super) app: Arc<App>,
    pub(super) listening: Listening,
    pub(super) domains: Domains,
    /// Without it only `plain` is listened on.
    pub(super) tls: Option<Tls>,
    pub(super) tracker: TaskTracker,
}

impl Running {
    /// Where it listens, as URLs: `https://ADDR:PORT`, and `http://ADDR:PORT` for `plain`.
    pub fn addresses(&self) -> impl Iterator<Item = String> {
        self.listening.taken.iter().map(ToString::to_string)
    }

    /// Where metrics are served apart, as a URL.
    pub fn metrics_address(&self) -> Option<String> {
        self.listening.metrics_taken.map(|place| place.to_string())
    }

    /// Reads the certificates again, declares the tokens of new settings and takes over the others, for the
    /// logins and requests to come. What of the settings cannot change while running is left as it is.
    pub async fn reload(&self, config: &Config) {
        if let Some(tls) = &self.tls {
            // Its files may not answer.
            tls.ask_reload();
        }
        let declared = config
            .token
            .iter()
            .map(|declared| (&declared.domain, declared.token()));
        let changed = self.sessions.auth.redeclare(declared);
        self.sessions.limits.reload(config.limits.clone());
        self.sessions.hub.set_limits(service::hub_limits(config));
        let app = service::reloaded(&self.app, config);
        self.listening.open(&Arc::new(app));
        let (store, domains) = (self.sessions.store.clone(), self.domains.clone());
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
            self.sessions.hub.recheck(domain);
        }
    }

    /// Stops accepting, closes the sessions with 1001, makes everything durable. Waits for the
    /// disk, however long: who does not want to may end the process meanwhile, as a crash would.
    pub async fn shutdown(self) {
        info!("stopping");
        self.sessions.stop.cancel();
        self.sessions.hub.close_all(&CloseReason::ShuttingDown);
        end(&self.tracker).await;
        let store = self.sessions.store.clone();
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
