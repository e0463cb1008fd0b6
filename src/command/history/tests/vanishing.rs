//! Messages erased while an answer is found and read.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use super::super::*;
use super::{NOW_US, id_of, mailbox, open, send_later};
use crate::clock::ManualClock;

/// Large enough that a piece holds only some of a page.
const LARGE_BYTES: usize = 8 << 10;

fn query(senders: Senders, place: Place, size: u64) -> HistoryQuery {
    HistoryQuery {
        mailbox: mailbox(0),
        senders,
        since_ms: None,
        until_ms: None,
        as_of: None,
        place,
        size,
    }
}

fn ids(messages: &[Message]) -> Vec<MsgId> {
    messages.iter().map(|message| message.id).collect()
}

#[test]
fn what_vanishes_while_an_answer_is_read_makes_it_shorter() {
    let everybodys = (Senders::All, true);
    let conversation = (Senders::With(mailbox(1).user), false);
    let cursor = |before, after| Place::Cursor { before, after };
    let (top, bottom) = (Some(MsgId::MAX), Some(MsgId::ZERO));
    let cases = [
        (&everybodys, Place::Page(1, Order::Descending)),
        (&everybodys, Place::Page(1, Order::Ascending)),
        (&everybodys, cursor(top, None)),
        (&everybodys, cursor(None, bottom)),
        (&conversation, cursor(None, None)),
        (&conversation, cursor(top, bottom)),
        (&conversation, cursor(None, bottom)),
    ];
    for ((senders, alone), place) in cases {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), Arc::new(ManualClock::new(NOW_US)));
        // In a conversation, even positions go to the first user.
        let sent = |n: usize| {
            let to = if *alone { 0 } else { n % 2 };
            id_of(&send_later(&store, to, 1 - to, LARGE_BYTES))
        };
        let all: Vec<MsgId> = (0..100).map(sent).collect();
        let query = query(senders.clone(), place, 40);
        let ascending = query.order() == Order::Ascending;
        let mut listed = all.clone();
        if !ascending {
            listed.reverse();
        }
        listed.truncate(40);
        let (mut page, mut read) = find(&store, &query).unwrap();
        assert!(read.len() < 20, "{} messages at once", read.len());
        // The conversation loses one direction; the mailbox, everything up to the middle of the
        // answer.
        let (user, before) = if *alone {
            (0, listed[20])
        } else {
            (1, MsgId::MAX)
        };
        store.erase(&mailbox(user), Some(before)).unwrap();
        let (at, first) = (
            |id| all.iter().position(|one| *one == id).unwrap(),
            read.len(),
        );
        let gone = |id: MsgId| if *alone { id < before } else { at(id) % 2 == 1 };
        let (head, tail) = listed.split_at(first);
        let stays = tail.iter().copied().filter(|id| !gone(*id));
        let expected: Vec<MsgId> = head.iter().copied().chain(stays).collect();
        while !page.is_read() {
            read.extend(read_on(&store, &query, &mut page).unwrap());
        }
        assert_eq!(ids(&read), expected, "{senders:?} {place:?}");
    }
}

#[test]
fn what_vanishes_while_an_answer_is_found_shifts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Arc::new(ManualClock::new(NOW_US)));
    let all: Vec<MsgId> = (0..2000)
        .map(|_| send_later(&store, 0, 1, 10))
        .collect::<Vec<_>>()
        .iter()
        .map(id_of)
        .collect();
    store.flush();
    // One erasure per query, at any moment during it.
    let (erase, erasures) = sync_channel(0);
    std::thread::scope(|scope| {
        let store = &store;
        scope.spawn(move || {
            for before in erasures {
                store.erase(&mailbox(0), Some(before)).unwrap();
            }
        });
        let place = Place::Page(1, Order::Descending);
        let query = query(Senders::From(mailbox(1).user), place, 5);
        let newest: Vec<MsgId> = all.iter().rev().take(5).copied().collect();
        for before in &all[1..] {
            erase.send(*before).unwrap();
            let (page, read) = find(store, &query).unwrap();
            assert_eq!(page.as_of, newest[0]);
            let count = usize::try_from(page.total.min(5)).unwrap();
            assert_eq!(ids(&read), newest[..count]);
        }
        drop(erase);
    });
}
