//! What the recipients of a send share is in the index once, and each of them reads it.

use super::support::*;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::atomic::Ordering;

use super::tiers::Random;
use crate::store::api::ReadError;
use crate::store::index::location;

const RECIPIENTS: usize = 100;

fn recipients() -> Vec<String> {
    (0..RECIPIENTS).map(|n| format!("u{n}")).collect()
}

/// A text that no compression makes much shorter.
fn random_text(bytes: usize, seed: u64) -> String {
    let mut random = Random(seed);
    let letters = (0..bytes).map(|_| char::from(b' ' + random.below(95) as u8));
    letters.collect()
}

fn send_to_all(store: &Store, content: &str) {
    let to = recipients();
    let to: Vec<&str> = to.iter().map(|user| &**user).collect();
    send(store, draft("a", &to, content)).unwrap();
}

fn open_large(dir: &Path) -> TestStore {
    let mut options = options(dir);
    options.segment_bytes = 2 << 20;
    TestStore::open(options)
}

/// What the files of a directory take.
pub(super) fn disk_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap();
    let sizes = entries.map(|entry| {
        let metadata = entry.as_ref().unwrap().metadata().unwrap();
        match metadata.is_dir() {
            true => disk_bytes(&entry.unwrap().path()),
            false => metadata.blocks() * 512,
        }
    });
    sizes.sum()
}

fn blob(store: &Store) -> std::path::PathBuf {
    let shared = store.shared();
    location::path(&shared.options.dir, shared.indexed.lock().number).join("heap")
}

#[test]
fn a_send_to_many_takes_no_more_of_the_disk_than_what_was_sent_a_few_times() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_large(dir.path());
    let mut sent_bytes = 0;
    for n in 0..8 {
        let content = random_text(250_000, n);
        sent_bytes += content.len() as u64;
        send_to_all(&store, &content);
    }
    store.flush();
    let index = disk_bytes(&dir.path().join("db"));
    let journal = disk_bytes(&dir.path().join("journal"));
    // The open segment has its room from the beginning.
    let left = (index + journal).saturating_sub(2 << 20);
    assert!(
        left < 3 * sent_bytes,
        "{index} and {journal} for {sent_bytes}"
    );
    assert_eq!(store.shared().indexed.lock().contents, 8);
    // And memory is no smaller than that makes it seem: what is short is counted for each.
    let before = store.stats().memtable_bytes;
    send_to_all(&store, &"x".repeat(900));
    let in_memtables = store.stats().memtable_bytes - before;
    assert!(in_memtables > 900 * RECIPIENTS, "{in_memtables}");
    let before = store.stats().memtable_bytes;
    send_to_all(&store, &"x".repeat(2_000));
    let in_memtables = store.stats().memtable_bytes - before;
    assert!(in_memtables < 100 * RECIPIENTS, "{in_memtables}");
}

#[test]
fn all_recipients_read_the_same_whatever_becomes_of_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open_large(dir.path());
    let contents: Vec<String> = (0..6)
        .map(|n| random_text([40_000, 2_000, 300][n % 3], n as u64))
        .collect();
    let check = |store: &Store, when: &str, gone: &[usize]| {
        for (n, user) in recipients().iter().enumerate() {
            let read = check_consistent(store, &mailbox("d", user));
            let expected = if gone.contains(&n) {
                &[][..]
            } else {
                &contents
            };
            assert_eq!(super::support::contents(&read), expected, "{user} {when}");
        }
    };
    for (n, content) in contents.iter().enumerate() {
        send_to_all(&store, content);
        if n == 2 {
            store.flush();
        }
    }
    check(&store, "while half of it is in memory", &[]);
    store.flush();
    check(&store, "from the index", &[]);
    drop(store);
    store = open_large(dir.path());
    check(&store, "after a kill", &[]);
    store.close();
    drop(store);
    store = open_large(dir.path());
    check(&store, "after a clean restart", &[]);
    // The first one, by whose id the others find what they share, and some between.
    let gone = [0, 1, 17, 50, 99];
    for n in gone {
        store.erase(&mailbox("d", &format!("u{n}")), None).unwrap();
    }
    let number = store.shared().indexed.lock().number;
    let is_compacted = || !dir.path().join("sweep.due").exists();
    store.step_until("the compaction", is_compacted);
    assert!(
        store.shared().indexed.lock().number > number,
        "the index is a copy"
    );
    assert_eq!(store.shared().indexed.lock().contents, 4);
    check(&store, "from a copy", &gone);
    send_to_all(&store, "so that the copy goes on");
    store.flush();
    store.erase(&mailbox("d", "u0"), None).unwrap();
    store.close();
    drop(store);
    // In the journal each run of those who are left has a first id of its own by now.
    std::fs::remove_dir_all(dir.path().join("db")).unwrap();
    store = open_large(dir.path());
    for (n, user) in recipients().iter().enumerate() {
        let read = check_consistent(&store, &mailbox("d", user));
        let mut expected: Vec<&str> = contents.iter().map(|content| &**content).collect();
        if gone.contains(&n) {
            expected.clear();
        }
        if n > 0 {
            expected.push("so that the copy goes on");
        }
        assert_eq!(
            super::support::contents(&read),
            expected,
            "{user} after a rebuild"
        );
    }
    // Where all of them are gone, so is what they shared.
    for user in recipients() {
        store.erase(&mailbox("d", &user), None).unwrap();
    }
    store.step_until("the compaction", is_compacted);
    store.step_until("the last compaction", || {
        store.shared().indexed.lock().contents == 0
    });
    assert!(std::fs::metadata(blob(&store)).unwrap().len() < 10_000);
}

#[test]
fn damage_to_what_many_share_is_met_by_who_reads_it_and_mended() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_large(dir.path());
    let sent = [random_text(30_000, 1), random_text(30_000, 2)];
    for content in &sent {
        send_to_all(&store, content);
    }
    store.flush();
    let (u, v) = (mailbox("d", "u7"), mailbox("d", "u8"));
    let blob = blob(&store);
    // In the second one.
    let at = std::fs::metadata(&blob).unwrap().len() * 3 / 4;
    let mut byte = [0];
    let file = File::options().read(true).write(true).open(&blob).unwrap();
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    // Nothing is read beyond what is wanted, though both are named in one chunk.
    let first = store.messages_after(&v, MsgId::ZERO, 10, 1).unwrap();
    assert_eq!(contents(&first.messages), [&sent[0]]);
    let second = store.messages_after(&v, first.messages[0].id, 10, 1);
    assert!(matches!(second, Err(ReadError::Damaged(_))), "{second:?}");
    let is_whole = || {
        let read = store.messages_after(&v, MsgId::ZERO, 10, usize::MAX);
        let is_suspect = store.shared().index_suspect.load(Ordering::Relaxed);
        read.is_ok_and(|read| read.messages.len() == 2) && !is_suspect
    };
    store.step_until("the mending", is_whole);
    for mailbox in [&u, &v] {
        assert_eq!(
            contents(&check_consistent(&store, mailbox)),
            [&sent[0], &sent[1]]
        );
    }
    // The same where nothing is there any more.
    store.shared().index().unwrap().lose_first_of("contents");
    assert!(!is_whole());
    store.step_until("the mending", is_whole);
    assert_eq!(
        contents(&check_consistent(&store, &u)),
        [&sent[0], &sent[1]]
    );
}

#[test]
fn what_was_shared_beyond_the_journal_is_nobodys_content() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_large(dir.path());
    send_one(&store, "a", "u0", "1");
    store.flush();
    // A disk that lost the end of the journal, where the next ids begin.
    let next = store.last_id().0 + 1;
    let index = store.shared().index().unwrap();
    index.leave_content(&domain("d"), next);
    drop((index, store));
    let store = open_large(dir.path());
    assert_eq!(store.shared().indexed.lock().contents, 0);
    let content = random_text(2_000, 1);
    send_to_all(&store, &content);
    store.flush();
    let read = all(&store, &mailbox("d", "u1"));
    assert_eq!(contents(&read), [content]);
}
