//! Ending a connection to make room for others.

use tokio_util::sync::CancellationToken;

/// Ends the connection that a request came on, whatever it is doing. Requests find it among their
/// extensions. Clones share one signal.
#[derive(Debug, Clone, Default)]
pub struct HangUp(CancellationToken);

impl HangUp {
    /// Tells the connection to end.
    pub fn now(&self) {
        self.0.cancel();
    }

    /// Waits for [`HangUp::now`].
    pub async fn said(&self) {
        self.0.cancelled().await;
    }

    /// Whether [`HangUp::now`] was called.
    pub fn is_said(&self) -> bool {
        self.0.is_cancelled()
    }
}
