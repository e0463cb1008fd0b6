//! Connections whose permits newcomers may take, the oldest first: those that have not logged in, of these the ones with
//! a long head on its way, and those that are only read to their end.
//!
//! Never closes a connection: one that is evicted is told, and goes. Invariants: each queue is bounded; a permit has one
//! holder; a connection that has logged in, or asks with a good token, is not evicted.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::overflow::{Limit, Overflow};
use crate::model::logged_in_max;

/// Most heads on their way that take more than a short one does.
const LONG_HEADS_MAX: usize = 256;

/// Connections that may be evicted, by age.
#[derive(Debug)]
struct EvictionQueue {
    max: usize,
    /// The limit that an eviction for want of room here is noted as.
    limit: Option<Limit>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    by_age: BTreeMap<u64, Evictable>,
}

#[derive(Debug)]
struct Evictable {
    permit: OwnedSemaphorePermit,
    notice: Arc<Notice>,
}

/// Tells a connection that it is evicted.
#[derive(Debug, Default)]
struct Notice {
    is_evicted: AtomicBool,
    waker: AtomicWaker,
}

/// A connection's entry in a queue.
#[derive(Debug)]
struct QueueEntry {
    queue: Arc<EvictionQueue>,
    number: u64,
}

impl EvictionQueue {
    fn new(max: usize, limit: Option<Limit>) -> Arc<Self> {
        Arc::new(Self {
            max,
            limit,
            state: Mutex::default(),
        })
    }

    /// The permit of the oldest, which is told.
    fn evict_oldest(&self) -> Option<OwnedSemaphorePermit> {
        let oldest = self.state().by_age.pop_first();
        oldest.map(|(_, oldest)| oldest.evict())
    }

    /// An entry for the holder of this permit, and whether the oldest was evicted for it.
    fn push(
        queue: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        notice: Arc<Notice>,
    ) -> (QueueEntry, bool) {
        let mut state = queue.state();
        let oldest = match state.by_age.len() >= queue.max {
            true => state.by_age.pop_first(),
            false => None,
        };
        let number = state.next;
        state.next += 1;
        state.by_age.insert(number, Evictable { permit, notice });
        drop(state);
        let entry = QueueEntry {
            queue: Arc::clone(queue),
            number,
        };
        let is_full = oldest.is_some();
        if let Some((_, oldest)) = oldest {
            drop(oldest.evict());
        }
        (entry, is_full)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Evictable {
    fn evict(self) -> OwnedSemaphorePermit {
        self.notice.is_evicted.store(true, Ordering::Release);
        self.notice.waker.wake();
        self.permit
    }
}

impl QueueEntry {
    /// The permit, unless it was evicted.
    fn leave(self) -> Option<OwnedSemaphorePermit> {
        let own = self.queue.state().by_age.remove(&self.number);
        own.map(|own| own.permit)
    }
}

/// The connections that have not logged in, and how many may have.
pub struct Strangers {
    short_heads: Arc<EvictionQueue>,
    long_heads: Arc<EvictionQueue>,
    lingering: Arc<EvictionQueue>,
    logged_in: Arc<Semaphore>,
    overflow: Arc<Overflow>,
}

impl fmt::Debug for Strangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strangers").finish_non_exhaustive()
    }
}

impl Strangers {
    /// Among `connections_max` connections at most `max` strangers, and a few more with long heads; at most
    /// `lingering_max` are only read on. `overflow` notes evictions.
    pub(super) fn new(
        connections_max: usize,
        max: usize,
        lingering_max: usize,
        overflow: Arc<Overflow>,
    ) -> Self {
        let long_heads_max = max.min(LONG_HEADS_MAX);
        Self {
            short_heads: EvictionQueue::new(max, Some(Limit::Strangers)),
            long_heads: EvictionQueue::new(long_heads_max, Some(Limit::LongHeads)),
            // These were closed already.
            lingering: EvictionQueue::new(lingering_max, None),
            overflow,
            logged_in: Arc::new(Semaphore::new(logged_in_max(connections_max))),
        }
    }

    /// The permit of the oldest stranger, which is told; of those with long heads first, as these cost more.
    pub fn evict_oldest(&self) -> Option<OwnedSemaphorePermit> {
        let oldest = self.long_heads.evict_oldest();
        oldest.or_else(|| self.short_heads.evict_oldest())
    }

    /// The permit of the connection that has lingered longest, which is told.
    pub fn evict_lingering(&self) -> Option<OwnedSemaphorePermit> {
        self.lingering.evict_oldest()
    }
}

/// One connection among all: a stranger until it logs in.
#[derive(Debug)]
pub struct Standing {
    peer: IpAddr,
    strangers: Arc<Strangers>,
    notice: Arc<Notice>,
    state: Mutex<Hold>,
    forwarded: OnceLock<bool>,
}

/// How a connection holds its permit.
#[derive(Debug)]
enum Hold {
    /// Until a newcomer needs it.
    Evictable(QueueEntry),
    /// For one request.
    Request(Held),
    /// For good.
    Session(Held),
    /// Not at all: it was evicted, or has ended.
    Gone,
}

#[derive(Debug)]
struct Held {
    permit: OwnedSemaphorePermit,
    /// One of [`Strangers::logged_in`].
    _permit: OwnedSemaphorePermit,
}

impl Standing {
    /// A new connection from `peer`.
    pub fn new(strangers: &Arc<Strangers>, permit: OwnedSemaphorePermit, peer: IpAddr) -> Self {
        let standing = Self {
            peer,
            strangers: Arc::clone(strangers),
            notice: Arc::default(),
            state: Mutex::new(Hold::Gone),
            forwarded: OnceLock::new(),
        };
        *standing.hold() = standing.enqueue(&strangers.short_heads, permit);
        standing
    }

    /// The other end of the connection.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Whether the first request that was judged had `X-Forwarded-For`; this one, if it is the first.
    pub(super) fn first_forwarded(&self, forwarded: bool) -> bool {
        *self.forwarded.get_or_init(|| forwarded)
    }

    fn hold(&self) -> MutexGuard<'_, Hold> {
        self.state.lock()
    }

    /// It asks with a good token: it is not evicted before [`Standing::request_ended`], unless too many do so.
    pub fn vouch(&self) {
        let mut hold = self.hold();
        if let Hold::Evictable(_) = *hold {
            let kept = self.keep(std::mem::replace(&mut *hold, Hold::Gone));
            *hold = kept.map_or_else(|hold| hold, Hold::Request);
        }
    }

    /// Its head is long, and has not ended yet.
    pub fn head_is_long(&self) {
        let long_heads = &self.strangers.long_heads;
        let is_there = |hold: &Hold| matches!(hold, Hold::Evictable(entry) if Arc::ptr_eq(&entry.queue, long_heads));
        if !is_there(&self.hold()) {
            self.requeue(long_heads);
        }
    }

    /// The head of its request is there: it is the newest of all that have not logged in, so that the answer gets
    /// through.
    pub fn head_ended(&self) {
        self.requeue(&self.strangers.short_heads);
    }

    /// The newest of that queue, unless it has logged in.
    fn requeue(&self, queue: &Arc<EvictionQueue>) {
        let mut hold = self.hold();
        if let Hold::Evictable(_) = *hold {
            let permit = std::mem::replace(&mut *hold, Hold::Gone).end();
            *hold = permit.map_or(Hold::Gone, |permit| self.enqueue(queue, permit));
        }
    }

    /// The request is answered: who has not logged in is a stranger, the newest of all.
    pub fn request_ended(&self) {
        let mut hold = self.hold();
        *hold = match std::mem::replace(&mut *hold, Hold::Gone) {
            Hold::Request(held) => self.enqueue(&self.strangers.short_heads, held.permit),
            other => other,
        };
    }

    /// It has a session, and is not evicted any more. `false` if it was evicted just now, or if as many have logged in as
    /// may.
    pub fn log_in(&self) -> bool {
        let mut hold = self.hold();
        let kept = self.keep(std::mem::replace(&mut *hold, Hold::Gone));
        let is_kept = kept.is_ok();
        *hold = kept.map_or_else(|hold| hold, Hold::Session);
        is_kept
    }

    fn keep(&self, hold: Hold) -> Result<Held, Hold> {
        match hold {
            Hold::Request(held) | Hold::Session(held) => Ok(held),
            Hold::Gone => Err(Hold::Gone),
            Hold::Evictable(entry) => {
                let Ok(logged_in) = Arc::clone(&self.strangers.logged_in).try_acquire_owned()
                else {
                    return Err(Hold::Evictable(entry));
                };
                let permit = entry.leave().ok_or(Hold::Gone)?;
                Ok(Held {
                    permit,
                    _permit: logged_in,
                })
            }
        }
    }

    fn enqueue(&self, queue: &Arc<EvictionQueue>, permit: OwnedSemaphorePermit) -> Hold {
        let (entry, is_full) = EvictionQueue::push(queue, permit, Arc::clone(&self.notice));
        if let (true, Some(limit)) = (is_full, queue.limit) {
            self.strangers.overflow.note(limit, &self.peer);
        }
        Hold::Evictable(entry)
    }

    /// From now on the connection is only read to its end. `false` if it was evicted.
    pub fn linger(&self) -> bool {
        let mut hold = self.hold();
        let permit = std::mem::replace(&mut *hold, Hold::Gone).end();
        let had_one = permit.is_some();
        *hold = permit.map_or(Hold::Gone, |permit| {
            self.enqueue(&self.strangers.lingering, permit)
        });
        had_one
    }

    /// The connection has ended.
    pub fn leave(&self) {
        let hold = std::mem::replace(&mut *self.hold(), Hold::Gone);
        drop(hold.end());
    }

    /// Ready once it is evicted; one task at a time is told.
    pub fn poll_evicted(&self, cx: &Context<'_>) -> Poll<()> {
        self.notice.waker.register(cx.waker());
        match self.notice.is_evicted.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Hold {
    fn end(self) -> Option<OwnedSemaphorePermit> {
        match self {
            Self::Evictable(entry) => entry.leave(),
            Self::Request(held) | Self::Session(held) => Some(held.permit),
            Self::Gone => None,
        }
    }
}

#[cfg(test)]
mod tests;
