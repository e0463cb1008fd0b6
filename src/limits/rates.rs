//! How often something may happen, by key, in memory that is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::addresses::Address;
use crate::model::{Domain, PerDomain, Rate};

/// With more keys than this, those that have recovered are dropped.
const KEYS_KEPT: usize = 4_096;
/// Most keys; who comes after is not limited by this limit, but by those of the whole server.
const KEYS_MAX: usize = 200_000;
/// Between two times that keys are dropped: it looks at all of them.
const PRUNE_PAUSE: Duration = Duration::from_secs(1);

fn quota(rate: Rate) -> Quota {
    let one = rate.per / rate.count.get();
    let quota = Quota::with_period(one.max(Duration::from_nanos(1)));
    quota.expect("a period above zero").allow_burst(rate.count)
}

/// The same rate for each key.
pub(super) struct Limiter<K: Hash + Eq + Clone> {
    count: NonZeroU32,
    limiter: RateLimiter<K, HashMapStateStore<K>, MonotonicClock>,
    pruned: Mutex<Instant>,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            count: rate.count,
            limiter: RateLimiter::hashmap_with_clock(quota(rate), MonotonicClock),
            pruned: Mutex::new(Instant::now()),
        }
    }

    /// Counts `times`, or says when as many are free. What is more than there ever are at once
    /// counts as all of them.
    pub(super) fn check(&self, key: &K, times: u32) -> Result<(), Duration> {
        if self.limiter.len() > KEYS_KEPT {
            self.prune();
        }
        if self.limiter.len() > KEYS_MAX {
            return Ok(());
        }
        let times = NonZeroU32::new(times)
            .unwrap_or(NonZeroU32::MIN)
            .min(self.count);
        match self.limiter.check_key_n(key, times) {
            Ok(Ok(())) | Err(_) => Ok(()),
            Ok(Err(not_yet)) => Err(not_yet.wait_time_from(MonotonicClock.now())),
        }
    }

    fn prune(&self) {
        {
            let mut pruned = self.pruned.lock().unwrap_or_else(PoisonError::into_inner);
            if pruned.elapsed() < PRUNE_PAUSE {
                return;
            }
            *pruned = Instant::now();
        }
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// Failures of each address, and which addresses have to wait.
pub(super) struct Failures {
    limiter: Limiter<Address>,
    blocked: Mutex<HashMap<Address, Instant>>,
}

impl Failures {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            limiter: Limiter::new(rate),
            blocked: Mutex::default(),
        }
    }

    /// One more failure.
    pub(super) fn note(&self, address: Address) {
        let Err(wait) = self.limiter.check(&address, 1) else {
            return;
        };
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if blocked.len() > KEYS_KEPT {
            blocked.retain(|_, until| *until > now);
        }
        if blocked.len() < KEYS_MAX {
            blocked.insert(address, now + wait);
        }
    }

    /// How long the address has to wait, if it has.
    pub(super) fn blocked(&self, address: &Address) -> Option<Duration> {
        let blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        let until = blocked.get(address)?;
        until
            .checked_duration_since(Instant::now())
            .filter(|wait| !wait.is_zero())
    }
}

/// A rate for each domain.
pub(super) struct ByDomain {
    others: Option<Limiter<Domain>>,
    named: HashMap<Domain, Option<Limiter<Domain>>>,
}

impl ByDomain {
    pub(super) fn new(rates: &PerDomain<Rate>) -> Self {
        let named = rates.domains.iter();
        Self {
            others: rates.all.map(Limiter::new),
            named: named
                .map(|(domain, rate)| (domain.clone(), rate.map(Limiter::new)))
                .collect(),
        }
    }

    pub(super) fn check(&self, domain: &Domain, times: u32) -> Result<(), Duration> {
        let limiter = self.named.get(domain).unwrap_or(&self.others);
        limiter
            .as_ref()
            .map_or(Ok(()), |limiter| limiter.check(domain, times))
    }
}
