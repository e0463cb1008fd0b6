//! Limits on strangers, users and domains.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{PerDomain, Rate};

/// A set of IP networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// The set of these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether an address is in any of them; an IPv4 address also in its IPv6-mapped form.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Disk space reserved for holders of a project token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DiskFloor {
    /// No reserve.
    #[default]
    Off,
    /// [`DiskFloor::AUTO_BYTES`], or a tenth of a small disk.
    Auto,
    /// A fixed number of bytes.
    Bytes(u64),
}

impl DiskFloor {
    /// Enough for a domain of backends to continue for a while, and for an operator who was alerted to make room.
    pub const AUTO_BYTES: u64 = 1 << 30;
    const AUTO_DISK_PART: u64 = 10;

    /// The reserve on a disk of this size; 0: none.
    pub fn bytes(self, disk_bytes: u64) -> u64 {
        match self {
            Self::Off => 0,
            Self::Auto => Self::AUTO_BYTES.min(disk_bytes / Self::AUTO_DISK_PART),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Share of all connections reserved for those that have not logged in: one in this many.
const STRANGERS_PART: usize = 64;
/// Minimum of that reserve, unless it is more than half.
const STRANGERS_MIN: usize = 8;

/// Number of connections that may be logged in, out of this maximum.
pub fn logged_in_max(connections_max: usize) -> usize {
    let strangers = (connections_max / STRANGERS_PART).max(STRANGERS_MIN);
    connections_max - strangers.min(connections_max / 2)
}

/// Bound on connections that have not logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrangersMax {
    /// As many as fit into an eighth of the machine's memory, at least [`StrangersMax::AUTO_MIN`].
    Auto,
    /// A fixed number.
    Count(usize),
}

impl StrangersMax {
    /// Enough for the logins in progress when a crowd reconnects.
    pub const AUTO_MIN: usize = 1024;
    /// Used if the machine's memory is unknown.
    const AUTO_ELSE: usize = 4096;
    const AUTO_MEMORY_PART: u64 = 8;
    /// Most memory of one, while a body is read and discarded.
    const BYTES: u64 = 64 << 10;

    /// The bound on a machine with this much usable memory.
    pub fn count(self, memory_bytes: Option<u64>) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Auto => memory_bytes.map_or(Self::AUTO_ELSE, |bytes| {
                let count = bytes / Self::AUTO_MEMORY_PART / Self::BYTES;
                usize::try_from(count).map_or(usize::MAX, |count| count.max(Self::AUTO_MIN))
            }),
        }
    }
}

/// The limits from the settings. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitOptions {
    /// Proxies whose PROXY protocol headers are trusted, as is `X-Forwarded-For` on the listener without TLS.
    pub trusted_proxies: Networks,
    /// Networks exempt from limits per address.
    pub unlimited: Networks,
    /// Most open connections of one address.
    pub connections_per_address_max: Option<usize>,
    /// Rate of connections from one address.
    pub connects_per_address: Option<Rate>,
    /// Rate of unknown tokens from one address.
    pub failed_logins_per_address: Option<Rate>,
    /// Rate of HTTP requests from one address.
    pub requests_per_address: Option<Rate>,
    /// Rate of history requests of one user with user tokens.
    pub requests_per_user: Option<Rate>,
    /// Rate of logins of one user with user tokens.
    pub logins_per_user: Option<Rate>,
    /// Rate of admitted logins, over all users.
    pub logins: Option<Rate>,
    /// Rate of messages sent by one user with user tokens.
    pub sends_per_user: Option<Rate>,
    /// Rate of message bytes sent by one user with user tokens.
    pub send_bytes_per_user: Option<Rate>,
    /// Rate of messages sent in a domain.
    pub sends_per_domain: PerDomain<Rate>,
    /// Rate of message bytes sent in a domain.
    pub send_bytes_per_domain: PerDomain<Rate>,
    /// Most bytes of messages stored for a domain.
    pub store_quota: PerDomain<u64>,
    /// Free disk space below which user tokens send nothing.
    pub disk_free_min: DiskFloor,
}
