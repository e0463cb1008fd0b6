//! What is gone leaves the disk, and nothing else does.

use super::support::*;
use std::path::PathBuf;

use crate::store::index::location;
use crate::store::tests::simulated::{Fault, SimulatedFileSystem};

/// A text that no compression makes unrecognisable, and no other message holds.
fn marker(n: usize) -> String {
    let mut state = n as u64 + 1;
    let digits = (0..6).map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695);
        format!("{:016x}", state ^ (state >> 29))
    });
    digits.collect()
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Everything that is in the files, segments uncompressed.
fn bytes_below(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for path in files_below(dir) {
        // One that went away meanwhile is not there.
        let bytes = std::fs::read(&path).unwrap_or_default();
        match zstd::stream::decode_all(bytes.as_slice()) {
            Ok(plain) => all.extend(plain),
            Err(_) => all.extend(bytes),
        }
    }
    all
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(40).any(|part| part == &text.as_bytes()[..40])
}

/// How many messages the index holds, whether they are hidden or not: it packs their bytes.
fn indexed(store: &Store, user: &str) -> u64 {
    let mailbox = mailbox("d", user);
    let shared = store.shared();
    shared
        .with_index(|index| index.list(&mailbox, None)?.rank(MsgId::MAX))
        .unwrap()
}

fn compacted(store: &Store) -> bool {
    !store.shared().options.dir.join("sweep.due").exists()
}

#[test]
fn no_byte_of_what_was_erased_is_left_and_all_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..600 {
        send_one(&store, "a", ["u", "v"][n % 2], &marker(n));
        if n == 300 {
            store.flush();
        }
    }
    let both = with_id(draft("b", &["v", "u", "v2", "v3"], &marker(1_000)), "c");
    let sent = send(&store, both.clone()).unwrap();
    let kept = all(&store, &mailbox("d", "v"));
    assert!(
        holds(&bytes_below(dir.path()), &marker(4)),
        "the test can fail"
    );
    store.erase(&mailbox("d", "u"), None).unwrap();
    store.step_until("the compaction", || compacted(&store));
    let bytes = bytes_below(dir.path());
    for n in 0..600 {
        assert_eq!(holds(&bytes, &marker(n)), n % 2 == 1, "message {n}");
    }
    drop(bytes);
    assert_eq!((indexed(&store, "u"), indexed(&store, "v")), (0, 301));
    assert_eq!(check_consistent(&store, &mailbox("d", "v")), kept);
    let again = send(&store, both).unwrap();
    assert!(again.duplicate && again.ids == sent.ids);
    for v in ["v2", "v3"] {
        assert_eq!(check_consistent(&store, &mailbox("d", v)).len(), 1);
    }
    // And so it is for an index that is rebuilt from what is left.
    drop(store);
    std::fs::remove_dir_all(dir.path().join("db")).unwrap();
    let store = open(dir.path());
    assert_eq!(check_consistent(&store, &mailbox("d", "v")), kept);
    assert!(all(&store, &mailbox("d", "u")).is_empty());
    assert!(
        send(&store, with_id(draft("b", &["v"], "x"), "c"))
            .unwrap()
            .duplicate
    );
}

#[test]
fn erasing_the_older_half_gives_its_space_back_while_sends_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let long = |n: usize| -> String { (0..20).map(|part| marker(n * 20 + part)).collect() };
    for n in 0..2_000 {
        send_one(&store, "a", &format!("u{}", n % 20), &long(n));
    }
    store.flush();
    // The index of so few messages is mostly what sled takes for itself.
    let disk = || -> u64 {
        let sizes = files_below(&dir.path().join("journal")).into_iter();
        let sizes = sizes.map(|path| std::fs::metadata(path).map_or(0, |m| m.len()));
        sizes.sum()
    };
    let compressed = |path: &PathBuf| std::fs::metadata(path).unwrap().len() < 50 << 10;
    eventually("compression", || {
        let mut segments = files_below(&dir.path().join("journal"));
        segments.sort();
        segments.pop();
        segments.iter().all(compressed)
    });
    let before = disk();
    let middle = all(&store, &mailbox("d", "u0"))[50].id;
    for user in 0..20 {
        store
            .erase(&mailbox("d", &format!("u{user}")), Some(middle))
            .unwrap();
    }
    for n in 0..100 {
        send_one(&store, "a", "new", &n.to_string());
    }
    store.step_until("the compaction", || compacted(&store));
    let after = disk();
    assert!(after * 10 <= before * 6, "{before} bytes became {after}");
    for user in 0..20 {
        let left = check_consistent(&store, &mailbox("d", &format!("u{user}")));
        assert!(left.iter().all(|message| message.id >= middle) && left.len() >= 49);
    }
    assert_eq!(check_consistent(&store, &mailbox("d", "new")).len(), 100);
}

#[test]
fn what_has_expired_leaves_the_disk_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut options = options(dir.path());
    options.retention.all = Some(Duration::from_secs(10));
    let store = Store::open(options, clock.clone(), Arc::new(Seen::default())).unwrap();
    let web = device("d", "u", "web");
    enter(&store, &web, None).unwrap();
    for n in 0..300 {
        send_one(&store, "a", "u", &marker(n));
    }
    store.confirm(&web, store.last_id());
    let cursor = store.last_id();
    clock.set_us(NOW_US + 60_000_000);
    send_one(&store, "a", "u", &marker(300));
    let old = |n| holds(&bytes_below(dir.path()), &marker(n));
    step_until(&clock, "the compaction", || {
        !old(0) && !old(299) && compacted(&store)
    });
    assert_eq!(check_consistent(&store, &mailbox("d", "u")).len(), 1);
    store.close();
    drop(store);
    std::fs::remove_dir_all(dir.path().join("db")).unwrap();
    let store = open(dir.path());
    assert_eq!(store.cursor(&web).unwrap(), Some(cursor));
    assert_eq!(check_consistent(&store, &mailbox("d", "u")).len(), 1);
}

/// Whether a crash after so many operations came before the end of the compaction.
fn is_interrupted_by_a_crash(operations: u32) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let files = SimulatedFileSystem::default();
    let store = open_sim(dir.path(), Arc::new(files.clone())).unwrap();
    for n in 0..200 {
        send_one(&store, "a", ["u", "v"][n % 2], &marker(n).repeat(3));
    }
    let v = mailbox("d", "v");
    let kept = check_consistent(&store, &v);
    store.erase(&mailbox("d", "u"), None).unwrap();
    files.arm(Fault::Crash, operations);
    let mark = dir.path().join("sweep.due");
    let marked = || files.holds(&mark);
    store.step_until("the compaction or the crash", || {
        files.is_crashed() || !marked()
    });
    let crashed = files.is_crashed();
    files.disarm();
    drop(store);
    files.lose_power(u64::from(operations));
    let store = open_sim(dir.path(), Arc::new(files.clone())).unwrap();
    assert_eq!(check_consistent(&store, &v), kept, "after {operations}");
    assert!(
        all(&store, &mailbox("d", "u")).is_empty(),
        "after {operations}"
    );
    store.step_until("the compaction", || !marked());
    assert_eq!(check_consistent(&store, &v), kept, "after {operations}");
    assert_eq!(indexed(&store, "u"), 0, "after {operations}");
    crashed
}

#[test]
fn a_compaction_that_a_crash_interrupts_anywhere_is_finished_later() {
    // Each waits more than it works.
    const AT_ONCE: u32 = 6;
    let mut crashes = 0;
    for first in (0..).step_by(5 * AT_ONCE as usize) {
        let crashed = std::thread::scope(|scope| {
            let operations = (0..AT_ONCE).map(|n| first + 5 * n);
            let tries = operations.map(|n| scope.spawn(move || is_interrupted_by_a_crash(n)));
            let tries: Vec<_> = tries.collect();
            let crashed = tries.into_iter().map(|one| one.join().unwrap());
            crashed.filter(|crashed| *crashed).count() as u32
        });
        crashes += crashed;
        if crashed < AT_ONCE {
            assert!(crashes > 5, "{crashes}");
            return;
        }
    }
}

#[test]
fn what_the_index_has_not_reached_yet_goes_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..50 {
        send_one(&store, "a", "u", &marker(n));
    }
    // No compaction in between: it is as if the last one had only just ended.
    let asked = store
        .shared()
        .queue
        .change(|reply| crate::store::state::Job::Erase(mailbox("d", "u"), None, reply));
    asked.unwrap();
    // The journal goes on by several segments, and the index stays behind.
    for n in 0..200 {
        send_one(&store, "a", "v", &marker(1_000 + n).repeat(10));
    }
    send_one(&store, "a", "nobody", "so that there is something to erase");
    assert!(store.stats().segment > 3);
    store.erase(&mailbox("d", "nobody"), None).unwrap();
    store.step_until("the compaction", || compacted(&store));
    let bytes = bytes_below(dir.path());
    assert!((0..50).all(|n| !holds(&bytes, &marker(n))));
    assert_eq!(check_consistent(&store, &mailbox("d", "v")).len(), 200);
}

#[test]
fn a_compaction_that_fails_anywhere_is_done_whole_later() {
    std::thread::scope(|scope| {
        // Each waits for the pause behind what failed.
        for operations in (20..90).step_by(2) {
            scope.spawn(move || {
                let dir = tempfile::tempdir().unwrap();
                let files = SimulatedFileSystem::default();
                let store = open_sim(dir.path(), Arc::new(files.clone())).unwrap();
                for n in 0..60 {
                    send_one(&store, "a", ["u", "v"][n % 2], &marker(n).repeat(3));
                }
                store.flush();
                store.erase(&mailbox("d", "u"), None).unwrap();
                files.arm(Fault::Full(u32::MAX), operations);
                let mark = dir.path().join("sweep.due");
                let done = || !files.holds(&mark);
                store.step_until("the compaction, or time enough for it", || {
                    done() || store.clock.monotonic() > Duration::from_secs(20)
                });
                files.disarm();
                store.step_until("the compaction", done);
                let number = location::numbers(dir.path()).unwrap();
                assert_eq!(number.len(), 1, "after {operations}");
                assert_eq!(indexed(&store, "u"), 0, "after {operations}");
                let left = check_consistent(&store, &mailbox("d", "v"));
                assert_eq!(left.len(), 30, "after {operations}");
            });
        }
    });
}
