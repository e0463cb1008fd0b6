//! How much a domain may store. What it does store is measured now and then by whoever has the
//! store, and added to between: so what was erased or has expired counts again before long.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::{Domain, PerDomain};

/// Between two measurements of a domain that is full: it may have erased something.
pub(super) const MEASURE_PAUSE: Duration = Duration::from_secs(10);
/// Between two of any other.
const MEASURE_PAUSE_LONG: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
struct Usage {
    /// Bytes, as far as is known.
    bytes: u64,
    /// Of these, added since the last measurement began.
    added: u64,
    measured: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    quotas: PerDomain<u64>,
    used: HashMap<Domain, Usage>,
}

/// The quotas of all domains and what is used of them.
#[derive(Debug)]
pub struct Quotas {
    /// Most servers have none: then no send waits for a lock.
    off: AtomicBool,
    state: Mutex<State>,
}

impl Quotas {
    pub(super) fn new(quotas: PerDomain<u64>) -> Self {
        Self {
            off: AtomicBool::new(quotas.is_off()),
            state: Mutex::new(State {
                quotas,
                used: HashMap::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reload(&self, quotas: PerDomain<u64>) {
        self.off.store(quotas.is_off(), Ordering::Relaxed);
        let mut state = self.state();
        if state.quotas != quotas {
            *state = State {
                quotas,
                used: HashMap::new(),
            };
        }
    }

    /// Whether no domain has a quota.
    pub fn is_off(&self) -> bool {
        self.off.load(Ordering::Relaxed)
    }

    /// Whether the domain may store more: its last send may go beyond the quota, no further one.
    pub fn has_room(&self, domain: &Domain) -> bool {
        if self.is_off() {
            return true;
        }
        let state = self.state();
        state
            .quotas
            .of(domain)
            .is_none_or(|quota| state.used.get(domain).is_none_or(|used| used.bytes < quota))
    }

    /// The domain stores so many bytes more.
    pub fn add(&self, domain: &Domain, bytes: u64) {
        if self.is_off() {
            return;
        }
        let mut state = self.state();
        if state.quotas.of(domain).is_some() {
            let used = match state.used.get_mut(domain) {
                Some(used) => used,
                None => state.used.entry(domain.clone()).or_default(),
            };
            used.bytes = used.bytes.saturating_add(bytes);
            used.added = used.added.saturating_add(bytes);
        }
    }

    /// Measures each of these domains that has a quota and is due. `measure` may take its time:
    /// sends go on meanwhile.
    ///
    /// # Errors
    /// The last one of those that could not be measured; the others were.
    pub fn measure<E>(
        &self,
        domains: impl Iterator<Item = Domain>,
        mut measure: impl FnMut(&Domain) -> Result<u64, E>,
    ) -> Result<(), E> {
        let mut outcome = Ok(());
        for domain in domains.filter(|domain| self.is_due(domain, Instant::now())) {
            self.state().used.entry(domain.clone()).or_default().added = 0;
            let bytes = match measure(&domain) {
                Ok(bytes) => bytes,
                Err(error) => {
                    outcome = Err(error);
                    continue;
                }
            };
            let mut state = self.state();
            let used = state.used.entry(domain).or_default();
            used.bytes = bytes.saturating_add(used.added);
            used.measured = Some(Instant::now());
        }
        outcome
    }

    fn is_due(&self, domain: &Domain, now: Instant) -> bool {
        let state = self.state();
        let Some(quota) = state.quotas.of(domain) else {
            return false;
        };
        let used = state.used.get(domain);
        used.and_then(|used| Some((used, used.measured?)))
            .is_none_or(|(used, measured)| {
                let full = used.bytes >= quota;
                let pause = if full {
                    MEASURE_PAUSE
                } else {
                    MEASURE_PAUSE_LONG
                };
                now.saturating_duration_since(measured) >= pause
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_domain_stores_no_more_until_it_is_measured_to_be_less_full() {
        let domain = Domain::parse("d").expect("valid");
        let other = Domain::parse("e").expect("valid");
        let quotas = Quotas::new(PerDomain {
            all: None,
            domains: [(domain.clone(), Some(100))].into(),
        });
        let measure = |bytes: u64| {
            let all = [domain.clone(), other.clone()].into_iter();
            quotas.measure(all, |measured| {
                assert_eq!(*measured, domain, "only what has a quota");
                quotas.add(&domain, 1);
                Ok::<_, ()>(bytes)
            })
        };
        assert!(quotas.has_room(&domain), "nothing is known yet");
        measure(90).expect("measured");
        assert!(quotas.has_room(&domain));
        quotas.add(&domain, 8);
        quotas.add(&other, u64::MAX);
        assert!(quotas.has_room(&domain) && quotas.has_room(&other));
        quotas.add(&domain, 1);
        assert!(!quotas.has_room(&domain), "90, and 1 meanwhile, and 9");
        let soon = Instant::now();
        assert!(!quotas.is_due(&domain, soon));
        assert!(quotas.is_due(&domain, soon + MEASURE_PAUSE));
        quotas.reload(PerDomain {
            all: Some(10),
            domains: Default::default(),
        });
        assert!(quotas.has_room(&domain) && quotas.is_due(&other, soon));
    }
}
