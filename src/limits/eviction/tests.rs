#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::task::Waker;

use super::*;
use crate::metrics::Metrics;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Door {
    permits: Arc<Semaphore>,
    strangers: Arc<Strangers>,
    metrics: Arc<Metrics>,
}

impl Door {
    fn new(connections: usize, strangers: usize, lingering: usize) -> Self {
        let metrics = Arc::<Metrics>::default();
        let overflow = overflow(&metrics);
        Self {
            permits: Arc::new(Semaphore::new(connections)),
            strangers: Arc::new(Strangers::new(connections, strangers, lingering, overflow)),
            metrics,
        }
    }

    fn noted(&self, limit: Limit) -> u64 {
        let limited = &self.metrics.sessions.limited;
        limited.with_label_values(&[limit.name()]).get()
    }

    /// A free permit, or that of the oldest stranger.
    fn enter(&self) -> Option<Standing> {
        let free = Arc::clone(&self.permits).try_acquire_owned().ok();
        let permit = free.or_else(|| self.strangers.evict_oldest())?;
        Some(Standing::new(&self.strangers, permit, PEER))
    }
}

fn overflow(metrics: &Arc<Metrics>) -> Arc<Overflow> {
    Arc::new(Overflow::new(Arc::clone(metrics)))
}

fn is_evicted(standing: &Standing) -> bool {
    let cx = Context::from_waker(Waker::noop());
    standing.poll_evicted(&cx).is_ready()
}

#[test]
fn the_oldest_stranger_gives_way_and_who_is_known_does_not() {
    let door = Door::new(4, 4, 1);
    let four: Vec<_> = (0..4).map(|_| door.enter().unwrap()).collect();
    assert!(four[0].log_in());
    four[1].vouch();
    let fifth = door.enter().unwrap();
    assert!(is_evicted(&four[2]) && !four.iter().take(2).any(is_evicted) && !is_evicted(&four[3]));
    assert!(!four[2].log_in(), "its permit is another's");
    // Half of so few are for strangers.
    assert!(!fifth.log_in());
    // Who has asked is the newest of them.
    four[1].request_ended();
    let _sixth = door.enter().unwrap();
    assert!(is_evicted(&four[3]) && !is_evicted(&four[1]));
    // The request of who has logged in ends, too.
    four[0].vouch();
    four[0].request_ended();
    for _ in 0..9 {
        door.enter().unwrap();
    }
    assert!(!is_evicted(&four[0]) && is_evicted(&four[1]));
    assert_eq!(door.permits.available_permits(), 0);
    for standing in four.iter().chain([&fifth]) {
        standing.leave();
    }
}

#[test]
fn no_more_than_the_bound_linger_and_all_permits_come_back() {
    let door = Door::new(100, 100, 2);
    let held: Vec<_> = (0..100).map(|_| door.enter().unwrap()).collect();
    let logged_in = held.iter().filter(|standing| standing.log_in()).count();
    assert_eq!(logged_in, logged_in_max(100));
    for standing in &held[..5] {
        assert!(standing.linger());
    }
    let lost: Vec<_> = held.iter().take(5).map(is_evicted).collect();
    assert_eq!(lost, [true, true, true, false, false]);
    assert_eq!(door.permits.available_permits(), 3);
    assert!(!held[0].linger());
    for standing in &held {
        standing.leave();
        standing.leave();
    }
    assert_eq!(door.permits.available_permits(), 100);
    assert_eq!(door.strangers.logged_in.available_permits(), logged_in);
    assert!(door.strangers.evict_oldest().is_none());
    assert!(door.strangers.evict_lingering().is_none());
}

#[test]
fn of_strangers_there_are_no_more_than_so_many_and_who_asks_is_the_newest() {
    let door = Door::new(100, 3, 1);
    let [first, second, third] = [(); 3].map(|()| door.enter().unwrap());
    assert!(second.log_in());
    let fourth = door.enter().unwrap();
    first.head_ended();
    let fifth = door.enter().unwrap();
    assert!(
        is_evicted(&third)
            && ![&first, &second, &fourth, &fifth]
                .into_iter()
                .any(is_evicted)
    );
    assert_eq!(door.permits.available_permits(), 96);
    assert_eq!(door.noted(Limit::Strangers), 1);
}

#[test]
fn long_heads_are_few_and_give_way_among_themselves() {
    let door = Door::new(1000, 900, 1);
    let short = door.enter().unwrap();
    let long: Vec<_> = (0..=LONG_HEADS_MAX)
        .map(|_| door.enter().unwrap())
        .collect();
    for standing in &long {
        standing.head_is_long();
        standing.head_is_long();
    }
    assert!(is_evicted(&long[0]) && !long[1..].iter().any(is_evicted));
    long[1].head_ended();
    long[0].head_is_long();
    assert!(!is_evicted(&short) && !is_evicted(&long[1]) && !is_evicted(&long[2]));
    assert_eq!(door.noted(Limit::LongHeads), 1);
    // Newcomers evict those first.
    assert!(long[3].log_in());
    for _ in 2..=LONG_HEADS_MAX {
        assert!(!is_evicted(&short) && door.strangers.evict_oldest().is_some());
    }
    assert!(
        is_evicted(&short)
            && is_evicted(&long[2])
            && !is_evicted(&long[1])
            && !is_evicted(&long[3])
    );
}

#[test]
fn there_is_room_for_both_however_few_connections_there_may_be() {
    for (connections, logged_in) in [(1, 1), (2, 1), (16, 8), (100, 92), (51_000, 50_204)] {
        let strangers = Strangers::new(connections, connections, 1, overflow(&Arc::default()));
        assert_eq!(
            strangers.logged_in.available_permits(),
            logged_in,
            "{connections}"
        );
    }
}
