//! Memory of unfinished messages, shared by all connections.
//!
//! A message takes at once all that it may still need when it goes beyond what is free, and its connection is not read
//! before it has that: what has not been read stays with the peer. Invariants: what all connections hold of unfinished
//! messages is at most [`ROOM_BYTES`], and [`FREE_BYTES`] each; whoever holds a part waits for no other, so no two wait
//! for each other; who waits does so in turn, behind those of its own owner first, so that one owner's messages keep
//! out others' with no more than its part.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::frame::CONTROL_BYTES_MAX;

/// Memory of all unfinished messages, beyond what each has free.
const ROOM_BYTES: usize = 64 << 20;

/// Most of it that one owner has, or one message of the largest size where that needs more.
const OWNER_BYTES: usize = 1 << 20;

/// So much of each message needs no room: small ones wait for nobody.
const FREE_BYTES: usize = 16 << 10;

/// What the room is given out in.
const UNIT_BYTES: usize = 64 << 10;

/// The room; clones are one.
#[derive(Debug, Clone, Default)]
pub struct Room(Arc<Places>);

#[derive(Debug)]
struct Places {
    all: Arc<Semaphore>,
    /// Owners that hold or await something, by hash: two that have the same share their part.
    owners: Mutex<HashMap<u64, Arc<Semaphore>>>,
    hasher: RandomState,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ROOM_BYTES / UNIT_BYTES)),
            owners: Mutex::default(),
            hasher: RandomState::new(),
        }
    }
}

impl Places {
    fn owners(&self) -> MutexGuard<'_, HashMap<u64, Arc<Semaphore>>> {
        self.owners.lock()
    }
}

/// Units for a message of which at most so many bytes are held, and for a control frame inside it.
fn units(bytes: usize) -> usize {
    let beyond = bytes.saturating_add(CONTROL_BYTES_MAX);
    let units = beyond.saturating_sub(FREE_BYTES) / UNIT_BYTES + 1;
    units.min(ROOM_BYTES / UNIT_BYTES)
}

/// What an owner holds or awaits of its part; an owner with nothing of either is forgotten.
#[derive(Debug)]
struct OfOwner {
    room: Room,
    owner: u64,
    /// `None` while it is given back.
    free: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl OfOwner {
    async fn take(room: Room, owner: u64, each: usize, units: usize) -> Self {
        let new = || Arc::new(Semaphore::new(each));
        let free = Arc::clone(room.0.owners().entry(owner).or_insert_with(new));
        let mut taken = Self {
            room,
            owner,
            free: Some(Arc::clone(&free)),
            permit: None,
        };
        // Nobody closes it.
        taken.permit = free.acquire_many_owned(units as u32).await.ok();
        taken
    }
}

impl Drop for OfOwner {
    fn drop(&mut self) {
        let mut owners = self.room.0.owners();
        self.permit = None;
        self.free = None;
        let unused = owners.get(&self.owner).is_some_and(|free| {
            // Whoever holds or awaits some has it, too.
            Arc::strong_count(free) == 1
        });
        if unused {
            owners.remove(&self.owner);
        }
    }
}

/// What a message has of the room.
#[derive(Debug)]
struct Taken {
    of_all: Option<OwnedSemaphorePermit>,
    of_owner: Option<OfOwner>,
}

impl Taken {
    /// Its owner's part first: who waits for that keeps nobody else out.
    async fn take(room: Room, owner: Option<u64>, each: usize, units: usize) -> Self {
        let of_owner = match owner {
            Some(owner) => Some(OfOwner::take(room.clone(), owner, each, units).await),
            None => None,
        };
        let all = Arc::clone(&room.0.all);
        // Nobody closes it.
        let of_all = all.acquire_many_owned(units as u32).await.ok();
        Self { of_all, of_owner }
    }

    fn units(&self) -> usize {
        let of_all = self.of_all.as_ref();
        of_all.map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// No more than these are needed any longer.
    fn shrink(&mut self, units: usize) {
        let surplus = self.units().saturating_sub(units);
        let of_owner = self.of_owner.as_mut();
        let of_owner = of_owner.and_then(|of_owner| of_owner.permit.as_mut());
        for permit in [self.of_all.as_mut(), of_owner].into_iter().flatten() {
            drop(permit.split(surplus));
        }
    }
}

/// What one connection has of the room.
pub(super) struct Share {
    room: Room,
    owner: Option<u64>,
    /// Units that its owner has at least, as its largest message needs so many.
    message_units_max: usize,
    taken: Option<Taken>,
    waiting: Option<Pin<Box<dyn Future<Output = Taken> + Send>>>,
}

impl Share {
    /// A share for messages of which at most so many bytes are held, one after the other.
    pub(super) fn new(room: Room, message_bytes_max: usize) -> Self {
        Self {
            room,
            owner: None,
            message_units_max: units(message_bytes_max),
            taken: None,
            waiting: None,
        }
    }

    /// From now on this owner's part counts, too.
    pub(super) fn belongs_to(&mut self, owner: &impl Hash) {
        self.owner = Some(self.room.0.hasher.hash_one(owner));
    }

    /// Ready with how many bytes may come on top of those that are held, at least one. Of the message that these are
    /// of, never more than `most` are held; that may become less, and more only where it stays within what is free.
    pub(super) fn poll_room(
        &mut self,
        held: usize,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<usize> {
        let units = units(most);
        if held >= self.covered() {
            let waiting = self.waiting.get_or_insert_with(|| {
                let each = (OWNER_BYTES / UNIT_BYTES).max(self.message_units_max);
                Box::pin(Taken::take(self.room.clone(), self.owner, each, units))
            });
            self.taken = Some(ready!(waiting.as_mut().poll(cx)));
            self.waiting = None;
        } else if let Some(taken) = &mut self.taken {
            taken.shrink(units);
        }
        Poll::Ready(self.covered() - held)
    }

    fn covered(&self) -> usize {
        let units = self.taken.as_ref().map_or(0, Taken::units);
        FREE_BYTES + units * UNIT_BYTES
    }

    /// Whether there was no room when it was asked for last.
    pub(super) fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// Nothing is held any more, nor waited for.
    pub(super) fn give_back(&mut self) {
        self.taken = None;
        self.waiting = None;
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// A message of the default largest size, as somebody holds it once he has all that it needs.
    const MESSAGE_BYTES: usize = 516 << 10;

    fn share(room: &Room, owner: &str) -> Share {
        let mut share = Share::new(room.clone(), MESSAGE_BYTES);
        share.belongs_to(&owner);
        share
    }

    /// What may come on top of what is free.
    fn more(share: &mut Share, most: usize) -> Poll<usize> {
        share.poll_room(FREE_BYTES, most, &mut Context::from_waker(Waker::noop()))
    }

    fn all(room: &Room) -> usize {
        room.0.all.available_permits()
    }

    #[test]
    fn all_messages_together_are_bounded_and_small_ones_wait_for_nobody() {
        let room = Room::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut held = Vec::new();
        let mut bytes = 0;
        let mut late = loop {
            let mut next = share(&room, &held.len().to_string());
            match more(&mut next, MESSAGE_BYTES) {
                Poll::Ready(more) => bytes += more,
                Poll::Pending => break next,
            }
            held.push(next);
        };
        assert_eq!((bytes, held.len()), (ROOM_BYTES, 128));
        assert!(late.waits());
        let mut small = share(&room, "small");
        assert_eq!(small.poll_room(0, 100, &mut cx), Poll::Ready(FREE_BYTES));
        let last = small.poll_room(FREE_BYTES - 1, MESSAGE_BYTES, &mut cx);
        assert_eq!(last, Poll::Ready(1));
        held.pop();
        assert!(more(&mut late, MESSAGE_BYTES).is_ready());
        assert!(!late.waits());
        drop(held);
        late.give_back();
        assert_eq!(all(&room), ROOM_BYTES / UNIT_BYTES);
        assert!(room.0.owners().is_empty());
    }

    #[test]
    fn who_has_begun_can_finish() {
        let room = Room::default();
        let mut cx = Context::from_waker(Waker::noop());
        let (mut waiting, mut done) = (Vec::new(), 0);
        for n in 0..1000 {
            waiting.push((share(&room, &n.to_string()), FREE_BYTES));
        }
        // All of them go on in turn, by what comes in one read.
        while !waiting.is_empty() {
            let before = (
                waiting.len(),
                waiting.iter().map(|(_, held)| held).sum::<usize>(),
            );
            waiting.retain_mut(|(share, held)| {
                if let Poll::Ready(more) = share.poll_room(*held, MESSAGE_BYTES, &mut cx) {
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
        let room = Room::default();
        let mut of_one: Vec<_> = (0..32).map(|_| share(&room, "one")).collect();
        let begun = |share: &mut Share| more(share, MESSAGE_BYTES).is_ready();
        assert_eq!(
            of_one
                .iter_mut()
                .filter_map(|s| begun(s).then_some(()))
                .count(),
            2
        );
        let mut other = share(&room, "other");
        assert!(begun(&mut other));
        // In turn: the third one, then.
        of_one[0].give_back();
        assert!(!begun(&mut of_one[3]) && begun(&mut of_one[2]));
        // Whose messages are larger has room for one of them.
        let mut large = Share::new(room.clone(), 16 << 20);
        large.belongs_to(&"large");
        assert!(more(&mut large, 16 << 20).is_ready());
    }

    #[test]
    fn what_is_thrown_away_gives_its_room_back() {
        let room = Room::default();
        let mut large = share(&room, "large");
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(more(&mut large, MESSAGE_BYTES), Poll::Ready(8 * UNIT_BYTES));
        let start = 64 << 10;
        let more = large.poll_room(start, start, &mut cx);
        assert_eq!(more, Poll::Ready(FREE_BYTES));
        assert_eq!(all(&room), ROOM_BYTES / UNIT_BYTES - 1);
        let of_owner = room
            .0
            .owners()
            .values()
            .next()
            .map(|s| s.available_permits());
        assert_eq!(of_owner, Some(OWNER_BYTES / UNIT_BYTES - 1));
    }
}
