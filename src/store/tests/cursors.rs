//! Receipt cursors: where they start, what raises and lowers them, and when they are durable.

use super::support::*;
use crate::store::tests::simulated::{Fault, SimulatedFileSystem};

fn to_resource(mut draft: Draft, resource: &str) -> Draft {
    draft.to_resource = Some(Resource::parse(resource).unwrap());
    draft
}

fn nothing_waits(store: &TestStore) {
    store.step_until("all is written", || store.shared().pending().is_empty());
}

fn cursor(store: &Store, resource: &str) -> Option<MsgId> {
    store.cursor(&device("d", "u", resource)).unwrap()
}

/// Asserts something now, from the index, after a kill, and of an index rebuilt.
fn in_every_way(dir: &Path, mut store: TestStore, check: impl Fn(&Store, &str)) -> TestStore {
    nothing_waits(&store);
    check(&store, "memory");
    store.flush();
    check(&store, "index");
    drop(store);
    store = open(dir);
    check(&store, "kill");
    drop(store);
    std::fs::remove_dir_all(dir.join("db")).unwrap();
    store = open(dir);
    check(&store, "rebuild");
    store
}

#[test]
fn cursors_rise_and_survive() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ids: Vec<_> = (0..5).map(|_| send_one(&store, "a", "u", "1")).collect();
    let (web, phone) = (device("d", "u", "web"), device("d", "u", "phone"));
    assert_eq!(cursor(&store, "web"), None);
    assert_eq!(enter(&store, &web, None), Ok(MsgId::ZERO));
    assert_eq!(cursor(&store, "web"), Some(MsgId::ZERO));
    store.confirm(&web, ids[2]);
    store.confirm(&web, ids[1]);
    store.confirm(&phone, ids[3]);
    assert_eq!(cursor(&store, "web"), Some(ids[2]), "at once");
    let store = in_every_way(dir.path(), store, |store, way| {
        assert_eq!(cursor(store, "web"), Some(ids[2]), "{way}");
        assert_eq!(cursor(store, "phone"), Some(ids[3]), "{way}");
        assert_eq!(store.cursor(&device("d", "u2", "web")).unwrap(), None);
    });
    store.confirm(&web, MsgId::MAX);
    assert_eq!(cursor(&store, "web"), Some(ids[4]));
}

#[test]
fn pending_cursors_are_written_without_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = send_one(&store, "a", "u", "1");
    let frames = store.stats().frames;
    store.confirm(&device("d", "u", "web"), id);
    store.step_until("the cursor's frame", || store.stats().frames > frames);
    drop(store);
    let store = open(dir.path());
    assert_eq!(cursor(&store, "web"), Some(id));
}

#[test]
fn a_late_confirmation_of_less_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ids: Vec<_> = (0..5).map(|_| send_one(&store, "a", "u", "1")).collect();
    let web = device("d", "u", "web");
    store.confirm(&web, ids[4]);
    nothing_waits(&store);
    store.confirm(&web, ids[4]);
    let free = store.shared().pending().is_empty();
    assert!(free, "the same again is not written again");
    store.flush();
    store.confirm(&web, ids[1]);
    assert_eq!(cursor(&store, "web"), Some(ids[4]));
    nothing_waits(&store);
    assert_eq!(cursor(&store, "web"), Some(ids[4]));
}

#[test]
fn a_device_is_known_from_its_first_login_also_in_a_domain_that_came_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (web, phone) = (device("d", "u", "web"), device("d", "u", "phone"));
    store.put_domain(record("d")).unwrap();
    let old = send_one(&store, "a", "u", "1");
    enter(&store, &web, None).unwrap();
    store.remove_domain(&domain("d")).unwrap();
    assert_eq!(enter(&store, &web, None), Err(AppendError::DomainRemoved));
    store.put_domain(record("d")).unwrap();
    // The last word of a session from before the removal.
    store.confirm(&phone, old);
    assert_eq!(cursor(&store, "phone"), None);
    assert_eq!(cursor(&store, "web"), None);
    let start = enter(&store, &web, Some(MsgId::ZERO)).unwrap();
    let new = send_one(&store, "a", "u", "2");
    assert!(old < start && start < new);
    store.confirm(&web, new);
    assert_eq!(
        enter(&store, &web, Some(old)),
        Ok(start),
        "not below the floor"
    );
    store.confirm(&phone, new);
    in_every_way(dir.path(), store, |store, way| {
        assert_eq!(cursor(store, "web"), Some(start), "{way}");
        assert_eq!(cursor(store, "phone"), Some(new), "{way}");
    });
}

#[test]
fn a_device_never_seen_starts_at_the_highest_of_the_others_and_stays_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ids: Vec<_> = (0..5).map(|_| send_one(&store, "a", "u", "1")).collect();
    store.confirm(&device("d", "u", "web"), ids[1]);
    store.confirm(&device("d", "u", "tv"), ids[3]);
    store.confirm(&device("d", "v", "web"), ids[4]);
    let phone = device("d", "u", "phone");
    assert_eq!(enter(&store, &phone, None), Ok(ids[3]));
    store.confirm(&device("d", "u", "tv"), ids[4]);
    assert_eq!(
        enter(&store, &phone, None),
        Ok(ids[3]),
        "it was known by then"
    );
    in_every_way(dir.path(), store, |store, way| {
        assert_eq!(enter(store, &phone, None), Ok(ids[3]), "{way}");
    });
}

#[test]
fn after_lowers_durably_and_never_raises() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let ids: Vec<_> = (0..5).map(|_| send_one(&store, "a", "u", "1")).collect();
    let web = device("d", "u", "web");
    store.confirm(&web, ids[3]);
    nothing_waits(&store);
    for (after, found) in [
        (ids[4], ids[3]),
        (MsgId::MAX, ids[3]),
        (ids[3], ids[3]),
        (ids[2], ids[2]),
        (MsgId(ids[1].0 - 1), MsgId(ids[1].0 - 1)),
        (MsgId::ZERO, MsgId::ZERO),
    ] {
        assert_eq!(enter(&store, &web, Some(after)), Ok(found));
        drop(store);
        store = open(dir.path());
        assert_eq!(cursor(&store, "web"), Some(found));
    }
    store.confirm(&web, ids[2]);
    let phone = device("d", "u", "phone");
    assert_eq!(
        enter(&store, &phone, Some(ids[1])),
        Ok(ids[1]),
        "a new one, too"
    );
    in_every_way(dir.path(), store, |store, way| {
        assert_eq!(cursor(store, "web"), Some(ids[2]), "{way}");
        assert_eq!(cursor(store, "phone"), Some(ids[1]), "{way}");
    });
}

#[test]
fn what_waits_to_be_written_does_not_undo_a_lowering() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ids: Vec<_> = (0..5).map(|_| send_one(&store, "a", "u", "1")).collect();
    let web = device("d", "u", "web");
    enter(&store, &web, None).unwrap();
    // Long enough for pending cursors to go along with several commits.
    for round in 0..40 {
        store.clock.advance_monotonic(Duration::from_millis(10));
        store.confirm(&web, ids[4]);
        let after = ids[round % 4];
        assert_eq!(enter(&store, &web, Some(after)), Ok(after));
        assert!(!store.shared().pending().contains_key(&web.mailbox));
        assert_eq!(cursor(&store, "web"), Some(after));
    }
    in_every_way(dir.path(), store, |store, way| {
        assert_eq!(cursor(store, "web"), Some(ids[3]), "{way}");
    });
}

#[test]
fn writing_to_a_resource_makes_it_known() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = send_one(&store, "a", "u", "1");
    store.confirm(&device("d", "u", "web"), first);
    let to = draft("a", &["u", "v"], "2");
    let sent = send(&store, to_resource(to.clone(), "phone")).unwrap();
    store.confirm(&device("d", "u", "web"), sent.ids[0]);
    send(&store, to_resource(to.clone(), "phone")).unwrap();
    send(&store, to_resource(to, "web")).unwrap();
    in_every_way(dir.path(), store, |store, way| {
        assert_eq!(cursor(store, "phone"), Some(first), "{way}");
        assert_eq!(cursor(store, "web"), Some(sent.ids[0]), "{way}");
        let phone = device("d", "v", "phone");
        assert_eq!(store.cursor(&phone).unwrap(), Some(MsgId::ZERO), "{way}");
        assert_eq!(enter(store, &device("d", "u", "phone"), None), Ok(first));
    });
}

#[test]
fn a_login_and_a_message_to_its_device_at_the_same_moment_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for round in 0..100 {
        let name = format!("phone{}", round % 40);
        let (web, phone) = (device("d", "u", "web"), device("d", "u", &name));
        let (entered, sent) = std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let to_phone = to_resource(draft("a", &["u"], "1"), &name);
                let sent = send(&store, to_phone).unwrap().ids[0];
                // Another device hurries on.
                store.confirm(&web, sent);
                sent
            });
            let entered = enter(&store, &phone, None).unwrap();
            (entered, sending.join().unwrap())
        });
        assert!(entered < sent, "{entered} {sent}");
        if round % 10 == 0 {
            drop(store);
            store = open(dir.path());
        }
        let found = store.cursor(&phone).unwrap();
        assert_eq!(found, Some(entered));
        store.confirm(&phone, sent);
    }
}

#[test]
fn a_known_device_enters_at_once_and_without_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let web = device("d", "u", "web");
    let id = send_one(&store, "a", "u", "1");
    enter(&store, &web, None).unwrap();
    store.confirm(&web, id);
    nothing_waits(&store);
    let frames = store.stats().frames;
    for after in [None, Some(id), Some(MsgId::MAX)] {
        assert_eq!(enter_later(&store, &web, after).try_recv(), Ok(Ok(id)));
        assert!(store.shared().pending().is_empty());
    }
    assert_eq!(store.stats().frames, frames);
    store.close();
    assert_eq!(enter(&store, &web, None), Err(AppendError::Closed));
}

#[test]
fn while_the_journal_fails_known_devices_enter_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let files = SimulatedFileSystem::default();
    let store = open_sim(dir.path(), Arc::new(files.clone())).unwrap();
    let id = send_one(&store, "a", "u", "1");
    let (web, phone) = (device("d", "u", "web"), device("d", "u", "phone"));
    enter(&store, &web, None).unwrap();
    store.confirm(&web, id);
    nothing_waits(&store);
    files.arm(Fault::Full(u32::MAX), 0);
    for _ in 0..10 {
        let refused = enter(&store, &phone, None);
        assert!(matches!(refused, Err(AppendError::Unavailable(_))));
        let refused = send(&store, to_resource(draft("a", &["u"], "2"), "phone"));
        assert!(matches!(refused, Err(AppendError::Unavailable(_))));
        assert_eq!(cursor(&store, "phone"), None);
        let refused = enter(&store, &web, Some(MsgId::ZERO));
        assert!(matches!(refused, Err(AppendError::Unavailable(_))));
        assert_eq!(enter(&store, &web, None), Ok(id));
    }
    // The index has them, and it is away.
    store.shared().set_index(None);
    let refused = enter(&store, &web, None);
    assert!(matches!(refused, Err(AppendError::Unavailable(_))));
    drop(store);
    files.lose_power(1);
    let store = open_sim(dir.path(), Arc::new(files)).unwrap();
    assert_eq!(cursor(&store, "phone"), None);
    assert_eq!(enter(&store, &phone, None), Ok(id));
}

#[test]
fn cursors_are_written_also_while_nothing_but_repeats_comes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let draft = with_id(draft("a", &["u"], "1"), "c-1");
    let id = send(&store, draft.clone()).unwrap().ids[0];
    store.confirm(&device("d", "u", "web"), id);
    store.step_until("the cursor's frame", || {
        assert!(send(&store, draft.clone()).unwrap().duplicate);
        store.shared().pending().is_empty()
    });
}

#[test]
fn a_clean_end_writes_all_cursors_that_wait() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = send_one(&store, "a", "u", "1");
    // More than one frame takes along.
    let devices: Vec<_> = (0..20_000)
        .map(|n| device("d", &format!("u{n}"), "web"))
        .collect();
    for device in &devices {
        store.confirm(device, id);
    }
    store.close();
    let store = open(dir.path());
    let found = |device| store.cursor(device).unwrap() == Some(id);
    assert_eq!(devices.iter().filter(|device| !found(device)).count(), 0);
}
