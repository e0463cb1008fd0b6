//! Measures the disk usage of domains with a quota.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::limits::Limits;
use crate::state::State;
use crate::store::Store;

/// How often it looks whether a domain is due.
const TICK: Duration = Duration::from_secs(2);
/// A server that starts waits for so long at most: it serves, and the quotas of those that are not measured yet
/// count what comes.
const FIRST_MAX: Duration = Duration::from_secs(5);

/// Measures from now on, until `stop`; ready when all was measured once, or that takes long.
pub(super) async fn begin(state: &State) {
    let (measured, first) = oneshot::channel();
    let (store, limits) = (state.store.clone(), Arc::clone(&state.limits));
    let measuring = measure_all(store, limits, state.stop.clone(), measured);
    state.tracker.spawn(measuring);
    // An error is the end of the task: there is nothing to wait for.
    let _ = timeout(FIRST_MAX, first).await;
}

async fn measure_all(
    store: Store,
    limits: Arc<Limits>,
    stop: CancellationToken,
    measured: oneshot::Sender<()>,
) {
    let mut measured = Some(measured);
    loop {
        // Cancel-safe: the measuring thread looks at `stop` itself.
        tokio::select! {
            () = stop.cancelled() => return,
            () = measure(&store, &limits, &stop) => {}
        }
        if let Some(measured) = measured.take() {
            // The start may no longer wait.
            let _ = measured.send(());
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Measures the domains that are due.
async fn measure(store: &Store, limits: &Arc<Limits>, stop: &CancellationToken) {
    if limits.quotas().is_off() {
        return;
    }
    let (store, limits, stopped) = (store.clone(), Arc::clone(limits), stop.clone());
    let measured = tokio::task::spawn_blocking(move || {
        let domains = store.domains().into_iter().map(|record| record.domain);
        let is_stopped = || stopped.is_cancelled();
        let quotas = limits.quotas();
        quotas.measure(domains, |domain| store.usage(domain, &is_stopped))
    });
    if let Ok(Err(error)) = measured.await
        && !stop.is_cancelled()
    {
        error!(%error, "what a domain stores cannot be measured");
    }
}
