//! Room for answers that are on their way to their clients: so many bytes for all, half of them for
//! a domain, and a few answers for a user, or for an address without a token.
//!
//! - `shares`: what each key has of something;
//! - `going`: which answers end where there is no room.
//!
//! Never holds an answer itself. Invariants: who waits does so in turn and for a bounded time; an
//! answer's room is free again once its last byte was taken or its connection has ended; where there
//! is none, answers end of which nothing is taken, then those that have gone on for longest, so that
//! readers who take little lock out nobody, themselves neither.

mod going;
mod shares;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use going::{Going, Turn, Wanted};
use shares::{Share, Shares};

use crate::command::history::PIECE_BYTES;
use crate::limits::{HangUp, Limit, Network};
use crate::model::{Domain, Mailbox};

/// Memory of all answers.
const ROOM_BYTES: usize = 64 << 20;

/// What the room is given out in.
const UNIT_BYTES: usize = 4 << 10;

/// Most of it that one domain takes.
const DOMAIN_UNITS: usize = ROOM_BYTES / UNIT_BYTES / 2;

/// Most answers of one asker at a time.
const ASKER_ANSWERS: usize = 4;

/// Of these answers, those for which something is read at a time: the rest of the machine is others'.
const ASKER_READS: usize = 1;

/// Most of its requests that wait for its turn: each keeps its connection's place meanwhile.
const ASKER_WAITING: usize = 64;

/// Output that may wait for the socket before the next piece is asked for.
const OUTPUT_BYTES: usize = 64 << 10;

/// How long an answer waits for its asker's turn, and then for room.
const WAIT: Duration = Duration::from_secs(5);

/// After so long without either, answers end that nobody takes, or old ones.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who has a few answers at a time. Whoever holds a project token is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    /// A user, by user tokens.
    User(Mailbox),
    /// Whoever asks without a token, by where it is.
    Address(Network),
}

impl Asker {
    fn limit(&self) -> Limit {
        match self {
            Self::User(_) => Limit::HistoryAnswersPerUser,
            Self::Address(_) => Limit::HistoryAnswersPerAddress,
        }
    }
}

/// Who is on the way, and what of the room is free.
#[derive(Debug)]
pub struct Answers {
    room: Arc<Semaphore>,
    domains: Arc<Shares<Domain>>,
    askers: Arc<Shares<Asker>>,
    reads: Arc<Shares<Asker>>,
    going: Arc<Going>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(ROOM_BYTES / UNIT_BYTES)),
            domains: Shares::new(DOMAIN_UNITS, usize::MAX),
            askers: Shares::new(ASKER_ANSWERS, ASKER_ANSWERS + ASKER_WAITING),
            reads: Shares::new(ASKER_READS, usize::MAX),
            going: Arc::default(),
        }
    }
}

/// What an answer may hold while it goes on: a piece that is being read, the same as text, and the
/// text before it that the client has not taken yet.
fn price(content_bytes_max: usize) -> usize {
    let piece = PIECE_BYTES.saturating_add(content_bytes_max);
    let bytes = OUTPUT_BYTES.saturating_add(piece.saturating_mul(2));
    bytes.div_ceil(UNIT_BYTES).min(DOMAIN_UNITS)
}

impl Answers {
    /// Room for an answer from a domain with contents of at most so many bytes. `asker` is who has only a
    /// few; `hang_up` ends the connection that it goes out on.
    ///
    /// # Errors
    /// The limit that is reached: too many of the asker are on the way, or of all.
    pub(super) async fn enter(
        &self,
        domain: &Domain,
        asker: Option<&Asker>,
        content_bytes_max: usize,
        hang_up: Option<HangUp>,
    ) -> Result<Room, Limit> {
        let of_asker = match asker {
            Some(asker) => {
                let place = Shares::enter(&self.askers, asker).ok_or_else(|| asker.limit())?;
                let make_room = || self.going.make_room(Wanted::Answer(asker));
                let taken = in_time(place.filled(1), make_room).await;
                Some(taken.ok_or_else(|| asker.limit())?)
            }
            None => None,
        };
        let units = price(content_bytes_max);
        let place = Shares::enter(&self.domains, domain).ok_or(Limit::HistoryAnswers)?;
        let has_of_domain = AtomicBool::new(false);
        let taken = async {
            let of_domain = place.filled(units).await;
            has_of_domain.store(true, Ordering::Relaxed);
            let of_all = Arc::clone(&self.room).acquire_many_owned(units as u32);
            // Nobody closes it.
            (of_domain, of_all.await.ok())
        };
        let make_room = || {
            let wanted = match has_of_domain.load(Ordering::Relaxed) {
                true => Wanted::Units(units),
                false => Wanted::OfDomain(domain, units),
            };
            self.going.make_room(wanted);
        };
        let (of_domain, of_all) = in_time(taken, make_room)
            .await
            .ok_or(Limit::HistoryAnswers)?;
        Ok(Room {
            of_all,
            of_domain,
            _of_asker: of_asker,
            reads: asker.and_then(|asker| Shares::enter(&self.reads, asker)),
            turn: Going::enter(&self.going, domain, asker, units, hang_up),
        })
    }
}

/// What is taken, where that is soon enough; `make_room` helps where it is not soon.
async fn in_time<T>(taken: impl Future<Output = T>, make_room: impl FnOnce()) -> Option<T> {
    let mut taken = pin!(taken);
    if let Ok(taken) = timeout(PATIENCE, &mut taken).await {
        return Some(taken);
    }
    make_room();
    timeout(WAIT - PATIENCE, taken).await.ok()
}

/// An answer's room.
#[derive(Debug)]
pub(super) struct Room {
    of_all: Option<OwnedSemaphorePermit>,
    of_domain: Share<Domain>,
    _of_asker: Option<Share<Asker>>,
    reads: Option<Share<Asker>>,
    turn: Turn,
}

impl Room {
    /// Waits until nothing is read for another answer of the same asker. Whoever holds a project token waits for
    /// nobody.
    pub(super) async fn reading(&self) -> Option<OwnedSemaphorePermit> {
        let turn = self.reads.as_ref()?.lent().await;
        // The wait was not its client's.
        self.turn.taken();
        turn
    }

    /// The answer is all there and has so many bytes: what it does not need is free.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let units = bytes.div_ceil(UNIT_BYTES).max(1);
        let permits = [&mut self.of_all, &mut self.of_domain.permit];
        for permit in permits.into_iter().flatten() {
            let surplus = permit.num_permits().saturating_sub(units);
            drop(permit.split(surplus));
        }
        let held = self.of_domain.permit.as_ref();
        self.turn
            .shrink(held.map_or(0, |permit| permit.num_permits()));
    }
}

/// Output that keeps its room for as long as somebody has it.
struct Output {
    text: Vec<u8>,
    _room: Arc<Room>,
}

impl AsRef<[u8]> for Output {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// The text of an answer, or of a piece of it, in its room; the client has taken what was before.
pub(super) fn output(mut text: Vec<u8>, room: &Arc<Room>) -> Bytes {
    text.shrink_to_fit();
    room.turn.taken();
    let room = Arc::clone(room);
    Bytes::from_owner(Output { text, _room: room })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
