//! Limits that keep strangers from slowing down everyone else: per address, per user, per domain,
//! and on logins as a whole.
//!
//! - `addresses`: which addresses count as one visitor, and the parsing of `X-Forwarded-For`;
//! - `proxies`: trusted proxies;
//! - `rates`: rate limits by key;
//! - `admission`: bounded rate of logins, with slots for those that must come back;
//! - `quotas`: storage quotas of domains;
//! - `eviction`: which connection makes way for a newcomer when all permits are taken;
//! - `visitor`: the origin of a request;
//! - `answers`, `bodies`: memory for history answers and request bodies;
//! - `throttle`: one log line in place of many;
//! - `disk`: refusal of user tokens' sends when free disk space is low.
//!
//! Never waits and knows no socket. Invariants: nothing is limited silently: each refusal is
//! counted here and logged, at most one line per limit in ten seconds; the memory kept about
//! strangers is bounded.

mod addresses;
mod admission;
mod answers;
mod bodies;
mod disk;
mod eviction;
mod overflow;
mod proxies;
mod quotas;
mod rates;
mod throttle;
mod visitor;

pub use addresses::AddressPermit;
pub use answers::{AnswerPermit, AnswerPermits, HangUp, Requester};
pub use bodies::{BODIES_BYTES_MAX, BodyPermit, BodyPermits, NoMemory};
pub use disk::CHECK_INTERVAL as DISK_CHECK_INTERVAL;
pub use eviction::{Standing, Strangers};
pub use overflow::Limit;
pub use proxies::Proxies;
pub use quotas::{Quotas, Reservation};
pub use throttle::Throttle;
pub use visitor::Visitor;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use ipnet::IpNet;

use crate::metrics::Metrics;
use crate::model::{Domain, LimitOptions, Mailbox, Rate};
use addresses::{Connections, Rates};
use admission::Admission;
use disk::Disk;
use overflow::Overflow;
use rates::{ByDomain, Limiter};

/// A session ended for flooding counts as this fraction of the user's burst of logins.
const FLOOD_LOGINS_PART: u64 = 5;

/// A refusal: the limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit}")]
pub struct Limited {
    /// The limit that was reached.
    pub limit: Limit,
    /// Suggested wait before a retry; zero if unknown.
    pub retry: Duration,
}

/// The amount a send counts against rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Messages: one per recipient.
    pub messages: u32,
    /// Total bytes of these messages: see [`crate::model::Draft::sent_bytes`].
    pub bytes: u64,
}

/// The settings, and what is counted against them; replaced as a whole.
#[derive(Default)]
struct Rules {
    options: LimitOptions,
    connects: Rates,
    known_connects: Rates,
    requests: Rates,
    known_requests: Rates,
    failures: Rates,
    user_requests: Limiter<Mailbox>,
    admission: Admission,
    user_logins: Limiter<Mailbox>,
    user_sends: Limiter<Mailbox>,
    user_bytes: Limiter<Mailbox>,
    domain_sends: ByDomain,
    domain_bytes: ByDomain,
}

impl Rules {
    fn new(options: LimitOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Whether a visitor is exempt from the limits per address. The exemption of a proxy's own
    /// address does not extend to the clients behind it. Nor does that of a loopback address or of
    /// another proxy that it names, since others may be behind those.
    fn is_unlimited(&self, visitor: &Visitor) -> bool {
        let address = visitor.address;
        let is_of_proxy = address.is_loopback() || self.options.trusted_proxies.contains(address);
        let may_be_of_others = visitor.is_unnamed() || visitor.named && is_of_proxy;
        !may_be_of_others && self.options.unlimited.contains(address)
    }
}

/// The limits of one server.
pub struct Limits {
    rules: ArcSwap<Rules>,
    connections: Arc<Connections>,
    quotas: Arc<Quotas>,
    disk: Disk,
    overflow: Arc<Overflow>,
    proxies: Proxies,
}

impl Limits {
    /// Limits configured by `options`.
    pub fn new(options: LimitOptions, metrics: Arc<Metrics>) -> Self {
        Self {
            quotas: Arc::new(Quotas::new(options.store_quota.clone())),
            disk: Disk::new(metrics.store.free_bytes_min.clone()),
            rules: ArcSwap::from_pointee(Rules::new(options)),
            connections: Arc::default(),
            overflow: Arc::new(Overflow::new(metrics)),
            proxies: Proxies::default(),
        }
    }

    /// Applies new settings. Rates start afresh; connections stay counted.
    pub fn reload(&self, options: LimitOptions) {
        if self.rules().options == options {
            return;
        }
        self.quotas.reload(options.store_quota.clone());
        self.rules.store(Arc::new(Rules::new(options)));
    }

    fn rules(&self) -> Guard<Arc<Rules>> {
        self.rules.load()
    }

    /// Bounds for connections that have not logged in, out of `connections_max`.
    pub fn strangers(&self, connections_max: usize, max: usize, lingering_max: usize) -> Strangers {
        let overflow = Arc::clone(&self.overflow);
        Strangers::new(connections_max, max, lingering_max, overflow)
    }

    /// Where trusted proxies report how they pass connections on.
    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Whether this peer is a trusted proxy.
    pub fn is_proxy(&self, peer: IpAddr) -> bool {
        self.rules().options.trusted_proxies.contains(peer)
    }

    /// The origin of a request without TLS, by its `X-Forwarded-For` lines: see [`Proxies`].
    pub fn visitor<'a>(
        &self,
        peer: &Visitor,
        lines: impl DoubleEndedIterator<Item = &'a str>,
    ) -> Visitor {
        self.proxies.visitor(&self.rules().options, peer, lines)
    }

    /// Takes the number of free bytes on the disk.
    pub fn update_disk(&self, free_bytes: u64, disk_bytes: u64) {
        let floor = self.rules().options.disk_free_min.bytes(disk_bytes);
        self.disk.update(free_bytes, floor);
    }

    /// Whether sends with user tokens are refused because free disk space is low.
    pub fn is_disk_short(&self) -> bool {
        self.disk.is_short()
    }

    /// Storage quotas of domains.
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// The network that the visitor counts against, unless it is unlimited.
    pub fn network(&self, visitor: &Visitor) -> Option<IpNet> {
        let is_limited = !self.rules().is_unlimited(visitor);
        is_limited.then(|| addresses::visitor(visitor.address))
    }

    fn limited(&self, limit: Limit, retry: Duration, who: &dyn std::fmt::Display) -> Limited {
        self.overflow.note(limit, who);
        Limited { limit, retry }
    }

    /// Counts and logs a limit that was reached elsewhere.
    pub fn note(&self, limit: Limit, who: &dyn std::fmt::Display) {
        self.overflow.note(limit, who);
    }

    /// Counts a connection until the permit is dropped. `is_known`: behind a proxy, the visitor has
    /// already shown a good token. Known visitors count apart, so that strangers beside them cannot
    /// use up their rate.
    ///
    /// # Errors
    /// Too many connections from the address, or too fast.
    pub fn connect(&self, visitor: &Visitor, is_known: bool) -> Result<AddressPermit, Limited> {
        self.proxies.check(visitor);
        let rules = self.rules();
        if rules.is_unlimited(visitor) {
            return Ok(AddressPermit::default());
        }
        let address = visitor.address;
        let connects = match is_known {
            true => &rules.known_connects,
            false => &rules.connects,
        };
        let rate = rules.options.connects_per_address;
        self.check_address(connects, rate, address, Limit::ConnectsPerAddress)?;
        let max = rules.options.connections_per_address_max;
        let permit = Connections::acquire(&self.connections, address, max);
        permit.ok_or_else(|| {
            let retry = Duration::from_secs(1);
            self.limited(Limit::ConnectionsPerAddress, retry, &address)
        })
    }

    /// Counts a request. Those with a good token count apart, so that strangers beside them cannot
    /// use up their rate.
    ///
    /// # Errors
    /// Requests from the address come too fast.
    pub fn request(&self, visitor: &Visitor, is_known: bool) -> Result<(), Limited> {
        self.proxies.check(visitor);
        let rules = self.rules();
        if rules.is_unlimited(visitor) {
            return Ok(());
        }
        let requests = match is_known {
            true => &rules.known_requests,
            false => &rules.requests,
        };
        let rate = rules.options.requests_per_address;
        self.check_address(requests, rate, visitor.address, Limit::RequestsPerAddress)
    }

    /// Counts a history request with a user token.
    ///
    /// # Errors
    /// The user makes them too often.
    pub fn user_request(&self, user: &Mailbox) -> Result<(), Limited> {
        let rules = self.rules();
        let rate = rules.options.requests_per_user;
        self.check_user(&rules.user_requests, rate, user, 1, Limit::RequestsPerUser)
    }

    /// Counts an unknown token. Never called for a good token, so that it gets in whatever else
    /// comes from the same address; the cost of checking tokens is bounded by [`Self::connect`] and
    /// [`Self::request`].
    ///
    /// # Errors
    /// Too many from the address.
    pub fn bad_token(&self, visitor: &Visitor) -> Result<(), Limited> {
        let rules = self.rules();
        // The address of a proxy that names no client is limited for those clients, not for the
        // proxy's own requests.
        if rules.is_unlimited(visitor) {
            return Ok(());
        }
        let rate = rules.options.failed_logins_per_address;
        let limit = Limit::FailedLoginsPerAddress;
        self.check_address(&rules.failures, rate, visitor.address, limit)
    }

    /// Admits a login whose token is good; `by_user_token` tells which kind it is.
    ///
    /// # Errors
    /// The user logs in too often, or too many users at once. A client that waits as told meets no
    /// crowd.
    pub fn admit(&self, user: &Mailbox, by_user_token: bool) -> Result<(), Limited> {
        let rules = self.rules();
        if by_user_token {
            let rate = rules.options.logins_per_user;
            self.check_user(&rules.user_logins, rate, user, 1, Limit::LoginsPerUser)?;
        }
        let admit = |rate| rules.admission.admit(rate, user);
        let admitted = rules.options.logins.map_or(Ok(()), admit);
        admitted.map_err(|retry| self.limited(Limit::Logins, retry, &user.domain))
    }

    /// A session was ended for flooding. A user who comes back for more with a user token soon
    /// exceeds the rate of logins.
    pub fn session_flooded(&self, user: &Mailbox, by_user_token: bool) {
        self.note(Limit::RequestsPerSession, &user.domain);
        let rules = self.rules();
        if let (Some(rate), true) = (rules.options.logins_per_user, by_user_token) {
            // A user over the rate has to wait anyway.
            let times = rate.count.get() / FLOOD_LOGINS_PART;
            let _ = rules.user_logins.check(Some(rate), user, times);
        }
    }

    /// Counts a send by a domain, or by one of its users with a user token, and reserves
    /// `stored_bytes` of the quota for as long as the reservation is held.
    ///
    /// # Errors
    /// The limit that was reached. The send may still count against those checked before it.
    pub fn send(
        &self,
        domain: &Domain,
        user: Option<&Mailbox>,
        amount: Amount,
        stored_bytes: u64,
    ) -> Result<Reservation, Limited> {
        // User limits first: a user who keeps sending after refusals eventually exceeds a rate of
        // their own, and a refused send takes nothing from the others of the domain.
        if let Some(user) = user {
            self.user_rates(user, amount)?;
            if self.is_disk_short() {
                return Err(self.limited(Limit::DiskFree, disk::CHECK_INTERVAL, domain));
            }
        }
        let reserved = self.quotas.reserve(domain, stored_bytes);
        let Some(reservation) = reserved else {
            let retry = quotas::MEASURE_PAUSE;
            return Err(self.limited(Limit::StoreQuota, retry, domain));
        };
        let rules = self.rules();
        let messages = u64::from(amount.messages);
        let rates = &rules.options.sends_per_domain;
        let checked = rules.domain_sends.check(rates, domain, messages);
        checked.map_err(|retry| self.limited(Limit::SendsPerDomain, retry, domain))?;
        let rates = &rules.options.send_bytes_per_domain;
        let checked = rules.domain_bytes.check(rates, domain, amount.bytes);
        checked.map_err(|retry| self.limited(Limit::SendBytesPerDomain, retry, domain))?;
        Ok(reservation)
    }

    /// Counts a send with a user token against the user's rates, whether it is stored or not.
    ///
    /// # Errors
    /// The rate that was exceeded.
    pub fn user_rates(&self, user: &Mailbox, amount: Amount) -> Result<(), Limited> {
        let rules = self.rules();
        let messages = u64::from(amount.messages);
        let rate = rules.options.sends_per_user;
        self.check_user(&rules.user_sends, rate, user, messages, Limit::SendsPerUser)?;
        let rate = rules.options.send_bytes_per_user;
        let limit = Limit::SendBytesPerUser;
        self.check_user(&rules.user_bytes, rate, user, amount.bytes, limit)
    }

    fn check_address(
        &self,
        rates: &Rates,
        rate: Option<Rate>,
        address: IpAddr,
        limit: Limit,
    ) -> Result<(), Limited> {
        let checked = rates.check(rate, address);
        checked.map_err(|retry| self.limited(limit, retry, &address))
    }

    fn check_user(
        &self,
        limiter: &Limiter<Mailbox>,
        rate: Option<Rate>,
        user: &Mailbox,
        times: u64,
        limit: Limit,
    ) -> Result<(), Limited> {
        let checked = limiter.check(rate, user, times);
        checked.map_err(|retry| self.limited(limit, retry, &user.domain))
    }
}

#[cfg(test)]
mod tests;
