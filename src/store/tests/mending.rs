//! A damaged index is mended while the store is in use, by whoever meets the damage first.

use super::support::*;
use std::io;
use std::sync::atomic::Ordering;

use crate::store::index::Manifest;
use crate::store::indexing::{Builder, Site};
use crate::store::state::{Shared, Successor};
use crate::store::tests::simulated::{Fault, Lack, SimulatedFileSystem};

fn compacted(dir: &Path) -> bool {
    !dir.join("sweep.due").exists()
}

/// An index that was made beside the one that counts, up to where the journal is.
fn beside(shared: &Shared) -> Builder {
    let site = Site {
        files: shared.files.clone(),
        dir: shared.options.dir.clone(),
        cache_bytes: 4 << 20,
        memtable_bytes_max: 8 << 20,
        counts: false,
    };
    let mut builder = Builder::beside(site).unwrap();
    builder.replay(None, &|_| false).unwrap();
    builder.flush().unwrap();
    builder
}

#[test]
fn an_index_in_the_making_is_not_taken_where_another_was_made_meanwhile() {
    for (count, is_reopened) in [(5, true), (200, true), (5, false)] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for n in 0..count {
            send_one(&store, "a", "u", &n.to_string());
        }
        store.flush();
        let shared = store.shared();
        let rebuilds = shared.rebuilds.load(Ordering::Relaxed);
        let builder = beside(shared);
        shared.index().unwrap().spoil("messages");
        send_one(&store, "a", "u", "one more");
        store.flush();
        let u = mailbox("d", "u");
        assert_eq!(all(&store, &u).len(), count + 1, "the flush has mended it");
        if is_reopened {
            // What stands in its place is another one, and empty.
            assert!(builder.reopened(4 << 20).is_err());
        } else {
            let builder = Box::new(builder);
            shared.signal.lock().successor = Some(Successor { builder, rebuilds });
            shared.changed.notify();
            eventually("an answer", || shared.signal.lock().succeeded.is_some());
            assert_eq!(shared.signal.lock().succeeded, Some(false));
        }
        assert_eq!(check_consistent(&store, &u).len(), count + 1);
        store.close();
        drop(store);
        assert_eq!(check_consistent(&open(dir.path()), &u).len(), count + 1);
    }
}

#[test]
fn a_flush_that_was_put_off_holds_up_no_exchange_of_the_index() {
    let (dir, files) = (tempfile::tempdir().unwrap(), SimulatedFileSystem::default());
    let opened = open_sim(dir.path(), Arc::new(files.clone()));
    let store = opened.unwrap();
    for n in 0..20 {
        send_one(&store, "a", "u", &n.to_string());
    }
    store.flush();
    let shared = store.shared();
    let rebuilds = shared.rebuilds.load(Ordering::Relaxed);
    let builder = beside(shared);
    let builder = Box::new(builder.reopened(4 << 20).unwrap());
    send_one(&store, "a", "u", "one more");
    files.fill(Lack::Space(io::ErrorKind::StorageFull), 0);
    shared.memtables_mut().rotate();
    shared.changed.notify();
    eventually("a flush that is put off", || {
        shared.health.lock().index.is_some()
    });
    shared.signal.lock().successor = Some(Successor { builder, rebuilds });
    shared.changed.notify();
    eventually("an answer", || shared.signal.lock().succeeded.is_some());
    assert_eq!(shared.signal.lock().succeeded, Some(true));
    assert_eq!(check_consistent(&store, &mailbox("d", "u")).len(), 21);
}

#[test]
fn damage_that_readers_and_flushes_meet_at_once_is_mended_once_and_for_all() {
    std::thread::scope(|scope| {
        for delay in [0, 20, 60, 150, 300] {
            scope.spawn(move || {
                let dir = tempfile::tempdir().unwrap();
                let store = open(dir.path());
                let users: Vec<String> = (0..100).map(|n| format!("u{n}")).collect();
                let users: Vec<&str> = users.iter().map(|user| &**user).collect();
                for n in 0..80 {
                    send(&store, draft("a", &users, &n.to_string().repeat(50))).unwrap();
                }
                store.flush();
                let u = mailbox("d", "u7");
                store.shared().index().unwrap().spoil("messages");
                store.messages_after(&u, MsgId::ZERO, 10, 10).unwrap_err();
                store.shared().changed.notify();
                // The mending is work that takes real time.
                std::thread::sleep(Duration::from_millis(delay));
                send_one(&store, "a", "u7", "one more");
                store.flush();
                let is_whole = || {
                    let read = store.messages_after(&u, MsgId::ZERO, usize::MAX, usize::MAX);
                    let suspect = store.shared().index_suspect.load(Ordering::Relaxed);
                    read.is_ok_and(|read| read.messages.len() == 81) && !suspect
                };
                store.step_until("the mending", is_whole);
                store.close();
                drop(store);
                let store = open(dir.path());
                assert_eq!(check_consistent(&store, &u).len(), 81, "after {delay} ms");
            });
        }
    });
}

#[test]
fn a_compaction_brings_back_what_the_small_trees_have_lost() {
    for tree in ["cursors", "domains", "erased"] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let (u, web) = (mailbox("d", "u"), device("d", "u", "web"));
        store.put_domain(record("d2")).unwrap();
        enter(&store, &web, None).unwrap();
        for n in 0..20 {
            send_one(&store, "a", "u", &n.to_string());
        }
        send_one(&store, "a", "v", "x");
        store.erase(&u, Some(store.last_id())).unwrap();
        store.step_until("the compaction", || compacted(dir.path()));
        store.flush();
        store.shared().index().unwrap().lose_first_of(tree);
        store.erase(&mailbox("d", "v"), None).unwrap();
        store.step_until("the compaction", || compacted(dir.path()));
        // As a crash leaves it: its own state is what it is held against.
        drop(store);
        let store = open(dir.path());
        assert_eq!(store.cursor(&web).unwrap(), Some(MsgId::ZERO), "{tree}");
        assert_eq!(store.domains().len(), 1, "{tree}");
        assert!(store.shared().low_watermark(&u) > MsgId::ZERO, "{tree}");
    }
}

#[test]
fn what_a_flush_that_is_repeated_finds_in_the_index_is_counted() {
    for operations in 0..12 {
        let (dir, files) = (tempfile::tempdir().unwrap(), SimulatedFileSystem::default());
        let opened = open_sim(dir.path(), Arc::new(files.clone()));
        let store = opened.unwrap();
        store.put_domain(record("d")).unwrap();
        send(&store, with_id(draft("a", &["u"], "1"), "1")).unwrap();
        store.erase(&mailbox("d", "u"), None).unwrap();
        files.arm(Fault::ShortWrite, operations);
        store.flush();
        files.disarm();
        store.close();
        let path = dir.path().join("db.state");
        let state = files.read(&path).unwrap().unwrap();
        let (state, _) = Manifest::decode(&state).unwrap();
        let sends: u64 = state.small.sends.values().sum();
        let counts = (state.small.domains, state.small.erased, sends);
        assert_eq!(counts, (1, 1, 1), "after {operations}");
    }
}
