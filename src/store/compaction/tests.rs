//! The scrub, against a running store.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::time::Instant;

use super::scrub::{BROKEN_OFF_MAX, Scrub};
use crate::store::tests::support::with_segments;

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
        assert_eq!((scrub.next, scrub.broken_off), (1, times));
        assert_eq!(asked.get(), times, "it gives way at once");
    }
    scrub.step(store.shared(), &is_called);
    assert_eq!((scrub.next, scrub.broken_off), (2, 0));
    scrub.not_before = Instant::now();
    scrub.step(store.shared(), &|| false);
    assert_eq!(scrub.next, 3);
}
