//! Measures now and then what domains with a quota store.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::limits::Limits;
use crate::store::Store;

/// How often it looks whether a domain is due.
const TICK: Duration = Duration::from_secs(2);

/// Measures the domains that are due.
pub(super) async fn measure(store: &Store, limits: &Arc<Limits>) {
    if limits.quotas().is_off() {
        return;
    }
    let (store, limits) = (store.clone(), Arc::clone(limits));
    let measured = tokio::task::spawn_blocking(move || {
        let domains = store.domains().into_iter().map(|record| record.domain);
        let quotas = limits.quotas();
        quotas.measure(domains, |domain| store.usage(domain))
    });
    if let Ok(Err(error)) = measured.await {
        error!(%error, "what a domain stores cannot be measured");
    }
}

/// Does so until `stop`.
pub(super) async fn go_on(store: Store, limits: Arc<Limits>, stop: CancellationToken) {
    loop {
        // Both are cancel-safe.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        measure(&store, &limits).await;
    }
}
