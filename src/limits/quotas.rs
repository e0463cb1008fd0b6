//! Storage quotas of domains.
//!
//! Usage is measured now and then by the owner of the store, and sends are added in between. Space
//! freed by erasure or expiry is thus noticed before long.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::model::{Domain, PerDomain};

/// Pause between measurements of a full domain, which may have erased something.
pub(super) const MEASURE_PAUSE: Duration = Duration::from_secs(10);
/// Pause between measurements of any other domain.
const MEASURE_PAUSE_LONG: Duration = Duration::from_secs(3600);

/// Usage of a quota, in bytes.
#[derive(Debug, Default)]
struct Usage {
    /// Stored bytes, as far as known.
    stored: u64,
    /// The part of `stored` added since the last measurement began.
    added: u64,
    /// Reserved for sends that the store has not answered.
    reserved: u64,
    /// Size of the last send that found no room.
    refused: Option<u64>,
    measured: Option<Instant>,
}

impl Usage {
    fn has_room(&self, bytes: u64, quota: u64) -> bool {
        let used = self.stored.saturating_add(self.reserved);
        used.saturating_add(bytes) <= quota
    }

    fn add(&mut self, bytes: u64) {
        self.stored = self.stored.saturating_add(bytes);
        self.added = self.added.saturating_add(bytes);
    }
}

#[derive(Debug, Default)]
struct State {
    quotas: PerDomain<u64>,
    used: HashMap<Domain, Usage>,
}

impl State {
    fn of(&mut self, domain: &Domain) -> Option<(u64, &mut Usage)> {
        let quota = self.quotas.of(domain)?;
        if !self.used.contains_key(domain) {
            self.used.insert(domain.clone(), Usage::default());
        }
        Some((quota, self.used.get_mut(domain)?))
    }
}

/// The quotas and usage of all domains.
#[derive(Debug)]
pub struct Quotas {
    /// Most servers have no quotas; sends then take no lock.
    off: AtomicBool,
    state: Mutex<State>,
}

/// Quota reserved for a send on its way into the store; released on drop.
#[derive(Debug)]
#[must_use]
pub struct Reservation(Option<Reserved>);

#[derive(Debug)]
struct Reserved {
    quotas: Arc<Quotas>,
    domain: Domain,
    bytes: u64,
    /// Bytes stored; 0 until settled, and for a repeat.
    stored: u64,
}

impl Reservation {
    /// Records how many bytes were stored: 0 for a repeat.
    pub fn settle(mut self, bytes: u64) {
        if let Some(reserved) = &mut self.0 {
            reserved.stored = bytes;
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // Both under one lock, so that no reader sees both or neither.
        if let Some(used) = self.quotas.state.lock().used.get_mut(&self.domain) {
            used.reserved = used.reserved.saturating_sub(self.bytes);
            used.add(self.stored);
        }
    }
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

    pub(super) fn reload(&self, quotas: PerDomain<u64>) {
        self.off.store(quotas.is_off(), Ordering::Relaxed);
        let state = &mut *self.state.lock();
        state.quotas = quotas;
        // Sends without a quota are not counted, so the domain must be measured before its next
        // quota applies.
        for (domain, used) in &mut state.used {
            if state.quotas.of(domain).is_none() {
                used.measured = None;
            }
        }
    }

    /// Whether no domain has a quota.
    pub fn is_off(&self) -> bool {
        self.off.load(Ordering::Relaxed)
    }

    /// Reserves `bytes` for a domain; `None` if its quota has no room.
    pub(super) fn reserve(self: &Arc<Self>, domain: &Domain, bytes: u64) -> Option<Reservation> {
        if self.is_off() {
            return Some(Reservation(None));
        }
        let mut state = self.state.lock();
        let Some((quota, used)) = state.of(domain) else {
            return Some(Reservation(None));
        };
        if !used.has_room(bytes, quota) {
            used.refused = Some(bytes);
            return None;
        }
        used.reserved = used.reserved.saturating_add(bytes);
        Some(Reservation(Some(Reserved {
            quotas: Arc::clone(self),
            domain: domain.clone(),
            bytes,
            stored: 0,
        })))
    }

    /// Adds `bytes` to the domain's usage.
    pub fn add(&self, domain: &Domain, bytes: u64) {
        if bytes == 0 || self.is_off() {
            return;
        }
        if let Some((_, used)) = self.state.lock().of(domain) {
            used.add(bytes);
        }
    }

    /// Measures those of the given domains that have a quota and are due. `measure` may be slow:
    /// sends continue meanwhile.
    ///
    /// # Errors
    /// The last failure; the other domains were measured.
    pub fn measure<E>(
        &self,
        domains: impl Iterator<Item = Domain>,
        mut measure: impl FnMut(&Domain) -> Result<u64, E>,
    ) -> Result<(), E> {
        let mut outcome = Ok(());
        for domain in domains {
            match self.state.lock().of(&domain) {
                Some((quota, used)) if is_due(used, quota, Instant::now()) => used.added = 0,
                _ => continue,
            }
            let stored = match measure(&domain) {
                Ok(stored) => stored,
                Err(error) => {
                    outcome = Err(error);
                    continue;
                }
            };
            if let Some((quota, used)) = self.state.lock().of(&domain) {
                used.stored = stored.saturating_add(used.added);
                used.measured = Some(Instant::now());
                used.refused = used.refused.filter(|bytes| !used.has_room(*bytes, quota));
            }
        }
        outcome
    }
}

fn is_due(used: &Usage, quota: u64, now: Instant) -> bool {
    let Some(measured) = used.measured else {
        return true;
    };
    let pause = match used.refused.is_some() || used.stored >= quota {
        true => MEASURE_PAUSE,
        false => MEASURE_PAUSE_LONG,
    };
    now.saturating_duration_since(measured) >= pause
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        quotas: Arc<Quotas>,
        domain: Domain,
        other: Domain,
    }

    impl World {
        fn new(quota: u64) -> Self {
            let domain = Domain::parse("d").expect("valid");
            Self {
                quotas: Arc::new(Quotas::new(PerDomain {
                    all: None,
                    domains: [(domain.clone(), Some(quota))].into(),
                })),
                domain,
                other: Domain::parse("e").expect("valid"),
            }
        }

        fn measure(&self, bytes: u64, meanwhile: impl Fn()) {
            let all = [self.domain.clone(), self.other.clone()].into_iter();
            let measured = self.quotas.measure(all, |measured| {
                assert_eq!(*measured, self.domain, "only what has a quota");
                meanwhile();
                Ok::<_, ()>(bytes)
            });
            measured.expect("measured");
        }

        /// As if the pause had elapsed.
        fn measure_again(&self, bytes: u64) {
            let mut state = self.quotas.state.lock();
            let (_, used) = state.of(&self.domain).expect("it has a quota");
            used.measured = None;
            drop(state);
            self.measure(bytes, || ());
        }

        fn reserve(&self, bytes: u64) -> Option<Reservation> {
            self.quotas.reserve(&self.domain, bytes)
        }

        fn is_due_after(&self, pause: Duration) -> bool {
            let mut state = self.quotas.state.lock();
            let (quota, used) = state.of(&self.domain).expect("it has a quota");
            is_due(used, quota, Instant::now() + pause)
        }
    }

    #[test]
    fn a_full_domain_stores_no_more_until_it_is_measured_to_be_less_full() {
        let world = World::new(100);
        assert!(world.reserve(100).is_some(), "nothing is known yet");
        world.measure(90, || world.quotas.add(&world.domain, 1));
        world.quotas.add(&world.domain, 8);
        world.quotas.add(&world.other, u64::MAX);
        assert!(world.reserve(1).is_some(), "90, and 1 meanwhile, and 8");
        let of_other = world.quotas.reserve(&world.other, u64::MAX);
        assert!(of_other.is_some());
        assert!(!world.is_due_after(MEASURE_PAUSE), "it refused nothing");
        assert!(world.reserve(2).is_none());
        assert!(!world.is_due_after(Duration::ZERO));
        assert!(world.is_due_after(MEASURE_PAUSE));
    }

    #[test]
    fn what_is_known_outlives_another_quota_but_not_a_time_without() {
        let world = World::new(100);
        world.measure(90, || ());
        let all = |quota| PerDomain {
            all: quota,
            domains: Default::default(),
        };
        world.quotas.reload(all(Some(95)));
        assert!(world.reserve(6).is_none() && world.reserve(5).is_some());
        assert!(!world.is_due_after(Duration::ZERO));
        world.quotas.reload(all(None));
        assert!(world.reserve(u64::MAX).is_some());
        world.quotas.reload(all(Some(95)));
        assert!(world.is_due_after(Duration::ZERO));
    }

    #[test]
    fn sends_on_their_way_have_their_room_until_they_are_answered() {
        let world = World::new(100);
        world.measure(0, || ());
        let stored = world.reserve(60).expect("there is room");
        let repeat = world.reserve(40).expect("there is room");
        assert!(world.reserve(1).is_none());
        repeat.settle(0);
        let failed = world.reserve(40).expect("what was given back");
        drop(failed);
        // The send also registered a device.
        stored.settle(70);
        assert!(world.reserve(31).is_none());
        assert!(world.reserve(30).is_some());
    }

    #[test]
    fn what_was_refused_is_looked_for_until_it_has_room() {
        let world = World::new(100);
        world.measure(90, || ());
        assert!(world.reserve(20).is_none());
        world.measure_again(81);
        assert!(world.is_due_after(MEASURE_PAUSE));
        world.measure_again(80);
        assert!(!world.is_due_after(MEASURE_PAUSE));
        assert!(world.reserve(20).is_some());
    }

    #[test]
    fn what_is_on_its_way_while_it_is_measured_counts_once_it_is_stored() {
        let world = World::new(100);
        let before = world.reserve(50).expect("there is room");
        let settle = std::cell::Cell::new(Some(before));
        world.measure(0, || settle.take().expect("measured once").settle(50));
        assert!(world.reserve(51).is_none());
        assert!(world.reserve(50).is_some());
    }
}
