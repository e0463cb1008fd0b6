//! A flush makes room with everything that it writes.

use super::support::*;
use std::cell::OnceCell;

use crate::store::data::{CursorChange, SendIds, SendKey};
use crate::store::index::{Index, Manifest, Pacing};
use crate::store::journal::Position;
use crate::store::memtable::{EncodedBatch, Memtables};

fn message(id: u64) -> Message {
    Message {
        id: MsgId(id),
        mailbox: mailbox("d", &format!("u{}", id % 100)),
        to_resource: None,
        from_id: user(&format!("s{}", id % 7)),
        from_name: UserName::parse("Name").unwrap(),
        from_resource: Resource::parse("web").unwrap(),
        kind: MessageType(10),
        content: "x".repeat(1 + id as usize % 900).into(),
        recipient_offline: false,
    }
}

#[test]
fn a_flush_makes_room_step_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(dir.path(), 4 << 20).unwrap();
    let mut memtables = Memtables::new(MsgId::ZERO, Position::START);
    let messages: Vec<_> = (1..=2_000).map(message).collect();
    memtables.push_messages(EncodedBatch::new(&messages));
    for n in 0..50 {
        let key = SendKey {
            domain: domain("d"),
            from_id: user("s1"),
            client_msg_id: ClientMsgId::parse(&n.to_string()).unwrap(),
        };
        let ids = SendIds {
            first: MsgId(n + 1),
            count: 1,
        };
        memtables.push_send(key, ids);
        let change = CursorChange::Raise {
            id: MsgId(n),
            at_ms: n,
        };
        memtables.push_cursor(&device("d", "u1", &n.to_string()), change);
    }
    let immutable = memtables.rotate();
    let bytes = memtables.bytes();
    memtables.push_messages(EncodedBatch::new(&messages[..200]));
    // Of what is left, less than a half is open at the beginning.
    let max = bytes + 2 * memtables.active.bytes;
    assert!(memtables.fullness(max, false) > 1.0);
    // A flush that failed is made once more, from its beginning.
    for again in [false, true] {
        let mut before = f64::MAX;
        let mut between = |_| {
            let now = memtables.fullness(max, false);
            let small = again || before == f64::MAX || before - now < 0.1;
            assert!((again || now <= before) && small, "{before} {now}");
            before = now;
            Ok(())
        };
        let state = Manifest::empty(1);
        let pacing = Pacing::Paced(&mut between);
        index.write(&immutable, &state, 0, pacing).unwrap();
        assert!((memtables.fullness(max, false) - 0.5).abs() < 0.01);
        assert_eq!(
            memtables.fullness(bytes, false),
            memtables.fullness(bytes, true)
        );
        assert!(
            memtables.fullness(bytes, false) >= 1.0,
            "it is in memory until the end"
        );
    }
}

#[test]
fn a_batch_waits_half_a_minute_for_a_flush_and_is_refused_then() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    // The flush thread takes it before it looks for work.
    let stuck = store.shared().growth.lock();
    while store.shared().has_room() {
        send_one(&store, "a", "u", &"x".repeat(30_000));
    }
    let begun = store.clock.monotonic();
    let answer = send_later(&store, draft("a", &["u"], "late"));
    let outcome = OnceCell::new();
    store.step_until("an answer", || {
        let arrived = answer.try_recv();
        arrived.is_ok_and(|arrived| outcome.set(arrived).is_ok())
    });
    let refused = outcome.into_inner().unwrap().unwrap_err();
    let reason = "the index is too slow".to_owned();
    assert_eq!(refused, AppendError::Unavailable(reason));
    assert!(store.clock.monotonic() - begun >= Duration::from_secs(30));
    drop(stuck);
    store.flush();
    send_one(&store, "a", "u", "again");
}
