#![allow(clippy::unwrap_used)]

use std::task::Waker;

use super::*;

struct Room {
    places: Arc<Semaphore>,
    strangers: Arc<Strangers>,
}

impl Room {
    fn new(places: usize, strangers: usize, lingering: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            strangers: Arc::new(Strangers::new(places, strangers, lingering)),
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
    let room = Room::new(4, 4, 1);
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
    let room = Room::new(100, 100, 2);
    let held: Vec<_> = (0..100).map(|_| room.enter().unwrap()).collect();
    let logged_in = held.iter().filter(|standing| standing.log_in()).count();
    assert_eq!(logged_in, places_known(100));
    for standing in &held[..5] {
        assert!(standing.linger());
    }
    let lost: Vec<_> = held.iter().take(5).map(is_lost).collect();
    assert_eq!(lost, [true, true, true, false, false]);
    assert_eq!(room.places.available_permits(), 3);
    assert!(!held[0].linger());
    for standing in &held {
        standing.leave();
        standing.leave();
    }
    assert_eq!(room.places.available_permits(), 100);
    assert_eq!(room.strangers.known.available_permits(), logged_in);
    assert!(room.strangers.take_oldest().is_none());
    assert!(room.strangers.take_lingering().is_none());
}

#[tokio::test(start_paused = true)]
async fn of_strangers_there_are_no_more_than_so_many_and_each_has_its_time() {
    let room = Room::new(100, 3, 1);
    let first: Vec<_> = (0..2).map(|_| room.enter().unwrap()).collect();
    tokio::time::advance(STAY_MIN / 2).await;
    assert_eq!(room.strangers.full_until(), None);
    let third = room.enter().unwrap();
    assert!(room.strangers.are_full());
    let until = room.strangers.full_until().unwrap();
    assert_eq!(until - Instant::now(), STAY_MIN / 2);
    // One who logs in makes room.
    assert!(first[1].log_in());
    assert!(!room.strangers.are_full() && room.strangers.full_until().is_none());
    let fourth = room.enter().unwrap();
    tokio::time::advance(STAY_MIN).await;
    assert_eq!(room.strangers.full_until(), None);
    let _fifth = room.enter().unwrap();
    assert!(is_lost(&first[0]) && !is_lost(&third) && !is_lost(&fourth));
    assert_eq!(room.places.available_permits(), 96);
}

#[test]
fn long_heads_are_few_and_give_way_among_themselves() {
    let room = Room::new(1000, 900, 1);
    let short = room.enter().unwrap();
    let long: Vec<_> = (0..=LONG_HEADS_MAX)
        .map(|_| room.enter().unwrap())
        .collect();
    for standing in &long {
        standing.head_is_long();
        standing.head_is_long();
    }
    assert!(is_lost(&long[0]) && !long[1..].iter().any(is_lost));
    long[1].head_ended();
    long[0].head_is_long();
    assert!(!is_lost(&short) && !is_lost(&long[1]) && !is_lost(&long[2]));
    // Where others need a place, theirs are taken, too.
    assert_eq!(room.strangers.seats.state().taken.len(), 2);
    for _ in 0..3 {
        assert!(room.strangers.take_oldest().is_some());
    }
    assert!(is_lost(&short) && is_lost(&long[1]) && is_lost(&long[2]));
    assert!(long[3].log_in());
}

#[test]
fn there_is_room_for_both_however_few_places_there_are() {
    for (places, known) in [(1, 1), (2, 1), (16, 8), (100, 92), (51_000, 50_204)] {
        let strangers = Strangers::new(places, places, 1);
        assert_eq!(strangers.known.available_permits(), known, "{places}");
    }
}
