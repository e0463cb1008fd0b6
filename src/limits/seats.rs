//! Connections whose places others may take, the one that came first first: those that have not logged in, of these
//! the ones with a long head on its way, and those that are only read to their end.
//!
//! Never closes a connection: who has lost its place is told, and goes. Invariants: no more than a bound have a seat
//! of each kind; a place has one holder; who has logged in, or asks with a good token, loses none.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Limit, Limits};
use crate::model::places_known;

/// Most heads on their way that take more than a short one does.
const LONG_HEADS_MAX: usize = 256;

/// All that may be sent away, by when they came.
#[derive(Debug)]
struct Seats {
    max: usize,
    /// What is reached where one has to go.
    limit: Option<Limit>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    taken: BTreeMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    place: OwnedSemaphorePermit,
    notice: Arc<Notice>,
}

/// Tells a connection that its place was taken.
#[derive(Debug, Default)]
struct Notice {
    is_lost: AtomicBool,
    waker: AtomicWaker,
}

/// A place that others may take.
#[derive(Debug)]
struct Seat {
    seats: Arc<Seats>,
    number: u64,
}

impl Seats {
    fn new(max: usize, limit: Option<Limit>) -> Arc<Self> {
        Arc::new(Self {
            max,
            limit,
            state: Mutex::default(),
        })
    }

    /// The place of the oldest, which is told.
    fn take_oldest(&self) -> Option<OwnedSemaphorePermit> {
        let oldest = self.state().taken.pop_first();
        oldest.map(|(_, oldest)| oldest.give_up())
    }

    /// A seat for who has this place, and whether the oldest had to go for it.
    fn enter(seats: &Arc<Self>, place: OwnedSemaphorePermit, notice: Arc<Notice>) -> (Seat, bool) {
        let mut state = seats.state();
        let oldest = match state.taken.len() >= seats.max {
            true => state.taken.pop_first(),
            false => None,
        };
        let number = state.next;
        state.next += 1;
        state.taken.insert(number, Taken { place, notice });
        drop(state);
        let seat = Seat {
            seats: Arc::clone(seats),
            number,
        };
        let is_full = oldest.is_some();
        if let Some((_, oldest)) = oldest {
            drop(oldest.give_up());
        }
        (seat, is_full)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn give_up(self) -> OwnedSemaphorePermit {
        self.notice.is_lost.store(true, Ordering::Release);
        self.notice.waker.wake();
        self.place
    }
}

impl Seat {
    /// Its place, unless that was taken.
    fn leave(self) -> Option<OwnedSemaphorePermit> {
        let taken = self.seats.state().taken.remove(&self.number);
        taken.map(|taken| taken.place)
    }
}

/// Where those are who have not logged in, and how many may have.
pub struct Strangers {
    seats: Arc<Seats>,
    long_heads: Arc<Seats>,
    lingering: Arc<Seats>,
    known: Arc<Semaphore>,
    limits: Arc<Limits>,
}

impl fmt::Debug for Strangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strangers").finish_non_exhaustive()
    }
}

impl Strangers {
    /// Where there are so many places in all, of which strangers have at most `max`, and a few more with long heads;
    /// and at most `lingering_max` connections are only read on. `limits` notes who had to go.
    pub fn new(places: usize, max: usize, lingering_max: usize, limits: Arc<Limits>) -> Self {
        let long_heads_max = max.min(LONG_HEADS_MAX);
        Self {
            seats: Seats::new(max, Some(Limit::Strangers)),
            long_heads: Seats::new(long_heads_max, Some(Limit::LongHeads)),
            // These were closed already.
            lingering: Seats::new(lingering_max, None),
            limits,
            known: Arc::new(Semaphore::new(places_known(places))),
        }
    }

    /// The place of the one who came first, which is told; with long heads first, as these take more than their place.
    pub fn take_oldest(&self) -> Option<OwnedSemaphorePermit> {
        let oldest = self.long_heads.take_oldest();
        oldest.or_else(|| self.seats.take_oldest())
    }

    /// The place of the connection that has been read on for longest, which is told.
    pub fn take_lingering(&self) -> Option<OwnedSemaphorePermit> {
        self.lingering.take_oldest()
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

/// How a connection holds its place.
#[derive(Debug)]
enum Hold {
    /// Until somebody needs it.
    Seat(Seat),
    /// For one request.
    Request(Kept),
    /// For good.
    Session(Kept),
    /// It does not.
    Gone,
}

#[derive(Debug)]
struct Kept {
    place: OwnedSemaphorePermit,
    /// That there are not too many.
    _known: OwnedSemaphorePermit,
}

impl Standing {
    /// A new connection from `peer`.
    pub fn new(strangers: &Arc<Strangers>, place: OwnedSemaphorePermit, peer: IpAddr) -> Self {
        let standing = Self {
            peer,
            strangers: Arc::clone(strangers),
            notice: Arc::default(),
            state: Mutex::new(Hold::Gone),
            forwarded: OnceLock::new(),
        };
        *standing.hold() = standing.sit_down(&strangers.seats, place);
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It asks with a good token: it keeps its place until [`Standing::request_ended`], unless too many do.
    pub fn vouch(&self) {
        let mut hold = self.hold();
        if let Hold::Seat(_) = *hold {
            let kept = self.keep(std::mem::replace(&mut *hold, Hold::Gone));
            *hold = kept.map_or_else(|hold| hold, Hold::Request);
        }
    }

    /// Its head is long, and has not ended yet.
    pub fn head_is_long(&self) {
        let long_heads = &self.strangers.long_heads;
        let is_there =
            |hold: &Hold| matches!(hold, Hold::Seat(seat) if Arc::ptr_eq(&seat.seats, long_heads));
        if !is_there(&self.hold()) {
            self.change_seat(long_heads);
        }
    }

    /// The head of its request is there: it is the newest of all that have not logged in, so that the answer gets
    /// through.
    pub fn head_ended(&self) {
        self.change_seat(&self.strangers.seats);
    }

    /// The newest of those who sit there, unless it has logged in.
    fn change_seat(&self, seats: &Arc<Seats>) {
        let mut hold = self.hold();
        if let Hold::Seat(_) = *hold {
            let place = std::mem::replace(&mut *hold, Hold::Gone).end();
            *hold = place.map_or(Hold::Gone, |place| self.sit_down(seats, place));
        }
    }

    /// The request is answered: who has not logged in is a stranger, the newest of all.
    pub fn request_ended(&self) {
        let mut hold = self.hold();
        *hold = match std::mem::replace(&mut *hold, Hold::Gone) {
            Hold::Request(kept) => self.sit_down(&self.strangers.seats, kept.place),
            other => other,
        };
    }

    /// It has a session, and keeps its place. Says whether it does: its place may have been taken just now, and so
    /// may all that there are for those who have logged in.
    pub fn log_in(&self) -> bool {
        let mut hold = self.hold();
        let kept = self.keep(std::mem::replace(&mut *hold, Hold::Gone));
        let is_kept = kept.is_ok();
        *hold = kept.map_or_else(|hold| hold, Hold::Session);
        is_kept
    }

    fn keep(&self, hold: Hold) -> Result<Kept, Hold> {
        match hold {
            Hold::Request(kept) | Hold::Session(kept) => Ok(kept),
            Hold::Gone => Err(Hold::Gone),
            Hold::Seat(seat) => {
                let Ok(known) = Arc::clone(&self.strangers.known).try_acquire_owned() else {
                    return Err(Hold::Seat(seat));
                };
                let place = seat.leave().ok_or(Hold::Gone)?;
                Ok(Kept {
                    place,
                    _known: known,
                })
            }
        }
    }

    fn sit_down(&self, seats: &Arc<Seats>, place: OwnedSemaphorePermit) -> Hold {
        let (seat, is_full) = Seats::enter(seats, place, Arc::clone(&self.notice));
        if let (true, Some(limit)) = (is_full, seats.limit) {
            self.strangers.limits.note(limit, &self.peer);
        }
        Hold::Seat(seat)
    }

    /// From now on the connection is only read to its end. Says whether it had a place.
    pub fn linger(&self) -> bool {
        let mut hold = self.hold();
        let place = std::mem::replace(&mut *hold, Hold::Gone).end();
        let had_one = place.is_some();
        *hold = place.map_or(Hold::Gone, |place| {
            self.sit_down(&self.strangers.lingering, place)
        });
        had_one
    }

    /// The connection has ended.
    pub fn leave(&self) {
        let hold = std::mem::replace(&mut *self.hold(), Hold::Gone);
        drop(hold.end());
    }

    /// Ready once its place was taken; one task at a time is told.
    pub fn poll_lost(&self, cx: &Context<'_>) -> Poll<()> {
        self.notice.waker.register(cx.waker());
        match self.notice.is_lost.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Hold {
    fn end(self) -> Option<OwnedSemaphorePermit> {
        match self {
            Self::Seat(seat) => seat.leave(),
            Self::Request(kept) | Self::Session(kept) => Some(kept.place),
            Self::Gone => None,
        }
    }
}

#[cfg(test)]
mod tests;
