//! The scrub against a running store, and the filter beside a flush.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::filter::CompactionFilter;
use super::gone::Gone;
use super::scrub::{BROKEN_OFF_MAX, Scrub};
use crate::model::{Device, MsgId, Retention};
use crate::store::age::{AgeClock, Ages};
use crate::store::data::{CursorChange, CursorValue, LowWatermarks, Record};
use crate::store::disk::Pacer;
use crate::store::index::{Index, Manifest};
use crate::store::journal::{Position, RecordFilter as _};
use crate::store::memtable::Memtables;
use crate::store::tests::support::{device, with_segments};

#[test]
fn it_gives_way_but_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_segments(dir.path(), 3);
    let mut scrub = Scrub::default();
    let asked = Cell::new(0);
    let is_called = || {
        asked.set(asked.get() + 1);
        true
    };
    for times in 1..=BROKEN_OFF_MAX {
        scrub.step(store.shared(), &is_called);
        assert_eq!((scrub.next, scrub.broken_off), (0, times));
        assert_eq!(asked.get(), times, "it gives way at once");
    }
    scrub.step(store.shared(), &is_called);
    assert_eq!((scrub.next, scrub.broken_off), (2, 0));
    let step = |scrub: &mut Scrub| scrub.step(store.shared(), &|| false);
    store.clock.advance_us(99_999);
    step(&mut scrub);
    assert_eq!(scrub.next, 2, "each segment has its pause");
    store.clock.advance_us(1);
    step(&mut scrub);
    assert_eq!(scrub.next, 3);
}

#[test]
fn what_a_flush_lowers_between_two_cursors_of_a_user_stays_confirmed() {
    let dir = tempfile::tempdir().unwrap();
    let index = Arc::new(Index::open(&dir.path().join("db"), 1 << 20).unwrap());
    let (web, phone) = (device("d", "u", "web"), device("d", "u", "phone"));
    let set = |id| {
        let (id, at_ms, used) = (MsgId(id), 1, true);
        CursorChange::Set(CursorValue { id, at_ms, used })
    };
    let mut state = Manifest::empty(0);
    let mut flush = |changes: &[(&Device, CursorChange)]| {
        let mut memtables = Memtables::new(MsgId::ZERO, Position::START);
        for (device, change) in changes {
            memtables.push_cursor(device, *change);
        }
        let memtable = memtables.rotate();
        let written = index.apply_small(&memtable, 0, &mut state, &mut |_, _| Ok(()));
        written.unwrap();
    };
    flush(&[(&web, set(9)), (&phone, set(7))]);
    let gone = Gone {
        low_watermarks: LowWatermarks::default(),
        retention: Retention::default(),
        last_id: MsgId::ZERO,
        ages: Ages::plain(1),
    };
    let clock = AgeClock::resume(None, MsgId::ZERO, 1, Default::default());
    let mut filter = CompactionFilter {
        gone: &gone,
        age: clock.state().clone(),
        index: index.clone(),
        is_index_checked: true,
        stop: &|| false,
        pacer: Pacer::new(),
        keeps_erasures: false,
        dropped: 0,
        forgotten: HashMap::new(),
        devices: HashSet::new(),
        users: HashMap::new(),
        is_age_kept: false,
    };
    let mut left = Vec::new();
    let mut sift = |device, change| {
        let record = Record::Cursor { device, change };
        filter.sift(record, &mut left).unwrap();
    };
    sift(phone, set(7));
    flush(&[(&web, set(2))]);
    sift(web, set(9));
    let confirmed = left.iter().map(|record| match record {
        Record::Confirmed { id, .. } => id.0,
        Record::Cursor {
            change: CursorChange::Set(value),
            ..
        } => value.id.0,
        _ => 0,
    });
    assert_eq!(confirmed.max(), Some(9), "{left:?}");
}

#[test]
fn what_comes_once_a_compaction_has_begun_is_not_gone_by_an_id_of_long_ago() {
    let retention = Retention {
        all: Some(Duration::from_secs(10)),
        ..Retention::default()
    };
    let gone = |last_id| Gone {
        low_watermarks: LowWatermarks::default(),
        retention: retention.clone(),
        last_id: MsgId(last_id),
        ages: Ages::plain(1_000_000_000_000),
    };
    let mailbox = device("d", "u", "web").mailbox;
    // The clock was set back behind the last id that is known.
    let early = gone(500);
    assert_eq!(early.low_watermark(&mailbox), MsgId(500));
    assert_eq!(early.highest(), MsgId(500));
    assert!(early.is_known_send(&mailbox.domain, MsgId(501)));
    assert!(!early.is_known_send(&mailbox.domain, MsgId(500)));
    let late = gone(1_000_000_000_000);
    assert_eq!(late.low_watermark(&mailbox), MsgId(999_990_000_000));
}
