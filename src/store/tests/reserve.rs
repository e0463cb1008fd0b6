//! What is kept back, by itself: how much of it is given up, and when.

use std::io::ErrorKind::{QuotaExceeded, StorageFull};

use super::super::files::{OutOfSpace as _, RealFileSystem};
use super::super::held::HeldFileSystem;
use super::super::hold::Hold;
use super::super::reserve::{RESERVE, Reserve};
use super::simulated::{Lack, SimulatedFileSystem};
use super::*;

const NEEDED_BYTES: u64 = 1 << 20;
const NEEDED_FILES: u64 = 3;

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
        let shared = Arc::new(files.clone());
        let reserve = Arc::new(Reserve::new(shared, dir.path(), u64::MAX, NEEDED_BYTES));
        let parts = || files.list(&dir.path().join(RESERVE)).unwrap();
        let check = || reserve.check_room(NEEDED_BYTES, NEEDED_FILES);
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
    let open = || Reserve::new(Arc::new(files.clone()), dir.path(), u64::MAX, NEEDED_BYTES);
    open().keep().unwrap();
    let file = files.create(&left).unwrap();
    file.preallocate(NEEDED_BYTES).unwrap();
    files.fill(Lack::Space(StorageFull), 0);
    let reserve = Arc::new(open());
    assert!(!files.holds(&left));
    drop(reserve.lend(NEEDED_BYTES, NEEDED_FILES));
    reserve.keep().unwrap();
}

/// How large one file may become is another question.
#[test]
fn a_limit_of_a_file_s_size_is_not_taken_for_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let files = SimulatedFileSystem::default();
    let shared = Arc::new(files.clone());
    let reserve = Arc::new(Reserve::new(shared, dir.path(), u64::MAX, NEEDED_BYTES));
    files.fill(Lack::FileSize(64 << 10), 0);
    reserve.check_room(NEEDED_BYTES, NEEDED_FILES).unwrap();
}

/// While much is in memory, room that goes without a word is missed before it is too little for that.
#[test]
fn where_a_quota_fills_the_tail_goes_into_the_index_in_time() {
    // Before its age makes it due.
    const IN_TIME: Duration = Duration::from_secs(20);
    let dir = tempfile::tempdir().unwrap();
    let files = SimulatedFileSystem::default();
    let store = open_sim(dir.path(), Arc::new(files.clone())).unwrap();
    let content = "x".repeat(100 << 10);
    let tail_bytes = || store.stats().tail_bytes;
    while tail_bytes() < 3 << 20 {
        send_one(&store, "a", "b", &content);
    }
    let begun = Instant::now();
    files.fill(Lack::Space(QuotaExceeded), 17 << 20);
    while tail_bytes() > 1 << 20 {
        assert!(begun.elapsed() < IN_TIME, "it stays in memory");
        std::thread::yield_now();
    }
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
