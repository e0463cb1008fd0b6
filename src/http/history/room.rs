//! Room for answers that are on their way to their clients: so many bytes for all, half of them for
//! a domain, and a few answers for a user.
//!
//! Never holds an answer itself. Invariants: who waits does so in turn and for a bounded time; an
//! answer's room is free again once its last byte was taken or its connection has ended; where there
//! is none, the answer that has gone on for longest ends, so that readers who take little lock out
//! nobody.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::command::history::PIECE_BYTES;
use crate::limits::{HangUp, Limit};
use crate::model::{Domain, Mailbox};

/// Memory of all answers.
const ROOM_BYTES: usize = 64 << 20;

/// What the room is given out in.
const UNIT_BYTES: usize = 4 << 10;

/// Most of it that one domain takes.
const DOMAIN_UNITS: usize = ROOM_BYTES / UNIT_BYTES / 2;

/// Most answers of one user at a time, with user tokens.
const USER_ANSWERS: usize = 4;

/// Output that may wait for the socket before the next piece is asked for.
const OUTPUT_BYTES: usize = 64 << 10;

/// How long an answer waits for its user's turn, and then for room.
const WAIT: Duration = Duration::from_secs(5);

/// After so long without room, room is made.
const PATIENCE: Duration = Duration::from_secs(1);

/// For so long an answer may go on whoever waits.
const GOING_MIN: Duration = Duration::from_secs(30);

/// Who is on the way, and what of the room is free.
#[derive(Debug)]
pub struct Answers {
    room: Arc<Semaphore>,
    domains: Arc<Shares<Domain>>,
    users: Arc<Shares<Mailbox>>,
    going: Arc<Going>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(ROOM_BYTES / UNIT_BYTES)),
            domains: Shares::new(DOMAIN_UNITS),
            users: Shares::new(USER_ANSWERS),
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
    /// Room for an answer from a domain with contents of at most so many bytes. `user` is who asks by
    /// a user token; `hang_up` ends the connection that it goes out on.
    ///
    /// # Errors
    /// The limit that is reached: too many of the user are on the way, or of all.
    pub(super) async fn enter(
        &self,
        domain: &Domain,
        user: Option<&Mailbox>,
        content_bytes_max: usize,
        hang_up: Option<HangUp>,
    ) -> Result<Room, Limit> {
        let of_user = match user {
            Some(user) => {
                let turn = timeout(WAIT, Shares::take(&self.users, user, 1)).await;
                Some(turn.map_err(|_| Limit::HistoryAnswersPerUser)?)
            }
            None => None,
        };
        let units = price(content_bytes_max);
        let mut taken = pin!(async {
            let of_domain = Shares::take(&self.domains, domain, units).await;
            let of_all = Arc::clone(&self.room).acquire_many_owned(units as u32);
            // Nobody closes it.
            (of_domain, of_all.await.ok())
        });
        let (of_domain, of_all) = match timeout(PATIENCE, &mut taken).await {
            Ok(taken) => taken,
            Err(_) => {
                let scope = self.domains.is_short(domain, units).then_some(domain);
                self.going.end_oldest(scope);
                let taken = timeout(WAIT - PATIENCE, taken).await;
                taken.map_err(|_| Limit::HistoryAnswers)?
            }
        };
        Ok(Room {
            of_all,
            of_domain,
            _of_user: of_user,
            _going: Going::enter(&self.going, domain, hang_up),
        })
    }
}

/// An answer's room.
#[derive(Debug)]
pub(super) struct Room {
    of_all: Option<OwnedSemaphorePermit>,
    of_domain: Share<Domain>,
    _of_user: Option<Share<Mailbox>>,
    _going: Turn,
}

impl Room {
    /// The answer is all there and has so many bytes: what it does not need is free.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let units = bytes.div_ceil(UNIT_BYTES).max(1);
        let permits = [&mut self.of_all, &mut self.of_domain.permit];
        for permit in permits.into_iter().flatten() {
            let surplus = permit.num_permits().saturating_sub(units);
            drop(permit.split(surplus));
        }
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

/// The text of an answer, or of a piece of it, in its room.
pub(super) fn output(mut text: Vec<u8>, room: &Arc<Room>) -> Bytes {
    text.shrink_to_fit();
    let room = Arc::clone(room);
    Bytes::from_owner(Output { text, _room: room })
}

/// The same share for each key.
#[derive(Debug)]
struct Shares<K> {
    each: usize,
    taken: Mutex<HashMap<K, Arc<Semaphore>>>,
}

/// A part of a key's share; nothing is remembered of a key that has none.
#[derive(Debug)]
struct Share<K: Hash + Eq> {
    shares: Arc<Shares<K>>,
    key: K,
    /// `None` while it is given back.
    free: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl<K: Hash + Eq + Clone> Shares<K> {
    fn new(each: usize) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self { each, taken })
    }

    /// Whether less than so much of the key's share is free.
    fn is_short(&self, key: &K, units: usize) -> bool {
        let taken = lock(&self.taken);
        let share = taken.get(key);
        share.is_some_and(|free| free.available_permits() < units)
    }

    /// Waits until so much of the key's share is free.
    async fn take(shares: &Arc<Self>, key: &K, units: usize) -> Share<K> {
        let free = {
            let mut taken = lock(&shares.taken);
            let share = taken.entry(key.clone());
            let new = || Arc::new(Semaphore::new(shares.each));
            Arc::clone(share.or_insert_with(new))
        };
        let mut share = Share {
            shares: Arc::clone(shares),
            key: key.clone(),
            free: Some(Arc::clone(&free)),
            permit: None,
        };
        // Nobody closes it.
        share.permit = free.acquire_many_owned(units as u32).await.ok();
        share
    }
}

impl<K: Hash + Eq> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = lock(&self.shares.taken);
        self.permit = None;
        self.free = None;
        let unused = taken.get(&self.key).is_some_and(|share| {
            // Whoever has or awaits a part of it holds it, too.
            Arc::strong_count(share) == 1
        });
        if unused {
            taken.remove(&self.key);
        }
    }
}

/// Answers on their way, in the order in which they began.
#[derive(Debug, Default)]
struct Going(Mutex<(u64, BTreeMap<u64, Begun>)>);

#[derive(Debug)]
struct Begun {
    at: Instant,
    domain: Domain,
    hang_up: Option<HangUp>,
}

/// An answer's place among them.
#[derive(Debug)]
struct Turn {
    going: Arc<Going>,
    number: u64,
}

impl Going {
    fn enter(going: &Arc<Self>, domain: &Domain, hang_up: Option<HangUp>) -> Turn {
        let mut all = lock(&going.0);
        let number = all.0;
        all.0 += 1;
        let begun = Begun {
            at: Instant::now(),
            domain: domain.clone(),
            hang_up,
        };
        all.1.insert(number, begun);
        Turn {
            going: Arc::clone(going),
            number,
        }
    }

    /// Ends the connection of the oldest answer that has gone on for long, of this domain where one is
    /// given. One at a time: who waits beside may have the next one's room, and need not.
    fn end_oldest(&self, domain: Option<&Domain>) {
        let mut all = lock(&self.0);
        let mut of_domain = all
            .1
            .values_mut()
            .filter(|begun| domain.is_none_or(|domain| begun.domain == *domain));
        let long = |begun: &&mut Begun| begun.at.elapsed() >= GOING_MIN;
        if let Some(oldest) = of_domain.next().filter(long)
            && let Some(hang_up) = oldest.hang_up.take()
        {
            hang_up.now();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.going.0).1.remove(&self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::UserId;

    const LARGE: usize = 8 << 20;

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    fn user(id: &str) -> Mailbox {
        Mailbox {
            domain: domain("d"),
            user: UserId::parse(id).unwrap(),
        }
    }

    async fn enter(answers: &Answers, name: &str, user: Option<&Mailbox>) -> Result<Room, Limit> {
        let domain = domain(name);
        let entered = answers.enter(&domain, user, LARGE, Some(HangUp::default()));
        entered.await
    }

    #[tokio::test(start_paused = true)]
    async fn no_domain_takes_all_and_what_is_left_is_forgotten() {
        let answers = Answers::default();
        let mut of_one = Vec::new();
        while let Ok(room) = enter(&answers, "one", None).await {
            of_one.push(room);
        }
        let room_for = DOMAIN_UNITS / price(LARGE);
        assert_eq!(of_one.len(), room_for);
        let refused = enter(&answers, "one", None).await.err();
        assert_eq!(refused, Some(Limit::HistoryAnswers));
        let mut of_others = Vec::new();
        for _ in 0..room_for {
            of_others.push(enter(&answers, "two", None).await.unwrap());
        }
        // What is all there keeps what it has.
        of_one[0].shrink(1);
        assert!(enter(&answers, "one", None).await.is_ok());
        drop((of_one, of_others));
        assert_eq!(answers.room.available_permits(), ROOM_BYTES / UNIT_BYTES);
        assert!(lock(&answers.domains.taken).is_empty());
        assert!(lock(&answers.going.0).1.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_has_a_few_at_a_time() {
        let answers = Answers::default();
        let enter = async |id: &str| {
            let user = user(id);
            answers.enter(&user.domain, Some(&user), 1, None).await
        };
        let mut held = Vec::new();
        for _ in 0..USER_ANSWERS {
            held.push(enter("u").await.unwrap());
        }
        let refused = enter("u").await.err();
        assert_eq!(refused, Some(Limit::HistoryAnswersPerUser));
        assert!(enter("other").await.is_ok());
        held.pop();
        assert!(enter("u").await.is_ok());
        drop(held);
        assert!(lock(&answers.users.taken).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_gone_on_for_long_gives_way_to_who_waits() {
        let answers = Answers::default();
        let (first, other) = (HangUp::default(), HangUp::default());
        let mut held = Vec::new();
        for hang_up in [&first, &other] {
            let domain = domain("d");
            let entered = answers.enter(&domain, None, LARGE, Some(hang_up.clone()));
            held.push(entered.await.ok());
        }
        while let Ok(room) = enter(&answers, "d", None).await {
            held.push(Some(room));
        }
        assert!(!first.is_said(), "it has just begun");
        tokio::time::advance(GOING_MIN).await;
        let gone = async {
            first.said().await;
            held[0] = None;
        };
        let (room, ()) = tokio::join!(enter(&answers, "d", None), gone);
        assert!(room.is_ok() && !other.is_said());
    }
}
