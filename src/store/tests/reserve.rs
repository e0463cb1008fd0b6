//! What is kept back, by itself: how much of it is given up, and when.

use super::support::*;
use std::io::ErrorKind::{QuotaExceeded, StorageFull};

use tempfile::TempDir;

use super::tiers::Random;
use crate::store::directory::{HeldFileSystem, Hold};
use crate::store::disk::{OutOfSpace as _, RESERVE, RealFileSystem, Reserve};
use crate::store::state::CALM_PAUSE;
use crate::store::tests::simulated::{Fault, Lack, SimulatedFileSystem};

const NEEDED_BYTES: u64 = 1 << 20;
const NEEDED_FILES: u64 = 3;

fn reserve_of(files: &SimulatedFileSystem, dir: &Path) -> Arc<Reserve> {
    let files = Arc::new(files.clone());
    Arc::new(Reserve::new(files, clock(), dir, u64::MAX, NEEDED_BYTES))
}

/// What a quota leaves is told by nobody.
#[test]
fn as_much_is_given_up_as_is_needed_whatever_the_disk_says_to_be_free() {
    for (lack, fewest) in [
        (Lack::Space(StorageFull), 28),
        (Lack::Space(QuotaExceeded), 28),
        (Lack::Files(StorageFull), 29),
        (Lack::Files(QuotaExceeded), 29),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let files = SimulatedFileSystem::default();
        let reserve = reserve_of(&files, dir.path());
        let parts = || files.list(&dir.path().join(RESERVE)).unwrap();
        let check = || reserve.check_space(NEEDED_BYTES, NEEDED_FILES);
        reserve.keep().unwrap();
        check().unwrap();
        files.fill(lack, 0);
        assert!(check().unwrap_err().is_out_of_space(), "{lack:?}");

        let lent = reserve.lend(NEEDED_BYTES, NEEDED_FILES);
        check().unwrap();
        assert_eq!(parts().len(), fewest, "{lack:?}: {:?}", parts());
        assert!(reserve.keep().is_err() && reserve.lack().is_some());
        drop(lent);
        assert_eq!(parts().len(), 32, "{lack:?}: {:?}", parts());
        assert!(reserve.lack().is_none());
    }
}

/// It may hold all the room that there is.
#[test]
fn what_a_killed_trial_left_is_removed_before_anything_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let files = SimulatedFileSystem::default();
    let left = dir.path().join(RESERVE).join("room-0");
    reserve_of(&files, dir.path()).keep().unwrap();
    let file = files.create(&left).unwrap();
    file.preallocate(NEEDED_BYTES).unwrap();
    files.fill(Lack::Space(StorageFull), 0);
    let reserve = reserve_of(&files, dir.path());
    assert!(!files.holds(&left));
    drop(reserve.lend(NEEDED_BYTES, NEEDED_FILES));
    reserve.keep().unwrap();
}

/// How large one file may become is another question.
#[test]
fn a_limit_of_a_file_s_size_is_not_taken_for_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let files = SimulatedFileSystem::default();
    let reserve = reserve_of(&files, dir.path());
    files.fill(Lack::FileSize(64 << 10), 0);
    reserve.check_space(NEEDED_BYTES, NEEDED_FILES).unwrap();
}

/// How many files hold space back.
fn parts(dir: &Path, files: &SimulatedFileSystem) -> usize {
    let names = files.list(&dir.join(RESERVE)).unwrap().into_iter();
    names.filter(|name| name.parse::<u32>().is_ok()).count()
}

/// A store on a large disk, with so many megabytes in memory.
fn busy(megabytes: usize) -> (TempDir, SimulatedFileSystem, TestStore) {
    let dir = tempfile::tempdir().unwrap();
    let files = SimulatedFileSystem::default();
    let store = with_memtable(dir.path(), &files, megabytes);
    (dir, files, store)
}

/// The same in a directory that is there.
fn with_memtable(dir: &Path, files: &SimulatedFileSystem, megabytes: usize) -> TestStore {
    let mut options = options(dir);
    options.memtable_bytes_max = 64 << 20;
    let store = TestStore::open_with(options, Arc::new(files.clone())).unwrap();
    let content = "x".repeat(1 << 18);
    let begun = Instant::now();
    while store.stats().memtable_bytes < megabytes << 20 {
        assert!(begun.elapsed() < WAIT, "it does not stay in memory");
        send_one(&store, "a", "b", &content);
    }
    store
}

#[test]
fn what_is_in_memory_has_room_in_the_index_when_the_disk_is_full_at_once() {
    for kind in [StorageFull, QuotaExceeded] {
        let (_dir, files, store) = busy(28);
        files.fill(Lack::Space(kind), 0);
        store.erase(&mailbox("d", "b"), None).unwrap();
        let is_empty = || store.stats().memtable_bytes < 1 << 20;
        store.step_until("the tail goes into the index", is_empty);
    }
}

/// Nothing is written meanwhile that it would be lent to.
#[test]
fn what_is_kept_back_for_a_large_tail_is_given_back_where_little_is_left() {
    let (dir, files, store) = busy(3);
    let parts = || parts(dir.path(), &files);
    store.flush();
    assert!(parts() > 32, "{}", parts());
    files.fill(Lack::Space(StorageFull), 20 << 20);
    let begun = store.clock.monotonic();
    store.step_until("it is given back", || parts() == 32);
    // Later it is given back whatever the disk has.
    assert!(store.clock.monotonic() - begun < CALM_PAUSE);
}

#[test]
fn what_is_kept_back_for_a_large_tail_is_given_back_after_a_minute_of_calm() {
    let (dir, files, store) = busy(3);
    let parts = || parts(dir.path(), &files);
    store.flush();
    store
        .clock
        .advance_monotonic(CALM_PAUSE - Duration::from_secs(1));
    // The second one begins with another look.
    store.flush();
    store.flush();
    assert!(parts() > 32, "{}", parts());
    store.clock.advance_monotonic(Duration::from_secs(1));
    eventually("it is given back", || parts() == 32);
}

#[test]
fn what_is_kept_back_for_a_large_tail_is_not_what_fills_the_disk() {
    for kind in [StorageFull, QuotaExceeded] {
        let (dir, files, store) = busy(3);
        let parts = || parts(dir.path(), &files);
        assert!(parts() > 32, "{kind:?}: {}", parts());
        files.fill(Lack::Space(kind), 20 << 20);
        let mut random = Random(7);
        let noise = (0..1 << 19).map(|_| char::from(b'0' + random.below(64) as u8));
        let noise: String = noise.collect();
        let begun = store.clock.monotonic();
        while parts() > 32 {
            store.clock.advance_monotonic(Duration::from_millis(2));
            // Later it is given back whatever the disk has.
            let passed = store.clock.monotonic() - begun;
            assert!(passed < CALM_PAUSE, "{kind:?}: {} are kept", parts());
            let at = random.below(1 << 18) as usize;
            let content = &noise[at..at + (1 << 18)];
            if send(&store, draft("a", &["b"], content)).is_err() {
                // Whoever makes room has a lower priority.
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

#[test]
fn nothing_but_what_is_always_kept_back_is_left_at_the_end() {
    let (dir, files, store) = busy(3);
    let parts = || parts(dir.path(), &files);
    assert!(parts() > 32);
    store.close();
    assert_eq!(parts(), 32);

    let store = with_memtable(dir.path(), &files, 3);
    files.arm(Fault::Crash, 0);
    drop(store);
    files.lose_power(1);
    assert!(parts() > 32);
    let store = open_sim(dir.path(), Arc::new(files.clone())).unwrap();
    store.close();
    assert_eq!(parts(), 32);
}

#[test]
fn whoever_removes_what_is_kept_back_is_not_taken_for_another_server() {
    let dir = tempfile::tempdir().unwrap();
    let hold = Arc::new(Hold::take(dir.path()).unwrap().unwrap());
    let files = HeldFileSystem::new(Arc::new(RealFileSystem), hold.clone());
    let reserve = dir.path().join(RESERVE);
    files.create_dir(&reserve).unwrap();
    let part = files.create(&reserve.join("room-0")).unwrap();
    std::fs::remove_dir_all(&reserve).unwrap();
    hold.check().unwrap();
    drop(part);

    let other = files.create(&dir.path().join("VERSION")).unwrap();
    std::fs::remove_file(dir.path().join("VERSION")).unwrap();
    assert!(hold.check().is_err());
    drop(other);
}
