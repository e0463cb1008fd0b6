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

/// Interval of checks for domains that are due.
const TICK: Duration = Duration::from_secs(2);
/// Longest wait of a start: the server then serves regardless, and a quota not measured yet counts
/// new messages only.
const FIRST_MAX: Duration = Duration::from_secs(5);

/// Measures from now on, until `stop`. Returns after the first round, or once that takes too long.
pub(super) async fn begin(state: &State) {
    let (measured, first) = oneshot::channel();
    let (store, limits) = (state.store.clone(), Arc::clone(&state.limits));
    let measuring = measure_all(store, limits, state.stop.clone(), measured);
    state.tracker.spawn(measuring);
    // An error means that the task has ended.
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
        // Cancel-safe: the measuring thread checks `stop` itself.
        tokio::select! {
            () = stop.cancelled() => return,
            () = measure(&store, &limits, &stop) => {}
        }
        if let Some(measured) = measured.take() {
            // The start may have stopped waiting.
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
