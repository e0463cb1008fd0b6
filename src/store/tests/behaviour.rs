//! What the store promises while nothing goes wrong.

use super::support::*;
use std::sync::Arc;

use crate::clock::Clock;

#[test]
fn messages_are_there_before_and_after_a_flush_and_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..500 {
        let from = if n % 50 == 7 { "rare" } else { "often" };
        send_one(&store, from, "u", &format!("\"{n}\""));
        if n == 200 || n == 390 {
            store.flush();
        }
    }
    let mailbox = mailbox("d", "u");
    let before = check_consistent(&store, &mailbox);
    assert_eq!(before.len(), 500);
    store.flush();
    assert_eq!(store.stats().memtable_bytes, 0);
    assert_eq!(check_consistent(&store, &mailbox), before);
    store.close();
    drop(store);
    let store = open(dir.path());
    assert_eq!(check_consistent(&store, &mailbox), before);
    assert_eq!(store.last_id(), before[499].id);
    drop(store);
    let store = open(dir.path());
    assert_eq!(check_consistent(&store, &mailbox), before);
}

#[test]
fn similar_names_never_mix() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let names = ["u", "u1", "u/1", "u:1", "u%31", "用户", "用", "🙂", "🙂u"];
    for (n, to) in names.iter().enumerate() {
        for from in names {
            send_one(&store, from, to, &format!("{n}"));
        }
    }
    for round in 0..2 {
        for (n, to) in names.iter().enumerate() {
            let found = check_consistent(&store, &mailbox("d", to));
            assert_eq!(found.len(), names.len(), "{to} in round {round}");
            assert!(found.iter().all(|m| *m.content == n.to_string()));
        }
        store.flush();
    }
    assert!(all(&store, &mailbox("d2", "u")).is_empty());
}

#[test]
fn a_repeat_gets_the_first_ids_for_a_day_also_over_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let start = || {
        Store::open(
            options(dir.path()),
            clock.clone(),
            Arc::new(Seen::default()),
        )
        .unwrap()
    };
    let mut store = start();
    let first = send(&store, with_id(draft("a", &["u", "v"], "1"), "c")).unwrap();
    assert!(!first.duplicate && first.ids.len() == 2);
    for way in ["memory", "index", "replay", "clean", "late"] {
        match way {
            "index" => store.flush(),
            "replay" => {
                drop(store);
                store = start();
            }
            "clean" => {
                store.close();
                drop(store);
                store = start();
            }
            "late" => clock.advance_us(24 * 3_600_000_000 - 10),
            _ => {}
        }
        let again = send(&store, with_id(draft("a", &["u"], "2"), "c")).unwrap();
        assert!(again.duplicate, "{way}");
        assert_eq!(again.ids, first.ids, "{way}");
        assert!(
            !send(&store, with_id(draft("b", &["x"], "1"), way))
                .unwrap()
                .duplicate
        );
    }
    clock.advance_us(10);
    let later = send(&store, with_id(draft("a", &["u"], "3"), "c")).unwrap();
    assert!(!later.duplicate && later.ids[0] > first.ids[1]);
    assert_eq!(contents(&all(&store, &mailbox("d", "u"))), ["1", "3"]);
}

#[test]
fn repeats_in_one_batch_are_one_message() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let waiting: Vec<_> = (0..100)
        .map(|n| {
            send_later(
                &store,
                with_id(draft("a", &["u"], "1"), &format!("{}", n % 10)),
            )
        })
        .collect();
    let answers: Vec<_> = waiting
        .iter()
        .map(|w| w.recv_timeout(WAIT).unwrap().unwrap())
        .collect();
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.duplicate, n >= 10);
        assert_eq!(answer.ids, answers[n % 10].ids);
    }
    assert_eq!(all(&store, &mailbox("d", "u")).len(), 10);
}

/// Asks the store for its last id while it hands on a batch.
#[derive(Default)]
struct Asks {
    store: std::sync::OnceLock<Store>,
    newer: Mutex<Vec<MsgId>>,
}

impl CommitSink for Asks {
    fn committed(&self, messages: &[Message]) {
        let store = self.store.get().expect("it is set before the first send");
        let newer = messages.iter().map(|message| message.id);
        let newer = newer.filter(|id| *id > store.last_id());
        self.newer.lock().unwrap().extend(newer);
    }
}

/// Who has just got a message may log in again with `after` at once.
#[test]
fn nobody_sees_a_message_above_the_last_id() {
    let dir = tempfile::tempdir().unwrap();
    let asks = Arc::new(Asks::default());
    let store = Store::open(options(dir.path()), clock(), asks.clone()).unwrap();
    assert!(asks.store.set(store.clone()).is_ok());
    for n in 0..10 {
        send_one(&store, "a", "u", &format!("{n}"));
    }
    store.close();
    assert_eq!(*asks.newer.lock().unwrap(), []);
}

#[test]
fn ids_rise_over_clock_steps_and_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = MsgId::ZERO;
    for now_us in [NOW_US, NOW_US - 5_000_000, 1, NOW_US + 7_000_000, 2] {
        let clock = Arc::new(ManualClock::new(now_us));
        let seen = Arc::new(Seen::default());
        let store = Store::open(options(dir.path()), clock.clone(), seen.clone()).unwrap();
        assert_eq!(store.last_id(), last);
        for step in [0, 1, 1_000] {
            clock.set_us(clock.now_us().saturating_sub(step));
            let id = send_one(&store, "a", "u", "1");
            assert!(id > last && id.0 >= clock.now_us());
            last = id;
        }
        if now_us % 2 == 0 {
            store.close();
        }
        assert_eq!(seen.0.lock().unwrap().last().unwrap().id, last);
    }
}

#[test]
fn big_contents_come_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    // Hard to compress, so that it is stored in many parts.
    let mut seed = 1_u64;
    let mut noise = |bytes: usize| -> String {
        (0..bytes)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b'!' + (seed >> 58) as u8)
            })
            .collect()
    };
    let sizes = [1, 5_000, 5_200, 6_500, 20_000, 262_144, 1, 900_000, 3];
    let sent: Vec<String> = sizes.iter().map(|bytes| noise(*bytes)).collect();
    for content in &sent {
        send_one(&store, "a", "u", content);
    }
    send(&store, draft("a", &["x", "y", "z"], &sent[5])).unwrap();
    for _ in 0..2 {
        assert_eq!(
            contents(&check_consistent(&store, &mailbox("d", "u"))),
            sent
        );
        assert_eq!(contents(&all(&store, &mailbox("d", "y"))), [&sent[5]]);
        let some = store
            .messages_after(&mailbox("d", "u"), MsgId::ZERO, 9, 10_000)
            .unwrap()
            .messages;
        assert_eq!(some.len(), 3);
        store.flush();
    }
    drop(store);
    std::fs::remove_dir_all(dir.path().join("db")).unwrap();
    let store = open(dir.path());
    assert_eq!(
        contents(&check_consistent(&store, &mailbox("d", "u"))),
        sent
    );
}

#[test]
fn a_removed_domain_leaves_nothing_behind_when_it_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.put_domain(record("d")).unwrap();
    store.put_domain(record("e")).unwrap();
    let (web, u) = (device("d", "u", "web"), mailbox("d", "u"));
    for n in 0..40 {
        send(&store, with_id(draft("a", &["u"], "old"), &format!("{n}"))).unwrap();
        if n == 20 {
            store.flush();
        }
    }
    store.confirm(&web, store.last_id());
    assert!(store.remove_domain(&domain("d")).unwrap());
    assert!(!store.remove_domain(&domain("d")).unwrap());
    assert_eq!(store.domains(), [record("e")]);
    assert!(all(&store, &u).is_empty());
    let late = send(&store, draft("a", &["u"], "late"));
    assert_eq!(late, Err(AppendError::DomainRemoved));
    store.put_domain(record("d")).unwrap();
    assert_eq!(store.cursor(&web).unwrap(), None);
    let mut to_phone = draft("b", &["u"], "new 1");
    to_phone.to_resource = Some(Resource::parse("phone").unwrap());
    send(&store, to_phone).unwrap();
    assert!(store.cursor(&device("d", "u", "phone")).unwrap().is_some());
    assert!(
        !send(&store, with_id(draft("a", &["u"], "new 2"), "1"))
            .unwrap()
            .duplicate
    );
    for way in ["memory", "index", "crash", "rebuild"] {
        match way {
            "index" => store.flush(),
            "crash" | "rebuild" => {
                drop(store);
                if way == "rebuild" {
                    std::fs::remove_file(dir.path().join("db.state")).unwrap();
                }
                store = open(dir.path());
            }
            _ => {}
        }
        let found = check_consistent(&store, &u);
        assert_eq!(contents(&found), ["new 1", "new 2"], "{way}");
        assert_eq!(
            store
                .view()
                .list(&u, Some(&user("a")))
                .unwrap()
                .rank(MsgId::MAX)
                .unwrap(),
            1
        );
        assert_eq!(store.cursor(&web).unwrap(), None);
        assert!(store.cursor(&device("d", "u", "phone")).unwrap().is_some());
        assert_eq!(store.domains(), [record("d"), record("e")]);
    }
}

#[test]
fn what_comes_after_a_removal_is_not_there_when_the_domain_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.put_domain(record("d")).unwrap();
    store.remove_domain(&domain("d")).unwrap();
    let late = send(&store, draft("a", &["u"], "late"));
    assert_eq!(late, Err(AppendError::DomainRemoved));
    store.put_domain(record("d")).unwrap();
    send_one(&store, "a", "u", "new");
    assert_eq!(contents(&all(&store, &mailbox("d", "u"))), ["new"]);
}

#[test]
fn the_sink_hears_of_everything_once_in_order_before_the_answers() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Arc::new(Seen::default());
    let store = Store::open(options(dir.path()), clock(), seen.clone()).unwrap();
    let (sender, receiver) = channel();
    for n in 0..1_000 {
        let (seen, sender) = (seen.clone(), sender.clone());
        let done = move |outcome: Result<Accepted, AppendError>| {
            let id = outcome.unwrap().ids[0];
            let known = seen
                .0
                .lock()
                .unwrap()
                .iter()
                .any(|message| message.id == id);
            sender.send(known).unwrap();
        };
        let to = format!("u{}", n % 7);
        store.append(draft("a", &[&to], &n.to_string()), Box::new(done));
    }
    assert!((0..1_000).all(|_| receiver.recv_timeout(WAIT).unwrap()));
    let seen = seen.0.lock().unwrap();
    assert!(seen.is_sorted_by(|one, other| one.id < other.id));
    let numbers: Vec<usize> = seen.iter().map(|m| m.content.parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..1_000));
}

#[test]
fn a_closed_store_refuses_and_a_second_owner_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let second = Store::open(options(dir.path()), clock(), Arc::new(Seen::default()));
    assert!(matches!(second.err(), Some(OpenError::InUse(_))));
    store.close();
    store.close();
    assert_eq!(
        send(&store, draft("a", &["u"], "1")),
        Err(AppendError::Closed)
    );
    assert_eq!(store.writable(), Err(AppendError::Closed));
    assert_eq!(store.put_domain(record("d")), Err(AppendError::Closed));
    drop(open(dir.path()));
}

#[test]
fn a_newer_directory_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close();
    std::fs::write(dir.path().join("VERSION"), "2\n").unwrap();
    let opened = Store::open(options(dir.path()), clock(), Arc::new(Seen::default()));
    let error = opened.err().unwrap();
    assert!(matches!(error, OpenError::TooNew { found: 2, known: 1 }));
}
