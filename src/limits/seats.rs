//! Connections whose places others may take, the one that came first first: those that have not logged in, and
//! those that are only read to their end.
//!
//! Never closes a connection: who has lost its place is told, and goes. Invariants: no more than a bound have a seat;
//! a place has one holder; who has logged in, or asks with a good token, loses none.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::places_known;

/// All that may be sent away, by when they came.
#[derive(Debug)]
pub struct Seats {
    max: usize,
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
    /// Seats for so many.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            state: Mutex::default(),
        }
    }

    /// The place of the oldest, which is told.
    pub fn take_oldest(&self) -> Option<OwnedSemaphorePermit> {
        let oldest = self.state().taken.pop_first();
        oldest.map(|(_, oldest)| oldest.give_up())
    }

    /// A seat for who has this place; the oldest goes where there are too many.
    fn enter(seats: &Arc<Self>, place: OwnedSemaphorePermit, notice: Arc<Notice>) -> Seat {
        let mut state = seats.state();
        let oldest = match state.taken.len() >= seats.max {
            true => state.taken.pop_first(),
            false => None,
        };
        let number = state.next;
        state.next += 1;
        state.taken.insert(number, Taken { place, notice });
        drop(state);
        if let Some((_, oldest)) = oldest {
            drop(oldest.give_up());
        }
        Seat {
            seats: Arc::clone(seats),
            number,
        }
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
#[derive(Debug)]
pub struct Strangers {
    seats: Arc<Seats>,
    known: Arc<Semaphore>,
}

impl Strangers {
    /// Where there are so many places in all.
    pub fn new(places: usize) -> Self {
        Self {
            seats: Arc::new(Seats::new(usize::MAX)),
            known: Arc::new(Semaphore::new(places_known(places))),
        }
    }

    /// The place of the one who came first, which is told.
    pub fn take_oldest(&self) -> Option<OwnedSemaphorePermit> {
        self.seats.take_oldest()
    }
}

/// One connection among all: a stranger until it logs in.
#[derive(Debug)]
pub struct Standing {
    strangers: Arc<Strangers>,
    notice: Arc<Notice>,
    state: Mutex<Hold>,
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
    /// A new connection.
    pub fn new(strangers: &Arc<Strangers>, place: OwnedSemaphorePermit) -> Self {
        let notice = Arc::<Notice>::default();
        let seat = Seats::enter(&strangers.seats, place, Arc::clone(&notice));
        Self {
            strangers: Arc::clone(strangers),
            notice,
            state: Mutex::new(Hold::Seat(seat)),
        }
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
        Hold::Seat(Seats::enter(seats, place, Arc::clone(&self.notice)))
    }

    /// From now on the connection is only read to its end, in one of these seats. Says whether it had a place.
    pub fn linger(&self, lingering: &Arc<Seats>) -> bool {
        let mut hold = self.hold();
        let place = std::mem::replace(&mut *hold, Hold::Gone).end();
        let had_one = place.is_some();
        *hold = place.map_or(Hold::Gone, |place| self.sit_down(lingering, place));
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
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::task::Waker;

    use super::*;

    struct Room {
        places: Arc<Semaphore>,
        strangers: Arc<Strangers>,
    }

    impl Room {
        fn new(places: usize) -> Self {
            Self {
                places: Arc::new(Semaphore::new(places)),
                strangers: Arc::new(Strangers::new(places)),
            }
        }

        /// As at a door: a free place, or that of the oldest stranger.
        fn enter(&self) -> Option<Standing> {
            let free = Arc::clone(&self.places).try_acquire_owned().ok();
            let place = free.or_else(|| self.strangers.take_oldest())?;
            Some(Standing::new(&self.strangers, place))
        }
    }

    fn is_lost(standing: &Standing) -> bool {
        let cx = Context::from_waker(Waker::noop());
        standing.poll_lost(&cx).is_ready()
    }

    #[test]
    fn the_oldest_stranger_gives_way_and_who_is_known_does_not() {
        let room = Room::new(4);
        let four: Vec<_> = (0..4).map(|_| room.enter().unwrap()).collect();
        assert!(four[0].log_in());
        four[1].vouch();
        let fifth = room.enter().unwrap();
        assert!(is_lost(&four[2]) && !four.iter().take(2).any(is_lost) && !is_lost(&four[3]));
        assert!(!four[2].log_in(), "its place is another's");
        // Half of so few are for strangers.
        assert!(!fifth.log_in());
        // Who has asked is the newest of them.
        four[1].request_ended();
        let _sixth = room.enter().unwrap();
        assert!(is_lost(&four[3]) && !is_lost(&four[1]));
        // The request of who has logged in ends, too.
        four[0].vouch();
        four[0].request_ended();
        for _ in 0..9 {
            room.enter().unwrap();
        }
        assert!(!is_lost(&four[0]) && is_lost(&four[1]));
        assert_eq!(room.places.available_permits(), 0);
        for standing in four.iter().chain([&fifth]) {
            standing.leave();
        }
    }

    #[test]
    fn no_more_than_the_bound_linger_and_all_places_come_back() {
        let room = Room::new(100);
        let lingering = Arc::new(Seats::new(2));
        let held: Vec<_> = (0..100).map(|_| room.enter().unwrap()).collect();
        let logged_in = held.iter().filter(|standing| standing.log_in()).count();
        assert_eq!(logged_in, places_known(100));
        for standing in &held[..5] {
            assert!(standing.linger(&lingering));
        }
        let lost: Vec<_> = held.iter().take(5).map(is_lost).collect();
        assert_eq!(lost, [true, true, true, false, false]);
        assert_eq!(room.places.available_permits(), 3);
        assert!(!held[0].linger(&lingering));
        for standing in &held {
            standing.leave();
            standing.leave();
        }
        assert_eq!(room.places.available_permits(), 100);
        assert_eq!(room.strangers.known.available_permits(), logged_in);
        assert!(room.strangers.take_oldest().is_none() && lingering.take_oldest().is_none());
    }

    #[test]
    fn there_is_room_for_both_however_few_places_there_are() {
        for (places, known) in [(1, 1), (2, 1), (16, 8), (100, 92), (51_000, 50_204)] {
            let strangers = Strangers::new(places);
            assert_eq!(strangers.known.available_permits(), known, "{places}");
        }
    }
}
