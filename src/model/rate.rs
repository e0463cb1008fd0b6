//! Rates, and values that differ between domains.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use super::Domain;

/// A number of events, or bytes, per duration; unused ones accumulate up to that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Number of events, or bytes.
    pub count: NonZeroU64,
    /// The period; at least a second.
    pub per: Duration,
}

impl Rate {
    /// The time in which this many become available, rounded up.
    pub fn time_of(&self, times: u64) -> Duration {
        // Not a multiple of the time for one: for bytes the rounding errors would add up.
        let nanos = self.per.as_nanos() * u128::from(times);
        let nanos = nanos.div_ceil(u128::from(self.count.get()));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A default for all domains, with exceptions for some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerDomain<T> {
    /// Value of domains without an exception; `None`: no limit.
    pub all: Option<T>,
    /// Exceptions by domain; `None`: no limit.
    pub domains: BTreeMap<Domain, Option<T>>,
}

impl<T> Default for PerDomain<T> {
    fn default() -> Self {
        Self {
            all: None,
            domains: BTreeMap::new(),
        }
    }
}

impl<T: Copy> PerDomain<T> {
    /// The value of a domain; `None`: no limit.
    pub fn of(&self, domain: &Domain) -> Option<T> {
        self.domains.get(domain).copied().unwrap_or(self.all)
    }

    /// Whether no domain has a limit.
    pub fn is_off(&self) -> bool {
        self.all.is_none() && self.domains.values().all(Option::is_none)
    }
}
