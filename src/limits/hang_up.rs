//! Ending a connection to make room for others.

use tokio_util::sync::CancellationToken;

/// Ends the connection that a request came on, whatever it is doing. Requests find it among their
/// extensions. Clones share one signal.
#[derive(Debug, Clone, Default)]
pub struct HangUp(CancellationToken);

impl HangUp {
    /// Tells the connection to end.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Waits for [`HangUp::request`].
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Whether [`HangUp::request`] was called.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }
}
