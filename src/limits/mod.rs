//! Limits that keep strangers from slowing down those who behave: per address, per user, per
//! domain, and of logins as a whole.
//!
//! - `addresses`: who counts as one visitor, and how `X-Forwarded-For` is read;
//! - `proxies`: who speaks for others;
//! - `rates`: how often something may happen, by key;
//! - `admission`: logins at a bounded rate, and when those that are too many may come back;
//! - `quotas`: how much a domain may store;
//! - `eviction`: whose permit a newcomer gets when all connections are open;
//! - `visitor`: who asks;
//! - `answers`, `bodies`: memory for answers of history and for bodies of requests;
//! - `throttle`: one line of the log in place of many;
//! - `disk`: whether so little of the disk is free that user tokens send nothing.
//!
//! Never waits and knows no socket. Invariants: nothing is limited silently: each refusal is
//! counted here, and a line in the log says so, at most one for each limit in ten seconds; what
//! is remembered of strangers is bounded.

mod addresses;
mod admission;
mod answers;
mod bodies;
mod disk;
mod eviction;
mod hang_up;
mod overflow;
mod proxies;
mod quotas;
mod rates;
mod throttle;
mod visitor;

pub use addresses::{AddressPermit, Network};
pub use answers::{AnswerPermit, AnswerPermits, Requester};
pub use bodies::{BODIES_BYTES_MAX, BodyPermit, BodyPermits, NoMemory};
pub use disk::LOOK_PAUSE as DISK_LOOK_PAUSE;
pub use eviction::{Standing, Strangers};
pub use hang_up::HangUp;
pub use overflow::Limit;
pub use proxies::Proxies;
pub use quotas::{Quotas, Reservation};
pub use throttle::Throttle;
pub use visitor::Visitor;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::metrics::Metrics;
use crate::model::{Domain, LimitOptions, Mailbox};
use addresses::{Connections, Rates};
use admission::Admission;
use arc_swap::{ArcSwap, Guard};
use disk::Disk;
use overflow::Overflow;
use rates::{ByDomain, Limiter};

/// A session that had to be ended for what it asked for counts as this part of the logins that come at once.
const FLOOD_LOGINS_PART: u64 = 5;

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit}")]
pub struct Limited {
    /// Which one.
    pub limit: Limit,
    /// Suggested wait before a retry; zero if unknown.
    pub retry: Duration,
}

/// What a send counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Messages: one for each recipient.
    pub messages: u32,
    /// What all of them are: see [`crate::model::Draft::sent_bytes`].
    pub bytes: u64,
}

/// Everything that follows from the settings, exchanged as a whole.
struct Rules {
    options: LimitOptions,
    connects: Option<Rates>,
    failures: Option<Rates>,
    requests: Option<Rates>,
    known_requests: Option<Rates>,
    known_connects: Option<Rates>,
    user_requests: Option<Limiter<Mailbox>>,
    admission: Option<Admission>,
    user_logins: Option<Limiter<Mailbox>>,
    user_sends: Option<Limiter<Mailbox>>,
    user_bytes: Option<Limiter<Mailbox>>,
    domain_sends: ByDomain,
    domain_bytes: ByDomain,
}

impl Rules {
    fn new(options: LimitOptions) -> Self {
        Self {
            connects: options.connects_per_address.map(Rates::new),
            failures: options.failed_logins_per_address.map(Rates::new),
            requests: options.requests_per_address.map(Rates::new),
            known_requests: options.requests_per_address.map(Rates::new),
            known_connects: options.connects_per_address.map(Rates::new),
            user_requests: options.requests_per_user.map(Limiter::new),
            admission: options.logins.map(Admission::new),
            user_logins: options.logins_per_user.map(Limiter::new),
            user_sends: options.sends_per_user.map(Limiter::new),
            user_bytes: options.send_bytes_per_user.map(Limiter::new),
            domain_sends: ByDomain::new(&options.sends_per_domain),
            domain_bytes: ByDomain::new(&options.send_bytes_per_domain),
            options,
        }
    }

    /// Whether the limits for one address do not count for a visitor. A proxy's own address does not make those
    /// behind it unlimited, and neither does a loopback address or that of another proxy that it names: others may be
    /// behind that.
    fn is_unlimited(&self, visitor: &Visitor) -> bool {
        let address = visitor.address;
        let is_of_proxy = address.is_loopback() || self.options.trusted_proxies.contains(address);
        let may_be_of_others = visitor.is_unnamed() || visitor.named && is_of_proxy;
        !may_be_of_others && self.options.unlimited.contains(address)
    }
}

/// All limits of one server.
pub struct Limits {
    rules: ArcSwap<Rules>,
    connections: Arc<Connections>,
    quotas: Arc<Quotas>,
    disk: Disk,
    overflow: Arc<Overflow>,
    proxies: Proxies,
}

impl Limits {
    /// Limits by these settings.
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

    /// From now on these settings count. Rates begin anew; connections stay counted.
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

    /// The bounds of connections that have not logged in, among `connections_max`.
    pub fn strangers(&self, connections_max: usize, max: usize, lingering_max: usize) -> Strangers {
        let overflow = Arc::clone(&self.overflow);
        Strangers::new(connections_max, max, lingering_max, overflow)
    }

    /// Where trusted proxies report how they pass connections on.
    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Whether this peer may say for whom it speaks.
    pub fn is_proxy(&self, peer: IpAddr) -> bool {
        self.rules().options.trusted_proxies.contains(peer)
    }

    /// Who a request without TLS is from, by its `X-Forwarded-For` lines: see [`Proxies`].
    pub fn visitor<'a>(
        &self,
        peer: &Visitor,
        lines: impl DoubleEndedIterator<Item = &'a str>,
    ) -> Visitor {
        self.proxies.visitor(&self.rules().options, peer, lines)
    }

    /// Takes how many bytes of the disk are free.
    pub fn tell_disk(&self, free_bytes: u64, disk_bytes: u64) {
        let floor = self.rules().options.disk_free_min.bytes(disk_bytes);
        self.disk.update(free_bytes, floor);
    }

    /// Whether user tokens send nothing because little of the disk is free.
    pub fn is_disk_short(&self) -> bool {
        self.disk.is_short()
    }

    /// How much domains store.
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// What a visitor counts as, unless it is unlimited.
    pub fn network(&self, visitor: &Visitor) -> Option<Network> {
        let is_limited = !self.rules().is_unlimited(visitor);
        is_limited.then(|| Network::of(visitor.address))
    }

    fn limited(&self, limit: Limit, retry: Duration, who: &dyn std::fmt::Display) -> Limited {
        self.overflow.note(limit, who);
        Limited { limit, retry }
    }

    /// Notes a limit that was reached elsewhere.
    pub fn note(&self, limit: Limit, who: &dyn std::fmt::Display) {
        self.overflow.note(limit, who);
    }

    /// A visitor connects; it is counted as long as the permit is kept. Behind a proxy it may have shown a good token
    /// before: those count apart, so that nobody beside them uses up their rate.
    ///
    /// # Errors
    /// There are too many from its address, or they come too fast.
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
        if let Some(limiter) = connects
            && let Err(retry) = limiter.check(address)
        {
            return Err(self.limited(Limit::ConnectsPerAddress, retry, &address));
        }
        let max = rules.options.connections_per_address_max;
        let permit = Connections::acquire(&self.connections, address, max);
        permit.ok_or_else(|| {
            let retry = Duration::from_secs(1);
            self.limited(Limit::ConnectionsPerAddress, retry, &address)
        })
    }

    /// A visitor makes a request. Those with a good token count apart, so that nobody beside them uses up their rate.
    ///
    /// # Errors
    /// They come too fast from its address.
    pub fn request(&self, visitor: &Visitor, is_known: bool) -> Result<(), Limited> {
        self.proxies.check(visitor);
        let rules = self.rules();
        let requests = match is_known {
            true => &rules.known_requests,
            false => &rules.requests,
        };
        let Some(requests) = requests else {
            return Ok(());
        };
        if rules.is_unlimited(visitor) {
            return Ok(());
        }
        let checked = requests.check(visitor.address);
        checked.map_err(|retry| self.limited(Limit::RequestsPerAddress, retry, &visitor.address))
    }

    /// A user asks for history by a user token.
    ///
    /// # Errors
    /// It does so too often.
    pub fn user_request(&self, user: &Mailbox) -> Result<(), Limited> {
        let rules = self.rules();
        let requests = rules.user_requests.as_ref();
        let checked = requests.map_or(Ok(()), |requests| requests.check(user, 1));
        checked.map_err(|retry| self.limited(Limit::RequestsPerUser, retry, &user.domain))
    }

    /// A visitor has shown a token that nobody knows. Of a good one this is never asked, so that it is let in whatever
    /// comes beside it from the same address; what looking at tokens costs is bounded by [`Self::connect`] and
    /// [`Self::request`].
    ///
    /// # Errors
    /// There are too many from its address.
    pub fn bad_token(&self, visitor: &Visitor) -> Result<(), Limited> {
        let rules = self.rules();
        let Some(failures) = &rules.failures else {
            return Ok(());
        };
        // The address of a proxy that names nobody is limited for those alone, not for what it does itself.
        if rules.is_unlimited(visitor) {
            return Ok(());
        }
        let address = visitor.address;
        let checked = failures.check(address);
        checked.map_err(|retry| self.limited(Limit::FailedLoginsPerAddress, retry, &address))
    }

    /// A login of this user, whose token is good, may go on; `by_user_token` says which kind it is.
    ///
    /// # Errors
    /// The user logs in too often, or there are too many logins at once. Who comes back when it is
    /// told meets no crowd.
    pub fn admit(&self, user: &Mailbox, by_user_token: bool) -> Result<(), Limited> {
        let rules = self.rules();
        if let Some(limiter) = rules.user_logins.as_ref().filter(|_| by_user_token)
            && let Err(retry) = limiter.check(user, 1)
        {
            return Err(self.limited(Limit::LoginsPerUser, retry, &user.domain));
        }
        let admission = rules.admission.as_ref();
        let admitted = admission.map_or(Ok(()), |admission| admission.admit(user));
        admitted.map_err(|retry| self.limited(Limit::Logins, retry, &user.domain))
    }

    /// A session of this user has ended for what it asked for. Whoever comes back for more is above
    /// the rate of his logins before long, if it is by a user token.
    pub fn session_flooded(&self, user: &Mailbox, by_user_token: bool) {
        self.note(Limit::RequestsPerSession, &user.domain);
        let rules = self.rules();
        let rate = rules.options.logins_per_user;
        if let (Some(limiter), Some(rate), true) = (&rules.user_logins, rate, by_user_token) {
            // Who is over the rate already has to wait as it is.
            let _ = limiter.check(user, rate.count.get() / FLOOD_LOGINS_PART);
        }
    }

    /// A domain, or one of its users with a user token, sends so much, and storing it takes
    /// `stored_bytes`: for these there is room as long as the reservation is kept.
    ///
    /// # Errors
    /// The limit that is reached. The send may count for those before it all the same.
    pub fn send(
        &self,
        domain: &Domain,
        user: Option<&Mailbox>,
        amount: Amount,
        stored_bytes: u64,
    ) -> Result<Reservation, Limited> {
        // First, as who goes on with what is refused is above a rate of his own some time; and what is refused
        // for one user takes nothing of what the others of the domain may send.
        if let Some(user) = user {
            self.user_rates(user, amount)?;
            if self.is_disk_short() {
                return Err(self.limited(Limit::DiskFree, disk::LOOK_PAUSE, domain));
            }
        }
        let reserved = self.quotas.reserve(domain, stored_bytes);
        let Some(reservation) = reserved else {
            let retry = quotas::MEASURE_PAUSE;
            return Err(self.limited(Limit::StoreQuota, retry, domain));
        };
        let rules = self.rules();
        let messages = u64::from(amount.messages);
        let checked = rules.domain_sends.check(domain, messages);
        checked.map_err(|retry| self.limited(Limit::SendsPerDomain, retry, domain))?;
        let checked = rules.domain_bytes.check(domain, amount.bytes);
        checked.map_err(|retry| self.limited(Limit::SendBytesPerDomain, retry, domain))?;
        Ok(reservation)
    }

    /// A user with a user token sends so much, whether it is stored or not.
    ///
    /// # Errors
    /// The rate that is reached.
    pub fn user_rates(&self, user: &Mailbox, amount: Amount) -> Result<(), Limited> {
        let rules = self.rules();
        let check = |limiter: &Option<Limiter<Mailbox>>, times, limit| {
            let limiter = limiter.as_ref();
            let checked = limiter.map_or(Ok(()), |limiter| limiter.check(user, times));
            checked.map_err(|retry| self.limited(limit, retry, &user.domain))
        };
        let messages = u64::from(amount.messages);
        check(&rules.user_sends, messages, Limit::SendsPerUser)?;
        check(&rules.user_bytes, amount.bytes, Limit::SendBytesPerUser)
    }
}

#[cfg(test)]
mod tests;
