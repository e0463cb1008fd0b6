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

/// What the settings say of limits. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitOptions {
    /// Proxies whose `X-Forwarded-For` is believed, on the listener without TLS.
    pub trusted_proxies: Networks,
    /// Addresses without any limit of their own.
    pub unlimited: Networks,
    /// Most open connections of one address.
    pub connections_per_address_max: Option<usize>,
    /// How often one address may connect.
    pub connects_per_address: Option<Rate>,
    /// How often one address may fail to log in.
    pub failed_logins_per_address: Option<Rate>,
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
}
