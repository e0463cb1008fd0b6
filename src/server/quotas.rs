//! Measures the disk usage of domains with a quota.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::state::State;

/// Interval of checks for domains that are due.
const TICK: Duration = Duration::from_secs(2);
/// Longest wait of a start: the server then serves regardless, and a quota not measured yet counts
/// new messages only.
const FIRST_MAX: Duration = Duration::from_secs(5);

/// Measures from now on, until the stop. Returns after the first round, or once that takes too long.
pub(super) async fn begin(state: &State) {
    let first = state.stop.child_token();
    let measuring = measure_all(state.clone(), first.clone());
    state.tracker.spawn(measuring);
    // Late or not, the service begins.
    let _ = timeout(FIRST_MAX, first.cancelled()).await;
}

/// Cancels `first` after the first round.
async fn measure_all(state: State, first: CancellationToken) {
    let measuring = async {
        loop {
            measure(&state).await;
            first.cancel();
            tokio::time::sleep(TICK).await;
        }
    };
    // Cancel-safe: the measuring thread checks the stop itself.
    state.stop.run_until_cancelled(measuring).await;
}

/// Measures the domains that are due.
async fn measure(state: &State) {
    if state.limits.quotas().is_off() {
        return;
    }
    let shared = state.clone();
    let measured = tokio::task::spawn_blocking(move || {
        let domains = shared.store.domains().into_iter();
        let domains = domains.map(|record| record.domain);
        let is_stopped = || shared.stop.is_cancelled();
        let quotas = shared.limits.quotas();
        quotas.measure(domains, |domain| shared.store.usage(domain, &is_stopped))
    });
    if let Ok(Err(error)) = measured.await
        && !state.stop.is_cancelled()
    {
        error!(%error, "what a domain stores cannot be measured");
    }
}
