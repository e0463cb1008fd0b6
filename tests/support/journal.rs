//! Data directories with small segments, made through the library, and what tests do to their
//! files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;

use relaybox::clock::SystemClock;
use relaybox::model::{Domain, Draft, Message, MessageType, Recipient, Resource, UserId, UserName};
use relaybox::store::{CommitSink, Store, StoreOptions};

use super::{DEADLINE, DEMO};

/// Small enough that a few hundred messages make several, and of more than one block of the
/// compression (128 KiB).
const SEGMENT_BYTES: u64 = 192 << 10;

struct Nobody;

impl CommitSink for Nobody {
    fn committed(&self, _messages: &[Message]) {}
}

/// A store with small segments.
pub fn open(dir: &Path) -> Store {
    let mut options = StoreOptions::small(dir);
    options.segment_bytes = SEGMENT_BYTES;
    Store::open(options, Arc::new(SystemClock), Arc::new(Nobody)).unwrap()
}

/// Sends the numbers to `box`, each in a group commit of its own, padded to some 2 KiB that
/// hardly compress.
pub fn send(store: &Store, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let (sender, receiver) = channel();
        let draft = Draft {
            domain: Domain::parse(DEMO).unwrap(),
            recipients: vec![Recipient {
                user: UserId::parse("box").unwrap(),
                offline: true,
            }],
            to_resource: None,
            from_id: UserId::parse("u1").unwrap(),
            from_name: UserName::parse("Name").unwrap(),
            from_resource: Resource::parse("web").unwrap(),
            kind: MessageType(10),
            content: content(n).into(),
            client_msg_id: None,
        };
        store.append(draft, Box::new(move |done| sender.send(done).unwrap()));
        receiver.recv_timeout(DEADLINE).unwrap().unwrap();
    }
}

fn content(n: u64) -> String {
    let mut random = n + 1;
    let mut padding = String::new();
    for _ in 0..128 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        padding.push_str(&format!("{random:016x}"));
    }
    format!("[{n}, \"{padding}\"]")
}

/// Makes a stopped data directory with the messages `0..count`, all its segments but the last
/// compressed.
pub fn make(dir: &Path, count: u64) {
    let store = open(dir);
    send(&store, 0..count);
    let end = std::time::Instant::now() + DEADLINE;
    let plain = |path: &PathBuf| {
        !fs::read(path)
            .unwrap()
            .starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
    };
    while segments(dir).iter().filter(|path| plain(path)).count() > 1 {
        assert!(std::time::Instant::now() < end, "they are not compressed");
        std::thread::yield_now();
    }
    store.close();
}

/// The journal's files, in order.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("journal")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    paths
}

/// Changes one byte.
pub fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// The number in a message of [`send`].
pub fn number(message: &serde_json::Value) -> u64 {
    message["content"][0].as_u64().unwrap()
}
