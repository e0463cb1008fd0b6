//! What is found again after things went wrong, and what is reported instead.

use super::support::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::journal::{End, FrameBuffer, Position, Writer, WriterStart};
use crate::store::tests::simulated::{Fault, SimulatedFileSystem};

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("journal")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn fill(dir: &Path, count: usize) {
    let store = open(dir);
    for n in 0..count {
        send_one(&store, "a", "u", &format!("{n} {}", "x".repeat(1_000)));
    }
}

fn reopened(dir: &Path) -> Result<usize, OpenError> {
    let store = Store::open(options(dir), clock(), Arc::new(Seen::default()))?;
    Ok(check_consistent(&store, &mailbox("d", "u")).len())
}

fn damage_of(dir: &Path) -> (PathBuf, u64) {
    match reopened(dir).unwrap_err() {
        OpenError::File(FileError::Damaged(damage)) => (damage.path, damage.offset),
        other => panic!("{other}"),
    }
}

fn edit(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    edit(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_torn_end_is_cut_off() {
    for (cut, found) in [(1, 9), (500, 9), (1_100, 8)] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), 10);
        let path = segments(dir.path()).pop().unwrap();
        edit(&path, |bytes| bytes.truncate(bytes.len() - cut));
        assert_eq!(reopened(dir.path()).unwrap(), found, "cut by {cut}");
        assert_eq!(reopened(dir.path()).unwrap(), found);
        edit(&path, |bytes| bytes.extend_from_slice(&[0; 5_000]));
        edit(&path, |bytes| bytes.extend_from_slice(b"rbF1 rubbish"));
        assert_eq!(reopened(dir.path()).unwrap(), found);
        fill(dir.path(), 3);
        assert_eq!(reopened(dir.path()).unwrap(), found + 3);
    }
}

#[test]
fn behind_a_clean_end_damage_is_no_torn_write() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 10);
    open(dir.path()).close();
    let path = segments(dir.path()).pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let frame = (whole.len() - 64 - 32) / 10;
    for cut in [1, 32] {
        edit(&path, |bytes| bytes.truncate(bytes.len() - cut));
        assert_eq!(reopened(dir.path()).unwrap(), 10, "only the mark was cut");
        open(dir.path()).close();
        assert_eq!(std::fs::read(&path).unwrap(), whole, "it is marked again");
    }
    open(dir.path()).close();
    assert_eq!(std::fs::read(&path).unwrap(), whole, "one mark is enough");
    edit(&path, |bytes| bytes[64 + 9 * frame + 200] ^= 1);
    let (at, offset) = damage_of(dir.path());
    assert_eq!(at, path);
    assert!(offset.abs_diff((64 + 9 * frame) as u64) < 40);
}

#[test]
fn damage_is_reported_and_never_skipped() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 10);
    let path = segments(dir.path()).pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let frame = (whole.len() - 64) / 10;
    edit(&path, |bytes| bytes[64 + 5 * frame + 200] ^= 1);
    let (at, offset) = damage_of(dir.path());
    assert_eq!(at, path);
    assert!(offset.abs_diff((64 + 5 * frame) as u64) < 40);
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(reopened(dir.path()).unwrap(), 10);
    edit(&path, |bytes| bytes[20] ^= 1);
    assert_eq!(damage_of(dir.path()), (path.clone(), 0));
    std::fs::remove_file(&path).unwrap();
    damage_of(dir.path());
}

#[test]
fn an_index_or_a_version_without_the_journal_is_no_new_directory() {
    let dir = tempfile::tempdir().unwrap();
    let remove = |name: &str| std::fs::remove_file(dir.path().join(name)).unwrap();
    open(dir.path()).close();
    remove("db.state");
    remove("VERSION");
    std::fs::remove_file(segments(dir.path()).pop().unwrap()).unwrap();
    // As the first start leaves it that ends before it has a segment.
    assert_eq!(reopened(dir.path()).unwrap(), 0, "nothing was ever written");
    fill(dir.path(), 10);
    open(dir.path()).close();
    remove("db.state");
    std::fs::remove_file(segments(dir.path()).pop().unwrap()).unwrap();
    assert_eq!(damage_of(dir.path()).0, dir.path().join("journal"));
    std::fs::remove_dir_all(dir.path().join("db")).unwrap();
    assert_eq!(damage_of(dir.path()).0, dir.path().join("journal"));
}

#[test]
fn damage_in_a_sealed_segment_and_a_missing_one_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 300);
    let paths = segments(dir.path());
    assert!(paths.len() >= 4);
    // Everything has to be read again.
    std::fs::remove_file(dir.path().join("db.state")).unwrap();
    let whole = std::fs::read(&paths[1]).unwrap();
    edit(&paths[1], |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    assert_eq!(damage_of(dir.path()).0, paths[1]);
    edit(&paths[1], |bytes| bytes.truncate(bytes.len() / 2));
    assert_eq!(damage_of(dir.path()).0, paths[1]);
    std::fs::remove_file(&paths[1]).unwrap();
    assert_eq!(damage_of(dir.path()).0, paths[2]);
    std::fs::write(&paths[1], whole).unwrap();
    assert_eq!(reopened(dir.path()).unwrap(), 300);
}

#[test]
fn sealed_segments_are_compressed_and_read_the_same() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 300);
    let small = |path: &PathBuf| std::fs::metadata(path).unwrap().len() < 32 << 10;
    let store = open(dir.path());
    let paths = segments(dir.path());
    let sealed = &paths[..paths.len() - 1];
    eventually("compression", || sealed.iter().all(small));
    drop(store);
    std::fs::remove_dir_all(dir.path().join("db")).unwrap();
    assert_eq!(reopened(dir.path()).unwrap(), 300);
    edit(&paths[0], |bytes| bytes[100] ^= 1);
    std::fs::remove_dir_all(dir.path().join("db")).unwrap();
    assert_eq!(damage_of(dir.path()).0, paths[0]);
}

#[test]
fn a_lost_or_overwritten_index_comes_back_whole() {
    let ways: [fn(&Path); 5] = [
        |dir| std::fs::remove_dir_all(dir.join("db")).unwrap(),
        |dir| std::fs::write(dir.join("db/1/db"), vec![0x5a; 100_000]).unwrap(),
        |dir| std::fs::write(dir.join("db/1/db"), b"").unwrap(),
        |dir| std::fs::write(dir.join("db/1/conf"), b"nonsense").unwrap(),
        |dir| std::fs::write(dir.join("db.state"), b"nonsense").unwrap(),
    ];
    for (way, harm) in ways.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), 150);
        open(dir.path()).close();
        harm(dir.path());
        assert_eq!(reopened(dir.path()).unwrap(), 150, "way {way}");
        assert_eq!(reopened(dir.path()).unwrap(), 150, "way {way}");
    }
}

#[test]
fn an_index_that_breaks_while_running_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 100);
    let store = open(dir.path());
    store.flush();
    send_one(&store, "a", "u", "1");
    drop(store.shared().set_index(None));
    let newest = store.last_id();
    let reading = store.messages_after(&mailbox("d", "u"), MsgId(newest.0 - 1), 9, 99);
    assert_eq!(reading.unwrap().messages.len(), 1, "the tail alone answers");
    assert!(store.view().list(&mailbox("d", "u"), None).is_err());
    store.flush();
    assert_eq!(check_consistent(&store, &mailbox("d", "u")).len(), 101);
    assert!(dir.path().join("db.broken-1").exists());
}

#[test]
fn a_copy_of_a_running_store_has_all_that_was_accepted_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                send_one(&store, "a", "u", &"x".repeat(700));
            }
        });
        for round in 0..6 {
            eventually("some more", || store.stats().frames > round * 60);
            let before = all(&store, &mailbox("d", "u"));
            let copy = tempfile::tempdir().unwrap();
            let copied = std::process::Command::new("cp")
                .arg("-a")
                .arg(dir.path().join("."))
                .arg(copy.path())
                .output()
                .unwrap();
            // A temporary file that went away meanwhile is no matter.
            let said = String::from_utf8_lossy(&copied.stderr);
            assert!(said.lines().all(|line| line.contains(".new")), "{said}");
            let copy = open(copy.path());
            let after = check_consistent(&copy, &mailbox("d", "u"));
            assert!(after.starts_with(&before));
            store.flush();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_failed_sync_refuses_its_batch_for_good_and_the_next_one_goes_through() {
    for fault in [Fault::FailSync, Fault::ShortWrite] {
        let dir = tempfile::tempdir().unwrap();
        let files = SimulatedFileSystem::default();
        let store = open_sim(dir.path(), Arc::new(files.clone())).unwrap();
        send_one(&store, "a", "u", "1");
        files.arm(fault, 0);
        let refused = send(&store, with_id(draft("a", &["u"], "2"), "c"));
        assert!(matches!(refused, Err(AppendError::Unavailable(_))));
        store.step_until("writable again", || store.writable().is_ok());
        let again = send(&store, with_id(draft("a", &["u"], "3"), "c")).unwrap();
        assert!(!again.duplicate);
        drop(store);
        files.lose_power(1);
        let store = open_sim(dir.path(), Arc::new(files)).unwrap();
        let found = check_consistent(&store, &mailbox("d", "u"));
        assert_eq!(contents(&found), ["1", "3"], "{fault:?}");
    }
}

#[test]
fn a_full_disk_refuses_and_space_brings_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let files = SimulatedFileSystem::default();
    let store = open_sim(dir.path(), Arc::new(files.clone())).unwrap();
    send_one(&store, "a", "u", "1");
    files.arm(Fault::Full(u32::MAX), 0);
    for _ in 0..200 {
        let refused = send(&store, draft("a", &["u"], "2"));
        assert!(matches!(refused, Err(AppendError::Unavailable(_))));
        assert!(store.writable().is_err());
    }
    assert_eq!(all(&store, &mailbox("d", "u")).len(), 1);
    files.disarm();
    store.step_until("writable again", || store.writable().is_ok());
    send_one(&store, "a", "u", "3");
    let names = files.list(&dir.path().join("journal")).unwrap();
    assert!(names.len() <= 3, "{names:?}");
    store.close();
    drop(store);
    let store = open_sim(dir.path(), Arc::new(files)).unwrap();
    assert_eq!(contents(&all(&store, &mailbox("d", "u"))), ["1", "3"]);
}

#[test]
fn a_flush_that_is_repeated_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let files = SimulatedFileSystem::default();
    let store = open_sim(dir.path(), Arc::new(files.clone())).unwrap();
    send_one(&store, "a", "u", "1");
    // The state's temporary file is not made durable.
    files.arm(Fault::FailSync, 0);
    store.flush();
    assert!(store.stats().memtable_bytes > 0, "it was put off");
    store.flush();
    assert_eq!(store.stats().memtable_bytes, 0);
    drop(store);
    let store = open_sim(dir.path(), Arc::new(files)).unwrap();
    assert_eq!(check_consistent(&store, &mailbox("d", "u")).len(), 1);
    assert!(!dir.path().join("db.broken-1").exists(), "it was whole");
}

#[test]
fn making_the_index_anew_leaves_the_segment_that_is_being_begun_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    send_one(&store, "a", "u", "1");
    let begun = dir.path().join("journal/00000002-7.log.new");
    std::fs::write(&begun, b"").unwrap();
    drop(store.shared().set_index(None));
    store.flush();
    assert_eq!(check_consistent(&store, &mailbox("d", "u")).len(), 1);
    assert!(begun.exists());
    drop(store);
    drop(open(dir.path()));
    assert!(!begun.exists(), "an interrupted work's is removed");
}

#[test]
fn an_index_of_another_journal_cuts_nothing_off() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    fill(dir.path(), 40);
    let store = open(other.path());
    for _ in 0..45 {
        send_one(&store, "a", "u", &"y".repeat(700));
    }
    store.close();
    for name in ["db", "db.state"] {
        let into = dir.path().join(name);
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .arg("-T")
            .arg(other.path().join(name))
            .arg(into)
            .status();
        assert!(copied.unwrap().success());
    }
    assert_eq!(reopened(dir.path()).unwrap(), 40);
}

#[test]
fn a_start_on_a_full_disk_keeps_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let files = SimulatedFileSystem::default();
    let mut few = options(dir.path());
    let open = |options: &StoreOptions| {
        let (clock, files) = (clock(), Arc::new(files.clone()));
        Store::open_with(options.clone(), clock, Arc::new(Seen::default()), files)
    };
    let store = open(&few).unwrap();
    send_one(&store, "a", "u", "1");
    store.flush();
    send_one(&store, "a", "u", "2");
    drop(store);
    // What the journal has more is a generation of its own now.
    few.memtable_bytes_max = 1;
    files.arm(Fault::Full(u32::MAX), 0);
    let error = open(&few).err().unwrap();
    assert!(
        matches!(&error, OpenError::File(FileError::Io { source, .. })
        if source.kind() == std::io::ErrorKind::StorageFull)
    );
    assert!(!dir.path().join("db.broken-1").exists(), "it was whole");
    files.disarm();
    let store = open(&few).unwrap();
    assert_eq!(check_consistent(&store, &mailbox("d", "u")).len(), 2);
}

/// A compressed segment that is the newest shows that what followed it was lost: so none is told
/// of, and with that compressed, before its successor stands.
#[test]
fn a_segment_counts_as_sealed_when_the_next_one_stands() {
    let files = SimulatedFileSystem::default();
    let start = WriterStart {
        dir: PathBuf::from("/journal"),
        segment_bytes: 4096,
        journal: None,
        end: End::at(Position::START),
    };
    let (sender, sealed) = channel();
    let (clock, shared) = (clock(), Arc::new(files.clone()));
    let resumed = Writer::resume(&files, shared, clock.clone(), start, sender);
    let mut writer = resumed.unwrap();
    let mut frame = FrameBuffer::default();
    let mut append = |writer: &mut Writer| {
        frame.clear();
        frame.push(|out| out.resize(out.len() + 3000, b'r'));
        writer.append(&mut frame, 1)
    };
    append(&mut writer).unwrap();
    files.arm(Fault::FailSync, 0);
    append(&mut writer).unwrap_err();
    assert!(sealed.try_recv().is_err(), "there is no successor");
    writer.ready(1).unwrap_err();
    clock.advance_us(200_000);
    writer.ready(1).unwrap();
    assert_eq!(sealed.try_recv().unwrap().number, 1);
    append(&mut writer).unwrap();
}
