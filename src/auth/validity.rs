//! Remaining validity of a token.

/// Remaining validity of a token; times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Revoked or expired.
    Ended,
    /// Valid without expiry.
    Forever,
    /// Expires at that time.
    Until(u64),
}

impl Validity {
    pub(super) fn at(now_ms: u64, expires_at_ms: Option<u64>) -> Self {
        match expires_at_ms {
            // Expired from that very millisecond on (RFC 7519, 4.1.4).
            Some(at_ms) if at_ms <= now_ms => Self::Ended,
            Some(at_ms) => Self::Until(at_ms),
            None => Self::Forever,
        }
    }
}
