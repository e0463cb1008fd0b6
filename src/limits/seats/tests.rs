#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::task::Waker;

use super::*;
use crate::metrics::Metrics;
use crate::model::LimitOptions;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Room {
    places: Arc<Semaphore>,
    strangers: Arc<Strangers>,
    metrics: Arc<Metrics>,
}

impl Room {
    fn new(places: usize, strangers: usize, lingering: usize) -> Self {
        let metrics = Arc::<Metrics>::default();
        let limits = limits(&metrics);
        Self {
            places: Arc::new(Semaphore::new(places)),
            strangers: Arc::new(Strangers::new(places, strangers, lingering, limits)),
            metrics,
        }
    }

    fn noted(&self, limit: Limit) -> u64 {
        let limited = &self.metrics.sessions.limited;
        limited.with_label_values(&[limit.name()]).get()
    }

    /// As at a door: a free place, or that of the oldest stranger.
    fn enter(&self) -> Option<Standing> {
        let free = Arc::clone(&self.places).try_acquire_owned().ok();
        let place = free.or_else(|| self.strangers.take_oldest())?;
        Some(Standing::new(&self.strangers, place, PEER))
    }
}

fn limits(metrics: &Arc<Metrics>) -> Arc<Limits> {
    let limits = Limits::new(LimitOptions::default(), Arc::clone(metrics));
    Arc::new(limits)
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

#[test]
fn of_strangers_there_are_no_more_than_so_many_and_who_asks_is_the_newest() {
    let room = Room::new(100, 3, 1);
    let [first, second, third] = [(); 3].map(|()| room.enter().unwrap());
    assert!(second.log_in());
    let fourth = room.enter().unwrap();
    first.head_ended();
    let fifth = room.enter().unwrap();
    assert!(is_lost(&third) && ![&first, &second, &fourth, &fifth].into_iter().any(is_lost));
    assert_eq!(room.places.available_permits(), 96);
    assert_eq!(room.noted(Limit::Strangers), 1);
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
    assert_eq!(room.noted(Limit::LongHeads), 1);
    // Where others need a place, theirs are taken first.
    assert!(long[3].log_in());
    for _ in 2..=LONG_HEADS_MAX {
        assert!(!is_lost(&short) && room.strangers.take_oldest().is_some());
    }
    assert!(is_lost(&short) && is_lost(&long[2]) && !is_lost(&long[1]) && !is_lost(&long[3]));
}

#[test]
fn there_is_room_for_both_however_few_places_there_are() {
    for (places, known) in [(1, 1), (2, 1), (16, 8), (100, 92), (51_000, 50_204)] {
        let strangers = Strangers::new(places, places, 1, limits(&Arc::default()));
        assert_eq!(strangers.known.available_permits(), known, "{places}");
    }
}
