//! Eviction: connections whose permits newcomers may take, oldest first.
//!
//! Evictable are connections that have not logged in, those with a long head in flight first, and
//! lingering ones, which are only read to their end.
//!
//! Never closes a connection itself: an evicted connection is notified and closes. Invariants: each
//! queue is bounded; a permit has one holder; a connection that has logged in, or is serving a
//! request with a good token, is not evicted.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::overflow::{Limit, Overflow};
use crate::model::logged_in_max;

/// Most long request heads in flight: those that take more than a short one does.
const LONG_HEADS_MAX: usize = 256;

/// Evictable connections, by age.
#[derive(Debug)]
struct EvictionQueue {
    max: usize,
    /// The limit to note when this queue is full and evicts.
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

/// Notifies a connection of its eviction.
#[derive(Debug, Default)]
struct Notice {
    is_evicted: AtomicBool,
    waker: AtomicWaker,
}

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

    /// Evicts the oldest connection and takes its permit.
    fn evict_oldest(&self) -> Option<OwnedSemaphorePermit> {
        let oldest = self.state.lock().by_age.pop_first();
        oldest.map(|(_, oldest)| oldest.evict())
    }

    /// Adds an entry for the holder of `permit`; `true` if the oldest was evicted for it.
    fn push(
        queue: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        notice: Arc<Notice>,
    ) -> (QueueEntry, bool) {
        let mut state = queue.state.lock();
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
        let own = self.queue.state.lock().by_age.remove(&self.number);
        own.map(|own| own.permit)
    }
}

/// Connections that have not logged in, and the number of those that may log in.
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
    /// Of `connections_max` connections, at most `max` are strangers, plus a few with long heads,
    /// and at most `lingering_max` linger. `overflow` notes evictions.
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
            // Lingering connections are closed already: no limit is noted.
            lingering: EvictionQueue::new(lingering_max, None),
            overflow,
            logged_in: Arc::new(Semaphore::new(logged_in_max(connections_max))),
        }
    }

    /// Evicts the oldest stranger and takes its permit; those with long heads first, as they cost
    /// more.
    pub fn evict_oldest(&self) -> Option<OwnedSemaphorePermit> {
        let oldest = self.long_heads.evict_oldest();
        oldest.or_else(|| self.short_heads.evict_oldest())
    }

    /// Evicts the connection that has lingered longest and takes its permit.
    pub fn evict_lingering(&self) -> Option<OwnedSemaphorePermit> {
        self.lingering.evict_oldest()
    }
}

/// The eviction state of one connection: a stranger until it logs in.
#[derive(Debug)]
pub struct Standing {
    peer: IpAddr,
    strangers: Arc<Strangers>,
    notice: Arc<Notice>,
    hold: Mutex<Hold>,
    forwarded: OnceLock<bool>,
}

/// How a connection holds its permit.
#[derive(Debug, Default)]
enum Hold {
    /// Until a newcomer needs it.
    Evictable(QueueEntry),
    /// For one request.
    Request(Held),
    /// For good.
    Session(Held),
    /// Not at all: it was evicted, or has ended.
    #[default]
    Gone,
}

#[derive(Debug)]
struct Held {
    permit: OwnedSemaphorePermit,
    /// A permit of [`Strangers::logged_in`].
    _permit: OwnedSemaphorePermit,
}

impl Standing {
    /// A new connection from `peer`, the newest stranger.
    pub fn new(strangers: &Arc<Strangers>, permit: OwnedSemaphorePermit, peer: IpAddr) -> Self {
        let standing = Self {
            peer,
            strangers: Arc::clone(strangers),
            notice: Arc::default(),
            hold: Mutex::default(),
            forwarded: OnceLock::new(),
        };
        *standing.hold.lock() = standing.enqueue(&strangers.short_heads, permit);
        standing
    }

    /// The remote address of the connection.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Whether the first request judged had `X-Forwarded-For`; this one, if it is the first.
    pub(super) fn first_forwarded(&self, forwarded: bool) -> bool {
        *self.forwarded.get_or_init(|| forwarded)
    }

    /// A request came with a good token: no eviction before [`Standing::request_ended`], unless too
    /// many connections are vouched for.
    pub fn vouch(&self) {
        let mut hold = self.hold.lock();
        if let Hold::Evictable(_) = *hold {
            let kept = self.keep(std::mem::take(&mut *hold));
            *hold = kept.map_or_else(|hold| hold, Hold::Request);
        }
    }

    /// The request head is long and incomplete.
    pub fn head_is_long(&self) {
        let long_heads = &self.strangers.long_heads;
        self.requeue(
            long_heads,
            |hold| matches!(hold, Hold::Evictable(entry) if !Arc::ptr_eq(&entry.queue, long_heads)),
        );
    }

    /// The request head is complete. Moves the connection to the newest place among strangers, so
    /// that the answer gets through.
    pub fn head_ended(&self) {
        let is_stranger = |hold: &Hold| matches!(hold, Hold::Evictable(_));
        self.requeue(&self.strangers.short_heads, is_stranger);
    }

    /// The request is answered: unless logged in, the connection is the newest stranger again.
    pub fn request_ended(&self) {
        let is_request = |hold: &Hold| matches!(hold, Hold::Request(_));
        self.requeue(&self.strangers.short_heads, is_request);
    }

    /// From now on the connection is only read to its end. `false` if it was evicted.
    pub fn linger(&self) -> bool {
        self.requeue(&self.strangers.lingering, |_| true)
    }

    /// Moves the connection to the newest place in `queue` if `is_movable`. `false` if it is not, or
    /// was evicted.
    fn requeue(&self, queue: &Arc<EvictionQueue>, is_movable: impl FnOnce(&Hold) -> bool) -> bool {
        let mut hold = self.hold.lock();
        if !is_movable(&hold) {
            return false;
        }
        let permit = std::mem::take(&mut *hold).end();
        let is_held = permit.is_some();
        *hold = permit.map_or(Hold::Gone, |permit| self.enqueue(queue, permit));
        is_held
    }

    /// A session has begun: no eviction any more. `false` if the connection was evicted just now,
    /// or if the maximum number have logged in.
    pub fn log_in(&self) -> bool {
        let mut hold = self.hold.lock();
        let kept = self.keep(std::mem::take(&mut *hold));
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

    /// Releases the permit: the connection has ended.
    pub fn leave(&self) {
        let hold = std::mem::take(&mut *self.hold.lock());
        drop(hold.end());
    }

    /// Ready once evicted. Wakes one task at a time.
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
