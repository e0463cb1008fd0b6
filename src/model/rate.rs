//! How often something may happen.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use super::Domain;

/// So many times, or bytes, in so long, all at once where they were saved up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many times, or bytes.
    pub count: NonZeroU64,
    /// In which time; a second at least.
    pub per: Duration,
}

impl Rate {
    /// The time in which so many come free, rounded up.
    pub fn time_of(&self, times: u64) -> Duration {
        // Not so many times that of one: of bytes that would be off by much.
        let nanos = self.per.as_nanos() * u128::from(times);
        let nanos = nanos.div_ceil(u128::from(self.count.get()));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A value for all domains, and others for some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerDomain<T> {
    /// Of the domains that are not named; `None`: no limit.
    pub all: Option<T>,
    /// Of these domains; `None`: no limit.
    pub domains: BTreeMap<Domain, Option<T>>,
}

impl<T> Default for PerDomain<T> {
    /// No limit.
    fn default() -> Self {
        Self {
            all: None,
            domains: BTreeMap::new(),
        }
    }
}

impl<T: Copy> PerDomain<T> {
    /// What counts for a domain; `None`: no limit.
    pub fn of(&self, domain: &Domain) -> Option<T> {
        self.domains.get(domain).copied().unwrap_or(self.all)
    }

    /// Whether no domain has a limit.
    pub fn is_off(&self) -> bool {
        self.all.is_none() && self.domains.values().all(Option::is_none)
    }
}
