//! The memory budget of unfinished messages, shared by all connections.
//!
//! A message that outgrows its free allowance reserves everything it may still need at once. Until that is granted, its
//! connection is not read and the rest stays with the peer. Invariants: unfinished messages hold at most
//! [`BUDGET_BYTES`] in total beyond [`FREE_BYTES`] each; a message with a reservation waits for no other, so no
//! deadlock is possible; reservations are granted in order, first within an owner, so that an owner blocks others with
//! no more than its part.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::frame::CONTROL_BYTES_MAX;

/// Budget of all unfinished messages, beyond the free allowance of each.
const BUDGET_BYTES: usize = 64 << 20;

/// Part of the budget for one owner, or one message of the largest size if that needs more.
const OWNER_BYTES: usize = 1 << 20;

/// Free allowance of each message: small ones never wait.
const FREE_BYTES: usize = 16 << 10;

/// The granularity of reservations.
const UNIT_BYTES: usize = 64 << 10;

/// A handle to the budget; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MessageBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    all: Arc<Semaphore>,
    /// Owners that hold or await units, by hash: two with the same hash share one part.
    owners: Mutex<HashMap<u64, Arc<Semaphore>>>,
    hasher: RandomState,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(BUDGET_BYTES / UNIT_BYTES)),
            owners: Mutex::default(),
            hasher: RandomState::new(),
        }
    }
}

/// Units for a message of at most this many bytes, plus a control frame inside it.
fn units(bytes: usize) -> usize {
    let beyond = bytes.saturating_add(CONTROL_BYTES_MAX);
    let units = beyond.saturating_sub(FREE_BYTES) / UNIT_BYTES + 1;
    units.min(BUDGET_BYTES / UNIT_BYTES)
}

/// An owner's held or awaited units of its part; dropping the last one forgets the owner.
#[derive(Debug)]
struct OwnerPermit {
    budget: MessageBudget,
    owner: u64,
    /// `None` during release.
    free: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl OwnerPermit {
    async fn take(budget: MessageBudget, owner: u64, each: usize, units: usize) -> Self {
        let new = || Arc::new(Semaphore::new(each));
        let free = Arc::clone(budget.0.owners.lock().entry(owner).or_insert_with(new));
        let mut permit = Self {
            budget,
            owner,
            free: Some(Arc::clone(&free)),
            permit: None,
        };
        // Never closed.
        permit.permit = free.acquire_many_owned(units as u32).await.ok();
        permit
    }
}

impl Drop for OwnerPermit {
    fn drop(&mut self) {
        let mut owners = self.budget.0.owners.lock();
        self.permit = None;
        self.free = None;
        let unused = owners.get(&self.owner).is_some_and(|free| {
            // Each holder or waiter has a reference, too.
            Arc::strong_count(free) == 1
        });
        if unused {
            owners.remove(&self.owner);
        }
    }
}

/// Units reserved by a message.
#[derive(Debug)]
struct Reservation {
    of_all: Option<OwnedSemaphorePermit>,
    of_owner: Option<OwnerPermit>,
}

impl Reservation {
    /// The owner's part first: waiting for that blocks nobody else.
    async fn take(budget: MessageBudget, owner: Option<u64>, each: usize, units: usize) -> Self {
        let of_owner = match owner {
            Some(owner) => Some(OwnerPermit::take(budget.clone(), owner, each, units).await),
            None => None,
        };
        let all = Arc::clone(&budget.0.all);
        // Never closed.
        let of_all = all.acquire_many_owned(units as u32).await.ok();
        Self { of_all, of_owner }
    }

    fn units(&self) -> usize {
        let of_all = self.of_all.as_ref();
        of_all.map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Releases everything beyond `units`.
    fn shrink(&mut self, units: usize) {
        let surplus = self.units().saturating_sub(units);
        let of_owner = self.of_owner.as_mut();
        let of_owner = of_owner.and_then(|of_owner| of_owner.permit.as_mut());
        for permit in [self.of_all.as_mut(), of_owner].into_iter().flatten() {
            drop(permit.split(surplus));
        }
    }
}

/// One connection's use of the budget.
pub(super) struct Share {
    budget: MessageBudget,
    owner: Option<u64>,
    /// Lower bound on the owner's part: the units of the connection's largest message.
    message_units_max: usize,
    reserved: Option<Reservation>,
    waiting: Option<Pin<Box<dyn Future<Output = Reservation> + Send>>>,
}

impl Share {
    /// A share for one message at a time, of at most this many bytes.
    pub(super) fn new(budget: MessageBudget, message_bytes_max: usize) -> Self {
        Self {
            budget,
            owner: None,
            message_units_max: units(message_bytes_max),
            reserved: None,
            waiting: None,
        }
    }

    /// From now on this owner's part bounds the share, too.
    pub(super) fn belongs_to(&mut self, owner: &impl Hash) {
        self.owner = Some(self.budget.0.hasher.hash_one(owner));
    }

    /// Ready with the number of bytes, at least one, that may be held on top of `held`. `most` is the largest size that
    /// the message may reach; it may shrink, and grow only within the free allowance.
    pub(super) fn poll_reserve(
        &mut self,
        held: usize,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<usize> {
        let units = units(most);
        if held >= self.covered() {
            let waiting = self.waiting.get_or_insert_with(|| {
                let each = (OWNER_BYTES / UNIT_BYTES).max(self.message_units_max);
                Box::pin(Reservation::take(
                    self.budget.clone(),
                    self.owner,
                    each,
                    units,
                ))
            });
            self.reserved = Some(ready!(waiting.as_mut().poll(cx)));
            self.waiting = None;
        } else if let Some(reserved) = &mut self.reserved {
            reserved.shrink(units);
        }
        Poll::Ready(self.covered() - held)
    }

    fn covered(&self) -> usize {
        let units = self.reserved.as_ref().map_or(0, Reservation::units);
        FREE_BYTES + units * UNIT_BYTES
    }

    /// Whether the last [`Share::poll_reserve`] was pending.
    pub(super) fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// Releases everything, and stops waiting.
    pub(super) fn give_back(&mut self) {
        self.reserved = None;
        self.waiting = None;
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// A message of the default maximum size, as held once its reservation is granted.
    const MESSAGE_BYTES: usize = 516 << 10;

    fn share(budget: &MessageBudget, owner: &str) -> Share {
        let mut share = Share::new(budget.clone(), MESSAGE_BYTES);
        share.belongs_to(&owner);
        share
    }

    /// Bytes allowed on top of the free allowance.
    fn more(share: &mut Share, most: usize) -> Poll<usize> {
        share.poll_reserve(FREE_BYTES, most, &mut Context::from_waker(Waker::noop()))
    }

    fn all(budget: &MessageBudget) -> usize {
        budget.0.all.available_permits()
    }

    #[test]
    fn all_messages_together_are_bounded_and_small_ones_wait_for_nobody() {
        let budget = MessageBudget::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut held = Vec::new();
        let mut bytes = 0;
        let mut late = loop {
            let mut next = share(&budget, &held.len().to_string());
            match more(&mut next, MESSAGE_BYTES) {
                Poll::Ready(more) => bytes += more,
                Poll::Pending => break next,
            }
            held.push(next);
        };
        assert_eq!((bytes, held.len()), (BUDGET_BYTES, 128));
        assert!(late.waits());
        let mut small = share(&budget, "small");
        assert_eq!(small.poll_reserve(0, 100, &mut cx), Poll::Ready(FREE_BYTES));
        let last = small.poll_reserve(FREE_BYTES - 1, MESSAGE_BYTES, &mut cx);
        assert_eq!(last, Poll::Ready(1));
        held.pop();
        assert!(more(&mut late, MESSAGE_BYTES).is_ready());
        assert!(!late.waits());
        drop(held);
        late.give_back();
        assert_eq!(all(&budget), BUDGET_BYTES / UNIT_BYTES);
        assert!(budget.0.owners.lock().is_empty());
    }

    #[test]
    fn who_has_begun_can_finish() {
        let budget = MessageBudget::default();
        let mut cx = Context::from_waker(Waker::noop());
        let (mut waiting, mut done) = (Vec::new(), 0);
        for n in 0..1000 {
            waiting.push((share(&budget, &n.to_string()), FREE_BYTES));
        }
        // All of them make progress in turn, one read at a time.
        while !waiting.is_empty() {
            let before = (
                waiting.len(),
                waiting.iter().map(|(_, held)| held).sum::<usize>(),
            );
            waiting.retain_mut(|(share, held)| {
                if let Poll::Ready(more) = share.poll_reserve(*held, MESSAGE_BYTES, &mut cx) {
                    *held = MESSAGE_BYTES.min(*held + more.min(FREE_BYTES));
                }
                done += usize::from(*held == MESSAGE_BYTES);
                *held < MESSAGE_BYTES
            });
            let now = (
                waiting.len(),
                waiting.iter().map(|(_, held)| held).sum::<usize>(),
            );
            assert_ne!(before, now, "they wait for each other");
        }
        assert_eq!(done, 1000);
    }

    #[test]
    fn one_owner_has_its_part_and_its_further_messages_keep_out_nobody() {
        let budget = MessageBudget::default();
        let mut of_one: Vec<_> = (0..32).map(|_| share(&budget, "one")).collect();
        let begun = |share: &mut Share| more(share, MESSAGE_BYTES).is_ready();
        assert_eq!(
            of_one
                .iter_mut()
                .filter_map(|s| begun(s).then_some(()))
                .count(),
            2
        );
        let mut other = share(&budget, "other");
        assert!(begun(&mut other));
        // In order, so the third one is next.
        of_one[0].give_back();
        assert!(!begun(&mut of_one[3]) && begun(&mut of_one[2]));
        // An owner of larger messages has room for one of them.
        let mut large = Share::new(budget.clone(), 16 << 20);
        large.belongs_to(&"large");
        assert!(more(&mut large, 16 << 20).is_ready());
    }

    #[test]
    fn what_is_thrown_away_gives_its_room_back() {
        let budget = MessageBudget::default();
        let mut large = share(&budget, "large");
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(more(&mut large, MESSAGE_BYTES), Poll::Ready(8 * UNIT_BYTES));
        let start = 64 << 10;
        let more = large.poll_reserve(start, start, &mut cx);
        assert_eq!(more, Poll::Ready(FREE_BYTES));
        assert_eq!(all(&budget), BUDGET_BYTES / UNIT_BYTES - 1);
        let of_owner = budget
            .0
            .owners
            .lock()
            .values()
            .next()
            .map(|s| s.available_permits());
        assert_eq!(of_owner, Some(OWNER_BYTES / UNIT_BYTES - 1));
    }
}
