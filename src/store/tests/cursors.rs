//! Receipt cursors: never lower than they were, and none from before a removal.

use super::*;

#[test]
fn a_late_confirmation_of_less_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ids: Vec<_> = (0..5).map(|_| send_one(&store, "a", "u", "1")).collect();
    let web = device("d", "u", "web");
    let frames = store.stats().frames;
    store.confirm(&web, ids[4]);
    eventually("the cursor's frame", || store.stats().frames > frames);
    store.checkpoint();
    store.confirm(&web, ids[1]);
    assert_eq!(store.cursor(&web).unwrap(), Some(ids[4]));
}

#[test]
fn a_device_is_known_from_its_first_login_also_in_a_domain_that_came_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (web, phone) = (device("d", "u", "web"), device("d", "u", "phone"));
    store.put_domain(record("d")).unwrap();
    let old = send_one(&store, "a", "u", "1");
    store.remove_domain(&domain("d")).unwrap();
    store.put_domain(record("d")).unwrap();
    // The last word of a session from before the removal.
    store.confirm(&phone, old);
    assert_eq!(store.cursor(&phone).unwrap(), None);
    store.confirm(&web, MsgId::ZERO);
    let new = send_one(&store, "a", "u", "2");
    store.confirm(&phone, new);
    let cursor = store.cursor(&web).unwrap().unwrap();
    assert!(old < cursor && cursor < new);
}
