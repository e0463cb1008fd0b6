//! A data directory that the first version wrote, under `tests/golden/v1`: every later version
//! opens it and finds exactly what was put into it, and goes on there. And what a later version
//! writes is refused by this one, with a sentence.
//!
//! The directory was written by `RELAYBOX_GOLDEN_WRITE=1 cargo test --test it golden::written`. It
//! stays as it is: a format that changes gets a directory of its own beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::support::{DEADLINE, Home, Options, Server};
use relaybox::clock::ManualClock;
use relaybox::model::{
    ClientMsgId, Device, Domain, DomainRecord, Draft, Mailbox, Message, MessageType, MsgId,
    ProjectToken, Recipient, Resource, SigningKey, UserId, UserName,
};
use relaybox::store::{Accepted, CommitSink, Entered, Portion, Store, StoreOptions};

/// When the story begins, in microseconds since the Unix epoch.
const BEGIN: u64 = 1_764_000_000_000_000;
/// From one send to the next.
const STEP: u64 = 1_000;
const SEGMENT_BYTES: u64 = 16 << 10;
/// Sends of the story, and how many of them stay in the last segment.
const SENDS: u64 = 120;
const LATE: u64 = 10;
const DEVICES_MAX: usize = 32;

struct Ignore;

impl CommitSink for Ignore {
    fn committed(&self, _: &[Message]) {}
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Store {
    let mut options = StoreOptions::small(dir);
    options.segment_bytes = SEGMENT_BYTES;
    Store::open(options, clock.clone(), Arc::new(Ignore)).unwrap()
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn mailbox(user: &str) -> Mailbox {
    Mailbox {
        domain: domain("demo"),
        user: UserId::parse(user).unwrap(),
    }
}

fn device(user: &str, resource: &str) -> Device {
    Device {
        mailbox: mailbox(user),
        resource: Resource::parse(resource).unwrap(),
    }
}

fn demo() -> DomainRecord {
    let token = |byte, expires_at_ms| ProjectToken {
        sha256: [byte; 32],
        expires_at_ms,
    };
    DomainRecord {
        domain: domain("demo"),
        created_at_ms: BEGIN / 1000,
        tokens: vec![token(1, None), token(2, Some(BEGIN / 1000 + 60_000))],
        signing_keys: vec![SigningKey {
            secret: [3; 32],
            expires_at_ms: None,
        }],
    }
}

/// The id of the first message of send `n`: two apart, as some go to two.
fn id(n: u64) -> MsgId {
    MsgId(BEGIN + STEP * n)
}

/// Send `n`: to `box`, `erased` or `half`; every tenth to two at once, every seventh to one
/// resource, every fifth with a `clientMsgId`.
fn draft(n: u64) -> Draft {
    let to: &[&str] = match n % 6 {
        _ if n.is_multiple_of(10) => &["box", "other"],
        0..=3 => &["box"],
        4 => &["erased"],
        _ => &["half"],
    };
    let user = |(at, to): (usize, &&str)| Recipient {
        user: UserId::parse(to).unwrap(),
        offline: (n as usize + at).is_multiple_of(3),
    };
    let words = format!("{n} \\u00e9 \u{1f600} ").repeat(1 + n as usize * 7 % 90);
    Draft {
        domain: domain("demo"),
        recipients: to.iter().enumerate().map(user).collect(),
        to_resource: n
            .is_multiple_of(7)
            .then(|| Resource::parse("phone").unwrap()),
        from_id: UserId::parse(if n.is_multiple_of(3) { "alice" } else { "bob" }).unwrap(),
        from_name: UserName::parse("Ålice Bób").unwrap(),
        from_resource: Resource::parse("web").unwrap(),
        kind: MessageType([10, 20, 30, 40, 100][n as usize % 5]),
        content: format!(r#"{{ "n":{n}, "words":"{words}" }}"#).into(),
        client_msg_id: n
            .is_multiple_of(5)
            .then(|| ClientMsgId::parse(&format!("c-{n}")).unwrap()),
    }
}

/// What is in a mailbox in the end.
fn expected(user: &str) -> Vec<Message> {
    let mut messages = Vec::new();
    for n in 0..SENDS {
        let draft = draft(n);
        let erased = match user {
            "erased" => n < SENDS - LATE,
            "half" => n < SENDS / 2,
            _ => false,
        };
        for (at, recipient) in (0..).zip(&draft.recipients) {
            if recipient.user.as_str() == user && !erased {
                messages.push(Message {
                    id: MsgId(id(n).0 + at),
                    mailbox: mailbox(user),
                    to_resource: draft.to_resource.clone(),
                    from_id: draft.from_id.clone(),
                    from_name: draft.from_name.clone(),
                    from_resource: draft.from_resource.clone(),
                    kind: draft.kind,
                    content: draft.content.clone(),
                    recipient_offline: recipient.offline,
                });
            }
        }
    }
    messages
}

fn send(store: &Store, draft: Draft) -> Accepted {
    let (done, answer) = channel();
    let tell = move |outcome| done.send(outcome).unwrap();
    store.append(draft, Box::new(tell));
    answer.recv().unwrap().unwrap()
}

fn enter(store: &Store, device: &Device, after: Option<MsgId>) -> MsgId {
    let (done, answer) = channel();
    let tell = move |outcome| done.send(outcome).unwrap();
    store.enter(device, after, Box::new(tell));
    let entered: Entered = answer.recv().unwrap().unwrap();
    entered.cursor
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Puts into a new directory whatever a data directory can hold.
fn tell_the_story(dir: &Path) {
    let clock = Arc::new(ManualClock::new(BEGIN - 1_000_000));
    let store = open(dir, &clock);
    let gone = DomainRecord {
        domain: domain("gone"),
        ..demo()
    };
    store.put_domain(demo()).unwrap();
    store.put_domain(gone).unwrap();
    clock.set_us(BEGIN - 500_000);
    let mut stranger = draft(1);
    stranger.domain = domain("gone");
    send(&store, stranger);
    store.remove_domain(&domain("gone")).unwrap();
    let mut crowd = (0..=DEVICES_MAX).map(|n| device("crowd", &format!("tab-{n}")));
    assert!(crowd.all(|device| {
        clock.advance_us(STEP);
        enter(&store, &device, None) == MsgId::ZERO
    }));
    let (web, phone) = (device("box", "web"), device("box", "tablet"));
    enter(&store, &web, None);
    enter(&store, &phone, None);
    for n in 0..SENDS {
        if n == SENDS - LATE {
            store.erase(&mailbox("erased"), None).unwrap();
            store.erase(&mailbox("half"), Some(id(SENDS / 2))).unwrap();
            // Two receipts are raises, the login sets a lower cursor.
            store.confirm(&web, id(3));
            store.confirm(&phone, id(30));
            wait_until("a compaction", || {
                clock.advance_monotonic(Duration::from_millis(50));
                !dir.join("sweep.due").exists()
            });
            wait_until("compression", || {
                let segments = segments(dir);
                segments[..segments.len() - 1]
                    .iter()
                    .all(|path| is_compressed(path))
            });
            enter(&store, &phone, Some(id(20)));
        }
        clock.set_us(id(n).0);
        assert_eq!(send(&store, draft(n)).ids[0], id(n));
    }
    store.close();
    assert!(!is_compressed(segments(dir).last().unwrap()));
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("journal")).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths
}

fn is_compressed(path: &Path) -> bool {
    fs::read(path)
        .unwrap()
        .starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
}

/// Asserts that a directory holds the story, and that it goes on.
fn assert_told(dir: &Path) {
    let clock = Arc::new(ManualClock::new(id(SENDS).0));
    let store = open(dir, &clock);
    assert_eq!(store.domains(), [demo()]);
    for user in ["box", "other", "erased", "half", "nobody"] {
        let expected = expected(user);
        let mailbox = mailbox(user);
        let all = store
            .view()
            .list(&mailbox, None)
            .unwrap()
            .slice(0..u64::MAX, Portion::ALL)
            .unwrap();
        assert!(all == expected, "{user}: {all:#?}");
        assert_eq!(
            store
                .view()
                .list(&mailbox, None)
                .unwrap()
                .rank(MsgId::MAX)
                .unwrap(),
            all.len() as u64
        );
        let queue = store.messages_after(&mailbox, MsgId::ZERO, 1000, 1 << 20);
        assert_eq!(queue.unwrap().messages, expected);
        let alice = UserId::parse("alice").unwrap();
        let from = store
            .view()
            .list(&mailbox, Some(&alice))
            .unwrap()
            .slice(0..u64::MAX, Portion::ALL)
            .unwrap();
        let expected = expected.into_iter().filter(|m| m.from_id == alice);
        assert_eq!(from, expected.collect::<Vec<_>>(), "{user}, from alice");
    }
    let cursor = |user: &str, resource: &str| store.cursor(&device(user, resource)).unwrap();
    assert_eq!(cursor("box", "web"), Some(id(3)));
    assert_eq!(cursor("box", "tablet"), Some(id(20)));
    // Written to, so it is known; it begins where it was first written to.
    assert!(cursor("box", "phone").is_some());
    assert_eq!(cursor("crowd", "tab-0"), None);
    assert_eq!(cursor("crowd", "tab-1"), Some(MsgId::ZERO));
    assert_eq!(
        cursor("crowd", &format!("tab-{DEVICES_MAX}")),
        Some(MsgId::ZERO)
    );
    // Also those of which every message is gone.
    for n in (0..SENDS).step_by(5) {
        let accepted = send(&store, draft(n));
        assert!(accepted.duplicate, "{n}");
        let ids = (0..draft(n).recipients.len() as u64).map(|at| MsgId(id(n).0 + at));
        assert_eq!(accepted.ids, ids.collect::<Vec<_>>());
    }
    store
        .put_domain(DomainRecord {
            domain: domain("gone"),
            ..demo()
        })
        .unwrap();
    let mut of_gone = mailbox("box");
    of_gone.domain = domain("gone");
    assert_eq!(
        store
            .view()
            .list(&of_gone, None)
            .unwrap()
            .rank(MsgId::MAX)
            .unwrap(),
        0
    );
    assert_eq!(send(&store, draft(SENDS + 1)).ids[0], id(SENDS));
    store.close();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else if name != "LOCK" {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn written_anew_where_that_is_asked_for() {
    if std::env::var_os("RELAYBOX_GOLDEN_WRITE").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    tell_the_story(dir.path());
    let _ = fs::remove_dir_all(golden());
    copy(dir.path(), &golden());
}

#[test]
fn this_version_tells_the_same_story() {
    let dir = tempfile::tempdir().unwrap();
    tell_the_story(dir.path());
    assert_told(dir.path());
}

#[test]
fn a_directory_of_version_1_is_read_exactly() {
    let dir = tempfile::tempdir().unwrap();
    for without_index in [false, true] {
        let data = dir.path().join(format!("data-{without_index}"));
        copy(&golden(), &data);
        if without_index {
            fs::remove_dir_all(data.join("db")).unwrap();
            fs::remove_file(data.join("db.state")).unwrap();
        }
        assert_told(&data);
    }
}

#[tokio::test]
async fn a_directory_of_version_1_is_whole_and_served() {
    let home = Arc::new(Home::new());
    copy(&golden(), &home.data());
    home.cli(&["check"]).await.success();
    let server = Server::at(home, Options::new()).await;
    let served = server.mailbox("box").await;
    let ids = served
        .iter()
        .map(|message| message["msgId"].as_u64().unwrap());
    let expected = expected("box").into_iter().map(|message| message.id.0);
    assert_eq!(ids.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

/// Puts a checksum over all bytes of `range` that are not itself.
fn seal(bytes: &mut [u8], range: std::ops::Range<usize>, at: usize) {
    let crc = crc32c::crc32c(&bytes[range.start..at]);
    let crc = crc32c::crc32c_append(crc, &bytes[at + 4..range.end]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

const HEADER: usize = 64;
const FRAME_HEADER: usize = 32;

type Change = fn(&mut Vec<u8>);

#[tokio::test]
async fn what_a_later_version_writes_is_refused_by_name() {
    let segment_format: Change = |bytes| {
        bytes[8] = 2;
        seal(bytes, 0..HEADER, HEADER - 4);
    };
    let segment_flag: Change = |bytes| {
        bytes[13] = 1;
        seal(bytes, 0..HEADER, HEADER - 4);
    };
    let record_version: Change = |bytes| {
        let length = u32::from_le_bytes(bytes[HEADER + 20..HEADER + 24].try_into().unwrap());
        let end = HEADER + FRAME_HEADER + length as usize;
        bytes[HEADER + FRAME_HEADER + 4] = 2;
        seal(bytes, HEADER..end, HEADER + FRAME_HEADER - 4);
    };
    for (what, change) in [
        ("a format that this relaybox does not know", segment_format),
        ("a format that this relaybox does not know", segment_flag),
        (
            "version 2, which this relaybox does not know",
            record_version,
        ),
    ] {
        let home = Home::new();
        copy(&golden(), &home.data());
        fs::remove_dir_all(home.data().join("db")).unwrap();
        let path = segments(&home.data()).pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let outcome = home.serve_fails(&Options::new()).await;
        outcome.failure(1, &[name, " at byte ", what]);
    }
    let home = Home::new();
    copy(&golden(), &home.data());
    fs::write(home.data().join("VERSION"), "2\n").unwrap();
    let sentence = "the data directory has version 2, and this relaybox knows only up to 1";
    let outcome = home.serve_fails(&Options::new()).await;
    outcome.failure(1, &[sentence]);
    home.cli(&["check"]).await.failure(1, &[sentence]);
    let listed = home.cli(&["domain", "list"]).await;
    listed.failure(1, &[sentence]);
}
