//! What strangers, users and domains may do at most.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{PerDomain, Rate};

/// A list of networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// These networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether an address is in one of them; an IPv4 address also in its IPv6 form.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// How much of the disk is left to those who hold a project token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DiskFloor {
    /// Nothing.
    #[default]
    Off,
    /// [`DiskFloor::AUTO_BYTES`], on a small disk a tenth of it.
    Auto,
    /// So many bytes.
    Bytes(u64),
}

impl DiskFloor {
    /// With so much left a domain of backends goes on for a while, and an operator who is told has
    /// time to make room.
    pub const AUTO_BYTES: u64 = 1 << 30;
    const AUTO_DISK_PART: u64 = 10;

    /// The floor on a disk of so many bytes; 0: none.
    pub fn bytes(self, disk_bytes: u64) -> u64 {
        match self {
            Self::Off => 0,
            Self::Auto => Self::AUTO_BYTES.min(disk_bytes / Self::AUTO_DISK_PART),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The part of all connections that is kept for those that have not logged in: one in so many.
const STRANGERS_PART: usize = 64;
/// That part at least, where it is not more than half.
const STRANGERS_MIN: usize = 8;

/// How many of so many connections may be logged in.
pub fn logged_in_max(connections_max: usize) -> usize {
    let strangers = (connections_max / STRANGERS_PART).max(STRANGERS_MIN);
    connections_max - strangers.min(connections_max / 2)
}

/// Most connections that have not logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrangersMax {
    /// So many as take an eighth of the machine's memory, at least [`StrangersMax::AUTO_MIN`].
    Auto,
    /// So many.
    Count(usize),
}

impl StrangersMax {
    /// So many can be in the midst of a login where a crowd comes back.
    pub const AUTO_MIN: usize = 1024;
    /// Of a machine whose memory is not known.
    const AUTO_ELSE: usize = 4096;
    const AUTO_MEMORY_PART: u64 = 8;
    /// What one takes at most, while a body is read of it that is thrown away.
    const BYTES: u64 = 64 << 10;

    /// How many, where so much memory may be used.
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

/// What the settings say of limits. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitOptions {
    /// Proxies whose PROXY protocol headers are believed, and on the listener without TLS their `X-Forwarded-For`.
    pub trusted_proxies: Networks,
    /// Addresses without any limit of their own.
    pub unlimited: Networks,
    /// Most open connections of one address.
    pub connections_per_address_max: Option<usize>,
    /// How often one address may connect.
    pub connects_per_address: Option<Rate>,
    /// How many tokens that nobody knows one address may show.
    pub failed_logins_per_address: Option<Rate>,
    /// How many HTTP requests one address may make.
    pub requests_per_address: Option<Rate>,
    /// How many requests for history one user may make with user tokens.
    pub requests_per_user: Option<Rate>,
    /// How often one user may log in with user tokens.
    pub logins_per_user: Option<Rate>,
    /// How many logins are admitted.
    pub logins: Option<Rate>,
    /// How many messages one user may send with user tokens.
    pub sends_per_user: Option<Rate>,
    /// How many bytes of messages one user may send with user tokens.
    pub send_bytes_per_user: Option<Rate>,
    /// How many messages a domain may send.
    pub sends_per_domain: PerDomain<Rate>,
    /// How many bytes of messages a domain may send.
    pub send_bytes_per_domain: PerDomain<Rate>,
    /// How many bytes of messages a domain may store.
    pub store_quota: PerDomain<u64>,
    /// Free disk below which user tokens send nothing.
    pub disk_free_min: DiskFloor,
}
