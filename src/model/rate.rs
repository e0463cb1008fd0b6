//! How often something may happen.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use super::Domain;

/// So many times in so long, all at once where they were saved up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many times.
    pub count: NonZeroU32,
    /// In which time; a second at least.
    pub per: Duration,
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
