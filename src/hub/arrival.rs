//! When and from where a session came.

use std::net::IpAddr;

/// When and from where a session came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Milliseconds since the Unix epoch at which it logged in.
    pub at_ms: u64,
    /// The address that it logged in from.
    pub from: IpAddr,
}
