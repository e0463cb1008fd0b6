//! The end of a connection for the sake of others.

use tokio_util::sync::CancellationToken;

/// Ends the connection that a request came on, whatever it is at; a request finds it among its
/// extensions. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct HangUp(CancellationToken);

impl HangUp {
    /// The connection is to end.
    pub fn now(&self) {
        self.0.cancel();
    }

    /// Waits until that is said.
    pub async fn said(&self) {
        self.0.cancelled().await;
    }

    /// Whether it was.
    pub fn is_said(&self) -> bool {
        self.0.is_cancelled()
    }
}
