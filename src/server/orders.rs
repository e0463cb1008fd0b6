//! The admin socket: without it the server still serves, but its command line cannot reach it.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::StartError;
use super::waiting::on_disk;
use crate::admin::{self, AdminSocket, Live, Site};
use crate::command::domains::Domains;
use crate::config::Config;
use crate::model::Domain;
use crate::session;

/// Listens on it.
pub(super) async fn take(
    config: &Config,
    sessions: &Arc<session::Context>,
    domains: &Domains,
    tracker: &TaskTracker,
) -> Result<(), StartError> {
    let site = Site::new(&config.data, config.socket.clone());
    let runtime = Handle::current();
    let bind = move || {
        let _entered = runtime.enter();
        AdminSocket::bind(&site)
    };
    let socket = match on_disk(&sessions.stop, "socket", bind).await? {
        Some(Ok(socket)) => socket,
        Some(Err(error)) => {
            warn!(%error, "the admin socket cannot be made, and no command reaches this server: name another place for it (--socket)");
            return Ok(());
        }
        None => return Ok(()),
    };
    let hub = Arc::clone(&sessions.hub);
    let context = admin::Context {
        domains: domains.clone(),
        changed: Arc::new(move |domain: &Domain| hub.recheck(domain)),
        live: Live {
            store: sessions.store.clone(),
            hub: Arc::clone(&sessions.hub),
            metrics: Arc::clone(&sessions.metrics),
            started_at_ms: sessions.clock.now_ms(),
        },
    };
    let stop = sessions.stop.clone();
    tracker.spawn(admin::serve(socket, context, tracker.clone(), stop));
    Ok(())
}
