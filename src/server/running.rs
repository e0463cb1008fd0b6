//! A server that runs, until its orderly end.

use std::sync::Arc;

use tokio_util::task::TaskTracker;
use tracing::{error, info};

use super::{FirstStart, end};
use crate::command::domains::Domains;
use crate::config::Config;
use crate::net::Tls;
use crate::protocol::close::CloseReason;
use crate::session;

/// A server whose service is open.
pub struct Running {
    /// Set at the first start with no domain.
    pub first_start: Option<FirstStart>,
    /// Where it listens, as URLs: `https://ADDR:PORT`, and `http://ADDR:PORT` for `plain`.
    pub addresses: Vec<String>,
    /// Where metrics are served apart, as a URL.
    pub metrics_address: Option<String>,
    pub(super) sessions: Arc<session::Context>,
    pub(super) domains: Domains,
    pub(super) tls: Tls,
    pub(super) tracker: TaskTracker,
}

impl Running {
    /// Reads the certificates again, declares the tokens of new settings and takes over their
    /// retention and limits. What of the settings cannot change while running is left as it is.
    pub async fn reload(&self, config: &Config) {
        // Their files may not answer.
        self.tls.ask_reload();
        let declared = config
            .token
            .iter()
            .map(|declared| (&declared.domain, declared.token()));
        let changed = self.sessions.auth.redeclare(declared);
        self.sessions.store.set_retention(config.retention.clone());
        self.sessions.limits.reload(config.limits.clone());
        let domains = self.domains.clone();
        match tokio::task::spawn_blocking(move || domains.ensure_declared()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "a declared domain cannot be stored"),
            Err(error) => error!(%error, "declaring domains was interrupted"),
        }
        for domain in &changed {
            self.sessions.hub.recheck(domain);
        }
    }

    /// Stops accepting, closes the sessions with 1001, makes everything durable.
    pub async fn shutdown(self) {
        info!("stopping");
        self.sessions.stop.cancel();
        self.sessions.hub.close_all(&CloseReason::ShuttingDown);
        end(&self.tracker).await;
        let store = self.sessions.store.clone();
        if tokio::task::spawn_blocking(move || store.close())
            .await
            .is_err()
        {
            error!("closing the store was interrupted");
        }
    }
}
