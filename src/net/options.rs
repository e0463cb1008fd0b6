//! The bounds of a listener.

use std::time::Duration;

/// Timeouts of one connection.
#[derive(Debug, Clone, Copy)]
pub struct NetOptions {
    /// From the first byte of TCP to the last of the TLS handshake.
    pub handshake_timeout: Duration,
    /// For a request's head: from the start of the connection, or from the head's first byte.
    pub head_timeout: Duration,
    /// For handling a request, and for each pause of a peer that reads the response.
    pub answer_timeout: Duration,
    /// For an idle connection between two requests.
    pub idle_timeout: Duration,
    /// For unacknowledged TCP data; longer than a session's own limit.
    pub user_timeout: Duration,
}

impl Default for NetOptions {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(60),
            // Longer than load balancers keep idle connections to a backend, mostly 60 s. A connection closed here just
            // as the balancer sends a request would show up as an error at its client.
            idle_timeout: Duration::from_secs(75),
            user_timeout: Duration::from_secs(120),
        }
    }
}

impl NetOptions {
    /// The defaults, adjusted to sessions that survive four such intervals of silence: TCP must not give up first.
    pub fn with_ping_interval(interval: Duration) -> Self {
        let defaults = Self::default();
        Self {
            user_timeout: defaults.user_timeout.max(interval * 5),
            ..defaults
        }
    }
}
