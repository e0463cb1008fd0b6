//! Login time and address of a session.

use std::net::IpAddr;

/// Login time and address of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Login time in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Address that the session logged in from.
    pub from: IpAddr,
}
