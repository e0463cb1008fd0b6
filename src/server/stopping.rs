//! Bounded waits of a stop, for connections and for an unresponsive disk.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::error::StartError;
use crate::net;

/// Longest wait of a stop for sessions and requests, whose own bounds are below it: whatever
/// clients do, everything except disk work is over within 5 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(4);

/// Waits a bounded time for the tasks to end.
pub(super) async fn join(tracker: &TaskTracker) {
    tracker.close();
    if timeout(STOP_TIMEOUT, tracker.wait()).await.is_err() {
        let left = tracker.len();
        warn!(left, "some connections did not end in time");
    }
}

/// Runs `work` on a thread of its own; `None` if it was stopped and did not end in time. Abandoned
/// work is as safe as a crash: acknowledged messages are durable.
pub(super) async fn on_disk<T: Send + 'static>(
    stop: &CancellationToken,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>, StartError> {
    let mut working = net::spawn_detached(name, work).map_err(StartError::interrupted)?;
    let done = tokio::select! {
        done = &mut working => done,
        () = stop.cancelled() => match timeout(STOP_TIMEOUT, &mut working).await {
            Ok(done) => done,
            Err(_) => {
                warn!("the start did not end in time: it is left where it is");
                return Ok(None);
            }
        },
    };
    done.map(Some).map_err(StartError::interrupted)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_left_at_a_stop_and_what_ends_in_time_is_not() {
        let stop = CancellationToken::new();
        let (answer, answers) = channel::<()>();
        let hanging = on_disk(&stop, "hanging", move || answers.recv());
        let mut hanging = std::pin::pin!(hanging);
        // Without a stop it is waited for, however long.
        let hour = Duration::from_secs(3600);
        assert!(timeout(hour, &mut hanging).await.is_err());
        stop.cancel();
        assert!(hanging.await.unwrap().is_none());
        drop(answer);

        tokio::time::resume();
        let done = on_disk(&stop, "closing", || 7).await;
        assert_eq!(done.unwrap(), Some(7));
    }
}
