//! The bounds of a listener.

use std::time::Duration;

/// The bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct NetOptions {
    /// From the first byte of TCP to the last of the TLS handshake.
    pub handshake_timeout: Duration,
    /// For a request's head: from the start of the connection, or from its first byte.
    pub head_timeout: Duration,
    /// For carrying a request out, and between two bytes of its answer that the peer takes.
    pub answer_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// How long TCP bears that a peer takes nothing; longer than a session does.
    pub user_timeout: Duration,
}

impl Default for NetOptions {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(60),
            // Longer than balancers keep idle connections to a backend, most of them 60 s: one that was closed here just
            // as it sends a request there would be its client's error.
            idle_timeout: Duration::from_secs(75),
            user_timeout: Duration::from_secs(120),
        }
    }
}

impl NetOptions {
    /// The defaults, where sessions bear four such intervals of silence: TCP must not be the first to give up.
    pub fn with_ping_interval(interval: Duration) -> Self {
        let defaults = Self::default();
        Self {
            user_timeout: defaults.user_timeout.max(interval * 5),
            ..defaults
        }
    }
}
