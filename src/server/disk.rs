//! Watches free disk space, for the floor below which user tokens may not send.

use tracing::debug;

use crate::limits::DISK_CHECK_INTERVAL;
use crate::state::State;

/// Runs until the stop. While the file system does not answer, the last value stands.
pub(super) async fn watch(state: State) {
    let (store, limits) = (&state.store, &state.limits);
    let watching = async {
        loop {
            let store = store.clone();
            match tokio::task::spawn_blocking(move || store.disk_room()).await {
                Ok(Ok(room)) => limits.update_disk(room.free, room.total),
                Ok(Err(error)) => debug!(%error, "the disk cannot be looked at"),
                Err(error) => debug!(%error, "a look at the disk was interrupted"),
            }
            tokio::time::sleep(DISK_CHECK_INTERVAL).await;
        }
    };
    state.stop.run_until_cancelled(watching).await;
}
