//! The admin socket. A server without it serves, but is out of reach of its command line.

use std::sync::Arc;

use tokio::runtime::Handle;
use tracing::warn;

use super::error::StartError;
use super::stopping::on_disk;
use crate::admin::{self, AdminSocket, Live, Site};
use crate::command::domains::Domains;
use crate::config::Config;
use crate::model::Domain;
use crate::state::State;

pub(super) async fn listen(
    config: &Config,
    state: &State,
    domains: &Domains,
) -> Result<(), StartError> {
    let site = Site::new(&config.data, config.socket.clone());
    let runtime = Handle::current();
    let bind = move || {
        let _entered = runtime.enter();
        AdminSocket::bind(&site)
    };
    let socket = match on_disk(&state.stop, "socket", bind).await? {
        Some(Ok(socket)) => socket,
        Some(Err(error)) => {
            warn!(%error, "the admin socket cannot be made, and no command reaches this server: name another place for it (--socket)");
            return Ok(());
        }
        None => return Ok(()),
    };
    let hub = Arc::clone(&state.hub);
    let orders = admin::Orders {
        domains: domains.clone(),
        changed: Arc::new(move |domain: &Domain| hub.recheck(domain)),
        live: Live {
            store: state.store.clone(),
            hub: Arc::clone(&state.hub),
            metrics: Arc::clone(&state.metrics),
            started_at_ms: state.clock.now_ms(),
        },
    };
    let stop = state.stop.clone();
    let tracker = &state.tracker;
    tracker.spawn(admin::serve(socket, orders, tracker.clone(), stop));
    Ok(())
}
