//! Memory of unfinished messages, shared by all connections.
//!
//! A connection takes of it as its message grows, and waits without reading where there is none: what it has not read
//! stays with its peer. Invariant: what all connections hold of unfinished messages is at most [`ROOM_BYTES`], and
//! [`FREE_BYTES`] each.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// Memory of all unfinished messages, beyond what each has free.
const ROOM_BYTES: usize = 64 << 20;

/// So much of each message needs no room: small ones wait for nobody.
const FREE_BYTES: usize = 16 << 10;

/// What the room is given out in.
const UNIT_BYTES: usize = 64 << 10;

/// The room; clones are one.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM_BYTES / UNIT_BYTES)))
    }
}

/// What one connection has of the room.
#[derive(Debug)]
pub(super) struct Share {
    room: PollSemaphore,
    taken: Option<OwnedSemaphorePermit>,
    waits: bool,
}

impl Share {
    pub(super) fn new(room: Room) -> Self {
        Self {
            room: PollSemaphore::new(room.0),
            taken: None,
            waits: false,
        }
    }

    /// Ready with how many bytes may come on top of those that are held, at least one.
    pub(super) fn poll_room(&mut self, held: usize, cx: &mut Context<'_>) -> Poll<usize> {
        while held >= self.covered() {
            self.waits = true;
            let Some(more) = ready!(self.room.poll_acquire(cx)) else {
                // Nobody closes the room.
                return Poll::Pending;
            };
            self.waits = false;
            match &mut self.taken {
                Some(taken) => taken.merge(more),
                None => self.taken = Some(more),
            }
        }
        Poll::Ready(self.covered() - held)
    }

    fn covered(&self) -> usize {
        let units = self
            .taken
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        FREE_BYTES + units * UNIT_BYTES
    }

    /// Whether there was no room when it was asked for last.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// Nothing is held any more, nor waited for.
    pub(super) fn give_back(&mut self) {
        self.taken = None;
        if std::mem::take(&mut self.waits) {
            self.room = PollSemaphore::new(self.room.clone_inner());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn all_messages_together_are_bounded_and_small_ones_wait_for_nobody() {
        let room = Room::default();
        let mut cx = Context::from_waker(Waker::noop());
        let (mut large, mut other) = (Share::new(room.clone()), Share::new(room.clone()));
        let (mut held, mut took) = (0, 0);
        while let Poll::Ready(bytes) = large.poll_room(held, &mut cx) {
            took += 1;
            held += bytes;
        }
        assert_eq!(
            (held, took),
            (FREE_BYTES + ROOM_BYTES, 1 + ROOM_BYTES / UNIT_BYTES)
        );
        assert_eq!(other.poll_room(0, &mut cx), Poll::Ready(FREE_BYTES));
        assert_eq!(other.poll_room(FREE_BYTES - 1, &mut cx), Poll::Ready(1));
        assert_eq!(other.poll_room(FREE_BYTES, &mut cx), Poll::Pending);
        other.give_back();
        large.give_back();
        assert_eq!(room.0.available_permits(), ROOM_BYTES / UNIT_BYTES);
        assert_eq!(
            other.poll_room(FREE_BYTES, &mut cx),
            Poll::Ready(UNIT_BYTES)
        );
        let rest = large.poll_room(FREE_BYTES + ROOM_BYTES - UNIT_BYTES, &mut cx);
        assert_eq!(rest, Poll::Pending);
    }
}
