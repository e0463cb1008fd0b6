#![allow(clippy::unwrap_used)]

use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

use super::in_flight::{OLD_MIN, STALLED_MIN};
use super::*;
use crate::limits::{Limits, Visitor};
use crate::metrics::Metrics;
use crate::model::{LimitOptions, Mailbox, UserId};

/// An answer with 8 MiB messages.
const LARGE: usize = 2 * (8 << 20) + 3 * (64 << 10);

/// An answer with messages of the default maximum size.
const USUAL: usize = 2 * (256 << 10) + 3 * (64 << 10);

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn user(id: &str) -> Requester {
    Requester::User(Mailbox {
        domain: domain("d"),
        user: UserId::parse(id).unwrap(),
    })
}

fn address(text: &str) -> Requester {
    let limits = Limits::new(LimitOptions::default(), Arc::new(Metrics::default()));
    let visitor = Visitor::direct(text.parse().unwrap());
    Requester::Address(limits.network(&visitor).unwrap())
}

async fn enter(permits: &AnswerPermits, name: &str, bytes: usize) -> Result<AnswerPermit, Limit> {
    let domain = domain(name);
    let entered = permits.acquire(&domain, None, bytes, Some(HangUp::default()));
    entered.await
}

/// An answer of this requester that ends when told to.
async fn of(permits: &AnswerPermits, requester: &Requester) -> (Result<(), Limit>, HangUp) {
    let (domain, hang_up) = (domain("d"), HangUp::default());
    let entered = permits.acquire(&domain, Some(requester), 1, Some(hang_up.clone()));
    let entered = entered.await.map(|permit| ends_when_told(permit, &hang_up));
    (entered, hang_up)
}

fn ends_when_told(permit: AnswerPermit, hang_up: &HangUp) {
    let hang_up = hang_up.clone();
    tokio::spawn(async move {
        hang_up.cancelled().await;
        drop(permit);
    });
}

/// A client that reads a piece every second.
fn takes_until_told(permit: AnswerPermit, hang_up: &HangUp) {
    let (permit, hang_up) = (Arc::new(permit), hang_up.clone());
    tokio::spawn(async move {
        while timeout(Duration::from_secs(1), hang_up.cancelled())
            .await
            .is_err()
        {
            permit.progressed();
        }
    });
}

#[tokio::test(start_paused = true)]
async fn no_domain_takes_all_and_what_is_left_is_forgotten() {
    let permits = AnswerPermits::default();
    let mut of_one = Vec::new();
    while let Ok(permit) = enter(&permits, "one", LARGE).await {
        of_one.push(permit);
    }
    let room_for = DOMAIN_UNITS / units(LARGE);
    assert_eq!(of_one.len(), room_for);
    let refused = enter(&permits, "one", LARGE).await.err();
    assert_eq!(refused, Some(Limit::HistoryAnswers));
    let mut of_others = Vec::new();
    for _ in 0..room_for {
        of_others.push(enter(&permits, "two", LARGE).await.unwrap());
    }
    // A complete answer keeps its budget.
    of_one[0].shrink(1);
    assert!(enter(&permits, "one", LARGE).await.is_ok());
    drop((of_one, of_others));
    assert_eq!(permits.memory.available_permits(), TOTAL_BYTES / UNIT_BYTES);
    assert!(permits.domains.is_unused() && permits.in_flight.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_requester_has_a_few_at_a_time_and_few_that_wait() {
    for (one, other, limit) in [
        (user("u"), user("other"), Limit::HistoryAnswersPerUser),
        (
            address("2001:db8::1"),
            address("2001:db8:0:1::1"),
            Limit::HistoryAnswersPerAddress,
        ),
    ] {
        let permits = Arc::new(AnswerPermits::default());
        let enter = async |requester: &Requester| {
            permits
                .acquire(&domain("d"), Some(requester), 1, None)
                .await
        };
        let mut held = Vec::new();
        for _ in 0..REQUESTER_ANSWERS {
            held.push(enter(&one).await.unwrap());
        }
        assert_eq!(enter(&one).await.err(), Some(limit));
        assert!(enter(&other).await.is_ok());

        let mut waiting = JoinSet::new();
        for _ in 0..REQUESTER_WAITING {
            let (permits, one) = (Arc::clone(&permits), one.clone());
            waiting.spawn(async move {
                let entered = permits.acquire(&domain("d"), Some(&one), 1, None).await;
                entered.map(drop)
            });
        }
        // Lets all of them arrive, however few task turns there are at a time.
        for _ in 0..REQUESTER_WAITING {
            tokio::task::yield_now().await;
        }
        let began = Instant::now();
        assert_eq!(enter(&one).await.err(), Some(limit));
        assert_eq!(began.elapsed(), Duration::ZERO, "one too many to wait");
        held.pop();
        assert!(waiting.join_all().await.iter().all(Result::is_ok));
        assert!(enter(&one).await.is_ok());
        drop(held);
        assert!(permits.requesters.is_unused());
    }
}

#[tokio::test(start_paused = true)]
async fn ones_own_old_answers_lock_out_nobody() {
    let permits = AnswerPermits::default();
    let (one, other) = (user("u"), user("other"));
    let (entered, of_other) = of(&permits, &other).await;
    assert_eq!(entered, Ok(()));
    let mut told = Vec::new();
    for _ in 0..REQUESTER_ANSWERS {
        let (entered, hang_up) = of(&permits, &one).await;
        assert_eq!(entered, Ok(()));
        told.push(hang_up);
    }
    let refused = of(&permits, &one).await.0;
    assert_eq!(refused, Err(Limit::HistoryAnswersPerUser), "just begun");
    advance(OLD_MIN).await;
    assert_eq!(of(&permits, &one).await.0, Ok(()));
    let told: Vec<_> = told.iter().map(HangUp::is_cancelled).collect();
    assert_eq!(told, [true, false, false, false]);
    assert!(!of_other.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn as_many_of_the_oldest_end_as_it_takes() {
    /// Units held by a complete answer with a single message.
    const SMALL_UNITS: usize = 62;
    let permits = AnswerPermits::default();
    let (mut told, mut stays) = (Vec::new(), None);
    while (told.len() + 1) * SMALL_UNITS + units(USUAL) <= DOMAIN_UNITS {
        let (domain, hang_up) = (domain("d"), HangUp::default());
        let entered = permits.acquire(&domain, None, USUAL, Some(hang_up.clone()));
        let mut permit = entered.await.unwrap();
        permit.shrink(SMALL_UNITS * UNIT_BYTES);
        match told.len() {
            0 => stays = Some(permit),
            _ => ends_when_told(permit, &hang_up),
        }
        told.push(hang_up);
    }
    // An incomplete answer leaves next to nothing free.
    let large = enter(&permits, "d", USUAL).await;
    assert!(large.is_ok() && enter(&permits, "d", USUAL).await.is_err());
    assert!(
        !told.iter().any(HangUp::is_cancelled),
        "they have just begun"
    );

    // This one is already ending for another newcomer and is still there.
    told[0].cancel();
    advance(OLD_MIN).await;
    let entered = enter(&permits, "d", USUAL).await;
    assert!(entered.is_ok(), "{:?}", entered.err());
    let ended = told.iter().skip(1).map(HangUp::is_cancelled);
    let ended: Vec<_> = ended.collect();
    let needed = units(USUAL).div_ceil(SMALL_UNITS);
    assert_eq!(needed, 3);
    assert!(ended[..needed].iter().all(|is_said| *is_said));
    assert!(!ended[needed..].iter().any(|is_said| *is_said));
    drop((stays, large));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_of_a_domain_that_has_room_end_for_none_of_its_own() {
    let permits = AnswerPermits::default();
    let mut held = Vec::new();
    let mut enter = async |name: &str| {
        let (domain, hang_up) = (domain(name), HangUp::default());
        let entered = permits.acquire(&domain, None, USUAL, Some(hang_up.clone()));
        let entered = entered.await.map(|permit| ends_when_told(permit, &hang_up));
        held.push(hang_up);
        entered
    };
    assert_eq!(enter("other").await, Ok(()));
    let mut of_domain = 0;
    while enter("d").await.is_ok() {
        of_domain += 1;
    }
    assert_eq!(of_domain, DOMAIN_UNITS / units(USUAL));
    advance(OLD_MIN).await;
    assert_eq!(enter("d").await, Ok(()));
    let told: Vec<_> = held.iter().map(HangUp::is_cancelled).collect();
    assert!(!told[0] && told[1] && !told[2], "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_ends_soon_and_before_what_is_slow() {
    const SLOW: usize = 0;
    const READ_ONCE: usize = 1;
    let permits = AnswerPermits::default();
    let domain = domain("d");
    let (mut told, mut read_once) = (Vec::new(), None);
    for n in 0..DOMAIN_UNITS / units(USUAL) {
        let hang_up = HangUp::default();
        let entered = permits.acquire(&domain, None, USUAL, Some(hang_up.clone()));
        let permit = entered.await.unwrap();
        match n {
            SLOW => takes_until_told(permit, &hang_up),
            READ_ONCE => read_once = Some(Arc::new(permit)),
            _ => ends_when_told(permit, &hang_up),
        }
        told.push(hang_up);
    }
    let ended = || {
        let ended = told
            .iter()
            .enumerate()
            .filter(|(_, end)| end.is_cancelled());
        ended.map(|(n, _)| n).collect::<Vec<_>>()
    };
    sleep(Duration::from_secs(1)).await;
    read_once.as_ref().unwrap().progressed();
    // All become eligible for cut-off one second from here.
    sleep(STALLED_MIN - Duration::from_secs(1)).await;
    let first = enter(&permits, "d", USUAL).await;
    assert!(first.is_ok(), "{:?}", first.err());
    assert_eq!(ended(), [2], "nothing of it was taken for longest");

    sleep(OLD_MIN).await;
    let second = enter(&permits, "d", USUAL).await;
    assert!(second.is_ok(), "{:?}", second.err());
    assert_eq!(ended(), [2, 3], "the slow one is older");
}

#[tokio::test(start_paused = true)]
async fn where_all_are_taken_the_oldest_ends() {
    let permits = AnswerPermits::default();
    let (domain, one) = (domain("d"), user("u"));
    let enter = async || {
        let hang_up = HangUp::default();
        let entered = permits.acquire(&domain, Some(&one), 1, Some(hang_up.clone()));
        let entered = entered
            .await
            .map(|permit| takes_until_told(permit, &hang_up));
        (entered, hang_up)
    };
    let mut told = Vec::new();
    for _ in 0..REQUESTER_ANSWERS {
        told.push(enter().await.1);
    }
    sleep(OLD_MIN - 2 * PATIENCE).await;
    assert!(enter().await.0.is_err());
    assert!(!told.iter().any(HangUp::is_cancelled));
    assert_eq!(enter().await.0, Ok(()));
    let told: Vec<_> = told.iter().map(HangUp::is_cancelled).collect();
    assert_eq!(told, [true, false, false, false]);
}

#[tokio::test(start_paused = true)]
async fn two_domains_that_have_all_of_the_room_make_some_for_a_burst_of_a_third() {
    let permits = Arc::new(AnswerPermits::default());
    let of_each = DOMAIN_UNITS / units(USUAL);
    let mut told = Vec::new();
    for name in ["one", "two"] {
        for _ in 0..of_each {
            let hang_up = HangUp::default();
            let domain = domain(name);
            let entered = permits.acquire(&domain, None, USUAL, Some(hang_up.clone()));
            ends_when_told(entered.await.unwrap(), &hang_up);
            told.push(hang_up);
        }
    }
    advance(STALLED_MIN).await;
    // They take its whole share, so none of it is left while they wait.
    let mut burst = JoinSet::new();
    for _ in 0..of_each {
        let permits = Arc::clone(&permits);
        burst.spawn(async move { enter(&permits, "third", USUAL).await });
    }
    let burst = burst.join_all().await;
    let refused = burst.iter().filter(|entered| entered.is_err()).count();
    assert_eq!(refused, 0);
    // No more than needed: the rest of those two is enough for one.
    let ended = told.iter().filter(|end| end.is_cancelled()).count();
    assert_eq!(ended, of_each - 1);
}

#[tokio::test(start_paused = true)]
async fn a_requester_reads_for_one_answer_at_a_time() {
    let (permits, domain) = (AnswerPermits::default(), domain("d"));
    let permit = async |requester| {
        let entered = permits.acquire(&domain, requester, 1, None);
        entered.await.unwrap()
    };
    let (one, other) = (user("one"), user("other"));
    let (first, second) = (permit(Some(&one)).await, permit(Some(&one)).await);
    let reads = first.read_permit().await;
    let waits = timeout(PATIENCE, second.read_permit()).await;
    assert!(reads.is_some() && waits.is_err());
    for trusted_or_other in [None, Some(&other)] {
        let others = permit(trusted_or_other).await;
        let reads = timeout(PATIENCE, others.read_permit()).await;
        assert_eq!(reads.unwrap().is_some(), trusted_or_other.is_some());
    }
    // The read resumes where the client left off.
    drop(first);
    assert!(timeout(PATIENCE, second.read_permit()).await.is_err());
    drop(reads);
    assert!(second.read_permit().await.is_some());
    drop(second);
    assert!(permits.reads.is_unused());
}
