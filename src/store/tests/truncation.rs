//! An index whose log has lost its tail, as a bad block leaves it: sled takes up what is before.

use super::support::*;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// The file of sled's log.
fn log(dir: &Path) -> PathBuf {
    let numbers = crate::store::index::numbers(dir).unwrap();
    let number = numbers.into_iter().max().unwrap();
    dir.join("db").join(number.to_string()).join("db")
}

/// Behind the last byte that is not zero.
fn end(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0);
    last.map_or(0, |last| last as u64 + 1)
}

/// Zeroes the file from `from` on; the file's time stays, so that it passes for untouched.
fn lose_tail(path: &Path, from: u64, until: u64) {
    let file = File::options().write(true).open(path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    let zeros = vec![0; (until - from) as usize];
    file.write_all_at(&zeros, from).unwrap();
    file.set_modified(modified).unwrap();
}

/// A store that was closed behind a flush that changed nothing but a cursor and the age time, and
/// whose index has lost so many bytes since.
fn harmed(dir: &Path, clock: &Arc<ManualClock>, lost: u64) -> MsgId {
    let store = start(dir, clock);
    let phone = device("d", "u", "phone");
    let first = send_one(&store, "a", "u", "first");
    enter(&store, &phone, None).unwrap();
    store.flush();
    store.confirm(&phone, first);
    clock.advance_us(2 * 60 * 60 * 1_000_000);
    catch_up(&store, clock);
    store.close();
    drop(store);
    let until = end(&log(dir));
    lose_tail(&log(dir), until.saturating_sub(lost), until);
    first
}

fn start(dir: &Path, clock: &Arc<ManualClock>) -> Store {
    Store::open(options(dir), clock.clone(), Arc::new(Seen::default())).unwrap()
}

#[test]
fn an_index_that_lost_the_tail_of_its_log_is_made_anew() {
    for lost in (8..1_300).step_by(97) {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let first = harmed(dir.path(), &clock, lost);
        let store = start(dir.path(), &clock);
        let cursor = store.cursor(&device("d", "u", "phone")).unwrap();
        assert_eq!(cursor, Some(first), "{lost} lost");
        let found = check_consistent(&store, &mailbox("d", "u"));
        assert_eq!(contents(&found), ["first"], "{lost} lost");
        let set_aside = dir.path().join("db.broken-1");
        assert!(set_aside.exists(), "{lost} lost, and it was not noticed");
    }
}

#[test]
fn an_index_of_an_earlier_version_is_taken_over_and_gets_a_trailer() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = start(dir.path(), &clock);
    send_one(&store, "a", "u", "first");
    store.flush();
    store.shared().index().unwrap().drop_trailer();
    store.close();
    drop(store);
    for _ in 0..2 {
        let store = start(dir.path(), &clock);
        let state = store.shared().indexed.lock().clone();
        assert!(store.shared().index().unwrap().has_trailer(&state).unwrap());
        let found = check_consistent(&store, &mailbox("d", "u"));
        assert_eq!(contents(&found), ["first"]);
        store.close();
    }
    assert!(!dir.path().join("db.broken-1").exists());
}
