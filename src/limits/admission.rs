//! Bounds the rate of logins by handing out slots.
//!
//! A login above the rate is assigned a slot: the time at which it will be admitted, regardless of
//! who else arrives then. A crowd that is turned away thus comes back one by one, and hardly anyone
//! is turned away twice.
//!
//! Invariants: a user holds at most one slot, so retrying takes nobody else's; slots follow one
//! another at the rate.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::model::{Mailbox, Rate};

/// Longest wait to suggest; a login that would have to wait longer gets no slot.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Grace period of a slot whose user comes late.
const LATE_MAX: Duration = Duration::from_secs(30);
/// Interval between drops of unclaimed slots.
const PRUNE_PAUSE: Duration = Duration::from_secs(1);

/// The promised slots, and how far the rate is used up.
pub(super) struct Admission(Mutex<State>);

struct State {
    /// Time up to which admitted and promised logins have used up the rate.
    paid: Instant,
    slots: HashMap<Mailbox, Instant>,
    pruned: Instant,
}

impl Default for Admission {
    fn default() -> Self {
        let now = Instant::now();
        Self(Mutex::new(State {
            paid: now,
            slots: HashMap::new(),
            pruned: now,
        }))
    }
}

impl Admission {
    /// Admits a login of this user, or returns how long to wait.
    pub(super) fn admit(&self, rate: Rate, user: &Mailbox) -> Result<(), Duration> {
        self.admit_at(rate, user, Instant::now())
    }

    fn admit_at(&self, rate: Rate, user: &Mailbox, now: Instant) -> Result<(), Duration> {
        let mut state = self.0.lock();
        if let Some(slot) = state.slots.get(user).copied() {
            if slot > now {
                return Err(slot - now);
            }
            state.slots.remove(user);
            if now - slot <= LATE_MAX {
                return Ok(());
            }
        }
        state.prune(now);
        let paid = state.paid.max(now) + rate.time_of(1);
        let wait = (paid - now).saturating_sub(rate.per);
        if wait > RETRY_MAX {
            return Err(RETRY_MAX);
        }
        state.paid = paid;
        if wait.is_zero() {
            return Ok(());
        }
        state.slots.insert(user.clone(), now + wait);
        Err(wait)
    }
}

impl State {
    fn prune(&mut self, now: Instant) {
        if now.saturating_duration_since(self.pruned) >= PRUNE_PAUSE {
            self.pruned = now;
            self.slots.retain(|_, slot| *slot + LATE_MAX >= now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::model::{Domain, UserId};

    const MS: Duration = Duration::from_millis(1);

    fn user(number: usize) -> Mailbox {
        Mailbox {
            domain: Domain::parse("d").expect("valid"),
            user: UserId::parse(&number.to_string()).expect("valid"),
        }
    }

    /// Admits 100 per second.
    #[derive(Default)]
    struct Admitted(Admission);

    impl Admitted {
        fn admit_at(&self, user: &Mailbox, now: Instant) -> Result<(), Duration> {
            let count = NonZeroU64::new(100).expect("not zero");
            let per = Duration::from_secs(1);
            self.0.admit_at(Rate { count, per }, user, now)
        }
    }

    #[test]
    fn a_crowd_comes_back_one_by_one_and_nobody_twice() {
        let (admission, begun) = (Admitted::default(), Instant::now());
        let admit = |number| admission.admit_at(&user(number), begun);
        let hints: Vec<_> = (0..1000).map(admit).collect();
        assert!(hints[..100].iter().all(Result::is_ok));
        for (at, hint) in hints[100..].iter().enumerate() {
            assert_eq!(*hint, Err(10 * MS * (at as u32 + 1)));
        }
        for (number, hint) in hints.iter().enumerate().skip(100) {
            let slot = begun + hint.expect_err("sent away");
            // A newcomer does not get in ahead of a promised slot.
            assert!(
                admission
                    .admit_at(&user(number + 10_000), slot - MS)
                    .is_err()
            );
            assert_eq!(admission.admit_at(&user(number), slot), Ok(()));
        }
    }

    #[test]
    fn who_tries_again_and_again_takes_nobodys_turn() {
        let (admission, begun) = (Admitted::default(), Instant::now());
        (0..100).for_each(|number| assert_eq!(admission.admit_at(&user(number), begun), Ok(())));
        let hint = admission.admit_at(&user(500), begun);
        assert_eq!(hint, Err(10 * MS));
        for _ in 0..10_000 {
            assert_eq!(admission.admit_at(&user(500), begun), hint);
        }
        assert_eq!(admission.admit_at(&user(501), begun), Err(20 * MS));
    }

    #[test]
    fn what_is_promised_is_bounded_and_forgotten_in_time() {
        let (admission, begun) = (Admitted::default(), Instant::now());
        let last = (0..20_000)
            .map(|number| admission.admit_at(&user(number), begun))
            .last();
        assert_eq!(last, Some(Err(RETRY_MAX)));
        let slots = || admission.0.0.lock().slots.len();
        assert_eq!(slots(), 6_000);
        let late = begun + RETRY_MAX + LATE_MAX + MS;
        assert_eq!(admission.admit_at(&user(20_001), late), Ok(()));
        assert_eq!(slots(), 0);
    }
}
