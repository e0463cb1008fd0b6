//! Rate limits by key, in bounded memory.
//!
//! The generic cell rate algorithm (ITU-T I.371): for each key, one time up to which its events are
//! paid for. A burst may run ahead of now by the rate's period, and its last event by any amount:
//! after one message to a thousand recipients, the sender waits for all of them.
//!
//! Our own, as governor takes no debt and cannot bound its keys.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::model::{Domain, PerDomain, Rate};

/// Above this many keys, those that are fully paid are dropped.
const KEYS_KEPT: usize = 4_096;
/// Most keys. Further keys are not limited here, only by the limits of the whole server.
const KEYS_MAX: usize = 200_000;
/// Pause between drops of keys, which scan all of them.
const PRUNE_PAUSE: Duration = Duration::from_secs(1);

/// Counts the events of each key against a rate, which is given with each event.
pub(super) struct Limiter<K>(Mutex<State<K>>);

struct State<K> {
    /// Time up to which each key has paid.
    paid: HashMap<K, Instant>,
    pruned: Instant,
}

impl<K> Default for Limiter<K> {
    fn default() -> Self {
        Self(Mutex::new(State {
            paid: HashMap::new(),
            pruned: Instant::now(),
        }))
    }
}

/// Time until there is room for one more event.
fn wait(rate: Rate, paid: Option<&Instant>, now: Instant) -> Duration {
    let ahead = paid.map_or(Duration::ZERO, |paid| paid.saturating_duration_since(now));
    (ahead + rate.time_of(1)).saturating_sub(rate.per)
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// Remaining wait of a blocked key.
    pub(super) fn blocked(&self, rate: Rate, key: &K) -> Option<Duration> {
        let state = self.0.lock();
        let wait = wait(rate, state.paid.get(key), Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    /// Counts `times` events if there is a rate, or returns the wait until there is room for one.
    pub(super) fn check(&self, rate: Option<Rate>, key: &K, times: u64) -> Result<(), Duration> {
        let now = Instant::now();
        rate.map_or(Ok(()), |rate| self.check_at(rate, key, times, now))
    }

    fn check_at(&self, rate: Rate, key: &K, times: u64, now: Instant) -> Result<(), Duration> {
        let mut state = self.0.lock();
        let cost = rate.time_of(times.max(1));
        if let Some(paid) = state.paid.get_mut(key) {
            let wait = wait(rate, Some(paid), now);
            if !wait.is_zero() {
                return Err(wait);
            }
            *paid = (*paid).max(now) + cost;
            return Ok(());
        }
        if state.paid.len() >= KEYS_KEPT {
            state.prune(now);
        }
        if state.paid.len() < KEYS_MAX {
            state.paid.insert(key.clone(), now + cost);
        }
        Ok(())
    }
}

impl<K: Hash + Eq> State<K> {
    fn prune(&mut self, now: Instant) {
        if now.saturating_duration_since(self.pruned) >= PRUNE_PAUSE {
            self.pruned = now;
            self.paid.retain(|_, paid| *paid > now);
            let kept = self.paid.len();
            self.paid.shrink_to(2 * kept.max(KEYS_KEPT));
        }
    }
}

/// Counts the events of domains. Those named in the settings are counted apart, so that they stay
/// limited however many others come.
#[derive(Default)]
pub(super) struct ByDomain {
    named: Limiter<Domain>,
    others: Limiter<Domain>,
}

impl ByDomain {
    /// Counts `times` events if the domain has a rate, or returns the wait until there is room.
    pub(super) fn check(
        &self,
        rates: &PerDomain<Rate>,
        domain: &Domain,
        times: u64,
    ) -> Result<(), Duration> {
        let limiter = match rates.domains.contains_key(domain) {
            true => &self.named,
            false => &self.others,
        };
        limiter.check(rates.of(domain), domain, times)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A limiter with a single rate.
    struct Limited(Rate, Limiter<u32>);

    impl Limited {
        fn check_at(&self, key: &u32, times: u64, now: Instant) -> Result<(), Duration> {
            self.1.check_at(self.0, key, times, now)
        }

        fn check(&self, key: &u32, times: u64) -> Result<(), Duration> {
            self.1.check(Some(self.0), key, times)
        }
    }

    fn limiter(count: u64, per: Duration) -> Limited {
        let count = NonZeroU64::new(count).expect("not zero");
        Limited(Rate { count, per }, Limiter::default())
    }

    #[test]
    fn as_many_as_the_rate_at_once_and_then_as_they_come_free() {
        let limiter = limiter(10, 100 * MS);
        let begun = Instant::now();
        for _ in 0..10 {
            assert_eq!(limiter.check_at(&1, 1, begun), Ok(()));
        }
        assert_eq!(limiter.check_at(&1, 1, begun), Err(10 * MS));
        assert_eq!(limiter.check_at(&2, 1, begun), Ok(()), "another key");
        assert_eq!(limiter.check_at(&1, 1, begun + 10 * MS), Ok(()));
        assert_eq!(limiter.check_at(&1, 1, begun + 10 * MS), Err(10 * MS));
        assert_eq!(limiter.check_at(&1, 1, begun + 1000 * MS), Ok(()));
    }

    #[test]
    fn many_at_once_are_paid_for_afterwards() {
        let limiter = limiter(10, 100 * MS);
        let begun = Instant::now();
        assert_eq!(limiter.check_at(&1, 1000, begun), Ok(()));
        let all_but_one_burst = Duration::from_secs(10) + 10 * MS - 100 * MS;
        assert_eq!(limiter.check_at(&1, 1, begun), Err(all_but_one_burst));
        let later = begun + all_but_one_burst;
        assert_eq!(limiter.check_at(&1, 1, later), Ok(()));
    }

    #[test]
    fn bytes_are_counted_exactly_though_one_takes_less_than_a_nanosecond() {
        let limiter = limiter(7 << 30, Duration::from_secs(1));
        let begun = Instant::now();
        assert_eq!(limiter.check_at(&1, 14 << 30, begun), Ok(()));
        let wait = Duration::from_secs(1) + Duration::from_nanos(1);
        assert_eq!(limiter.check_at(&1, 1, begun), Err(wait));
        assert_eq!(limiter.check_at(&1, 1, begun + wait), Ok(()));
    }

    #[test]
    fn who_is_limited_stays_so_however_many_others_come() {
        let limiter = limiter(1, Duration::from_secs(3600));
        assert!(limiter.check(&0, 1).is_ok() && limiter.check(&0, 1).is_err());
        for other in 1..=KEYS_MAX as u32 + 10 {
            assert_eq!(limiter.check(&other, 1), Ok(()));
        }
        assert_eq!(limiter.1.0.lock().paid.len(), KEYS_MAX);
        assert!(limiter.check(&0, 1).is_err() && limiter.1.blocked(limiter.0, &0).is_some());
        let later = Instant::now() + Duration::from_secs(7200);
        assert_eq!(limiter.check_at(&u32::MAX, 1, later), Ok(()));
        assert_eq!(limiter.1.0.lock().paid.len(), 1, "the others have paid");
    }

    #[test]
    fn a_domain_with_a_rate_of_its_own_is_limited_however_many_others_come() {
        let domain = |name: &str| Domain::parse(name).expect("valid");
        let rate = limiter(1, Duration::from_secs(3600)).0;
        let rates = PerDomain {
            all: Some(rate),
            domains: [(domain("named"), Some(rate))].into(),
        };
        let limiter = ByDomain::default();
        for other in 0..KEYS_MAX {
            assert_eq!(
                limiter.check(&rates, &domain(&format!("d{other}")), 1),
                Ok(())
            );
        }
        assert_eq!(limiter.check(&rates, &domain("named"), 1), Ok(()));
        assert!(limiter.check(&rates, &domain("named"), 1).is_err());
    }
}
