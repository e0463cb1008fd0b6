//! What erasing a mailbox hides, for how long, and what it leaves alone.

use super::support::*;

fn ids_of(store: &Store, mailbox: &Mailbox) -> Vec<MsgId> {
    all(store, mailbox).iter().map(|m| m.id).collect()
}

#[test]
fn what_is_erased_is_gone_at_once_and_for_good_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let (u, v) = (mailbox("d", "u"), mailbox("d", "v"));
    for n in 0..300 {
        send(&store, draft("a", &["u", "v"], &n.to_string())).unwrap();
        if n == 150 {
            store.flush();
        }
    }
    let before = ids_of(&store, &u);
    store.erase(&u, Some(before[100])).unwrap();
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
        assert_eq!(check_consistent(&store, &v).len(), 300, "{way}");
        let left = check_consistent(&store, &u);
        assert_eq!(left.len(), 200, "{way}");
        assert_eq!(left[0].id, before[100]);
    }
    // Less than what is gone already brings nothing back.
    store.erase(&u, Some(before[50])).unwrap();
    assert_eq!(ids_of(&store, &u), before[100..]);
    store.erase(&u, None).unwrap();
    assert!(ids_of(&store, &u).is_empty());
    send_one(&store, "a", "u", "new");
    store.erase(&u, Some(MsgId(1))).unwrap();
    assert_eq!(contents(&all(&store, &u)), ["new"]);
    assert_eq!(check_consistent(&store, &v).len(), 300);
}

#[test]
fn an_erasure_ahead_of_time_does_not_reach_what_is_yet_to_come() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    send_one(&store, "a", "u", "1");
    store.erase(&mailbox("d", "u"), Some(MsgId::MAX)).unwrap();
    send_one(&store, "a", "u", "2");
    assert_eq!(contents(&all(&store, &mailbox("d", "u"))), ["2"]);
}

#[test]
fn a_repeat_of_an_erased_send_still_gets_its_ids() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = send(&store, with_id(draft("a", &["u"], "1"), "c")).unwrap();
    store.erase(&mailbox("d", "u"), None).unwrap();
    let again = send(&store, with_id(draft("a", &["u"], "1"), "c")).unwrap();
    assert!(again.duplicate && again.ids == first.ids);
    assert!(all(&store, &mailbox("d", "u")).is_empty());
}

#[test]
fn what_is_older_than_the_retention_is_gone_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut options = options(dir.path());
    let seconds = Duration::from_secs;
    options.retention = Retention {
        all: Some(seconds(60)),
        domains: [(domain("ever"), None)].into(),
    };
    let store = Store::open(options, clock.clone(), Arc::new(Seen::default())).unwrap();
    let mut kept = draft("a", &["u"], "kept");
    kept.domain = domain("ever");
    send(&store, kept).unwrap();
    for n in 0..10 {
        send_one(&store, "a", "u", &n.to_string());
        clock.set_us(NOW_US + (n + 1) * 10_000_000);
        if n == 4 {
            store.flush();
        }
    }
    let (u, ever) = (mailbox("d", "u"), mailbox("ever", "u"));
    assert_eq!(
        contents(&check_consistent(&store, &u)),
        ["5", "6", "7", "8", "9"]
    );
    clock.set_us(NOW_US + 130_000_000);
    assert_eq!(contents(&check_consistent(&store, &u)), ["8", "9"]);
    assert_eq!(contents(&check_consistent(&store, &ever)), ["kept"]);
    store.set_retention(Retention {
        all: Some(seconds(20)),
        ..Retention::default()
    });
    assert!(check_consistent(&store, &u).is_empty());
    assert!(check_consistent(&store, &ever).is_empty());
}

#[test]
fn erasing_nothing_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    send_one(&store, "a", "u", "x");
    let before = store.journal_end();
    store.erase(&mailbox("d", "nobody"), None).unwrap();
    store.erase(&mailbox("d", "u"), Some(MsgId(1))).unwrap();
    assert_eq!(store.journal_end(), before);
    assert!(!dir.path().join("sweep.due").exists());
    store.erase(&mailbox("d", "u"), None).unwrap();
    assert!(store.journal_end().sequence > before.sequence);
}

#[test]
fn what_has_expired_can_be_erased_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let (mut options, clock) = (options(dir.path()), clock());
    options.retention.all = Some(Duration::from_secs(3_600));
    let store = Store::open(options, clock.clone(), Arc::new(Seen::default())).unwrap();
    send_one(&store, "a", "u", "x");
    clock.advance_us(3_700_000_000);
    let u = mailbox("d", "u");
    assert!(all(&store, &u).is_empty());
    store.erase(&u, None).unwrap();
    store.set_retention(Retention::default());
    assert!(all(&store, &u).is_empty());
}
