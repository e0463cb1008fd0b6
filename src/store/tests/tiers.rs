//! The tiers in which the index keeps the senders of a mailbox, through many flushes
//! and interrupted ones, against a plain list.

use super::support::*;
use std::cell::Cell;

use crate::store::api::Opening;
use crate::store::index::{Index, IndexError, Kept, Manifest, Pacing};
use crate::store::journal::Position;
use crate::store::memtable::{EncodedBatch, Memtable, Memtables};

const STEP_US: u64 = 1_000;

pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

struct World {
    index: Index,
    state: Manifest,
    memtables: Memtables,
    random: Random,
    messages: Vec<Message>,
    made: u64,
}

impl World {
    fn new(dir: &Path, seed: u64) -> Self {
        Self {
            index: Index::open(dir, 4 << 20).unwrap(),
            state: Manifest::empty(1),
            memtables: Memtables::new(MsgId::ZERO, Position::START),
            random: Random(seed),
            messages: Vec::new(),
            made: 0,
        }
    }

    /// A few senders write much, many write little; one mailbox gets most.
    fn message(&mut self) -> Message {
        let from = match self.random.below(3) {
            0 => self.random.below(4),
            _ => self.random.below(400),
        };
        let to = if self.random.below(8) == 0 {
            "quiet"
        } else {
            "busy"
        };
        let long = self.random.below(40) == 0;
        self.made += 1;
        Message {
            id: MsgId(self.made * STEP_US + self.random.below(STEP_US / 2)),
            mailbox: mailbox("d", to),
            to_resource: None,
            from_id: user(&format!("s{from}")),
            from_name: UserName::parse("Name").unwrap(),
            from_resource: Resource::parse("web").unwrap(),
            kind: MessageType(10),
            content: "x".repeat(if long { 20_000 } else { 5 }).into(),
            recipient_offline: from == 7,
        }
    }

    /// The message of the same send to another mailbox.
    fn also_to(&self, to: &str, message: &Message) -> Message {
        Message {
            id: MsgId(message.id.0 + 1),
            mailbox: mailbox("d", to),
            ..message.clone()
        }
    }

    /// Commits so many messages.
    fn commit(&mut self, count: u64) -> Arc<Memtable> {
        let first = self.messages.len();
        for _ in 0..count {
            let message = self.message();
            let is_long = message.content.len() > 1_000;
            let to_both = self.random.below(if is_long { 2 } else { 100 }) == 0;
            let other = to_both.then(|| self.also_to("both", &message));
            self.messages.push(message);
            self.messages.extend(other);
        }
        self.memtables
            .push_messages(EncodedBatch::new(&self.messages[first..]));
        let last_id = self.messages.last().unwrap().id;
        self.memtables.advance(last_id, Position::START);
        let immutable = self.memtables.rotate();
        self.memtables.immutable = None;
        immutable
    }

    /// Commits so many messages and makes a flush, which is interrupted first at some
    /// of its writes.
    fn flush(&mut self, count: u64, interruptions: u64) {
        let immutable = self.commit(count);
        for _ in 0..interruptions {
            let left = Cell::new(self.random.below(count / 8 + 2));
            let mut stop = |_| match left.get() {
                0 => Err(IndexError::Closing),
                more => {
                    left.set(more - 1);
                    Ok(())
                }
            };
            let pacing = Pacing::Paced(&mut stop);
            let done = self.index.write(&immutable, &self.state, 0, pacing);
            // What is there by now is right, whatever comes of the rest.
            self.index
                .verify(&mut self.state.clone(), &Opening::default())
                .unwrap();
            if done.is_ok() {
                break;
            }
        }
        let state = self.index.write(&immutable, &self.state, 0, Pacing::AtOnce);
        self.state = state.unwrap();
        self.index
            .verify(&mut self.state.clone(), &Opening::default())
            .unwrap();
    }

    fn check(&mut self, to: &str) {
        let mailbox = mailbox("d", to);
        let all = self
            .messages
            .iter()
            .filter(|message| message.mailbox == mailbox);
        let all: Vec<_> = all.collect();
        for sender in 0..401 {
            let from = user(&format!("s{sender}"));
            let theirs = all.iter().filter(|message| message.from_id == from);
            let theirs: Vec<&Message> = theirs.copied().collect();
            let count = theirs.len() as u64;
            let rank = |upto| {
                self.index
                    .list(&mailbox, Some(&from))
                    .unwrap()
                    .rank(upto)
                    .unwrap()
            };
            assert_eq!(rank(MsgId::MAX), count, "{from}");
            let at = self.random.below(count + 1);
            let upto = theirs
                .get(at as usize)
                .map_or(MsgId(0), |message| message.id);
            let expected = theirs.iter().filter(|message| message.id <= upto).count();
            assert_eq!(rank(upto), expected as u64, "{from} up to {upto}");
            let end = at + self.random.below(150);
            let slice = indexed(&self.index.list(&mailbox, Some(&from)).unwrap(), at..end);
            let expected: Vec<&Message> = theirs
                .iter()
                .skip(at as usize)
                .take((end - at) as usize)
                .copied()
                .collect();
            assert_eq!(
                slice.iter().collect::<Vec<_>>(),
                expected,
                "{from} {at}..{end}"
            );
        }
        let total = all.len() as u64;
        assert_eq!(
            self.index
                .list(&mailbox, None)
                .unwrap()
                .rank(MsgId::MAX)
                .unwrap(),
            total
        );
        let at = self.random.below(total + 1);
        let slice = indexed(&self.index.list(&mailbox, None).unwrap(), at..at + 60);
        let expected: Vec<&Message> = all.iter().skip(at as usize).take(60).copied().collect();
        assert_eq!(slice.iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn senders_are_found_in_every_tier() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path(), 3);
    for step in 0..40 {
        let count = 1 + world.random.below(if step % 4 == 0 { 1_500 } else { 90 });
        world.flush(count, step % 3);
        if step % 5 == 0 {
            world.check("busy");
            world.check("quiet");
        }
    }
    assert!(world.messages.len() > 6_000, "all tiers were in use");
    world.check("busy");
    world.check("quiet");
    world.check("both");
    assert!(world.state.contents > 10, "some share what they hold");
}

#[test]
fn a_tier_that_is_missing_is_noticed() {
    for tree in ["messages", "contents", "summaries", "senders"] {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::new(dir.path(), 5);
        for _ in 0..4 {
            world.flush(1_000, 0);
        }
        world.index.lose_first_of(tree);
        let verified = world
            .index
            .verify(&mut world.state.clone(), &Opening::default());
        assert!(verified.is_err(), "{tree}");
    }
}

#[test]
fn a_heap_that_is_short_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path(), 5);
    world.flush(1_000, 0);
    let state = world.state.clone();
    drop(world);
    let blob = std::fs::OpenOptions::new()
        .write(true)
        .open(dir.path().join("heap"));
    blob.unwrap().set_len(state.blob_bytes - 1).unwrap();
    let index = Index::open(dir.path(), 4 << 20).unwrap();
    assert!(
        index
            .verify(&mut state.clone(), &Opening::default())
            .is_err()
    );
}

/// Keeps of one mailbox what is above this id, and of the others everything.
struct Above(&'static str, MsgId);

impl Kept for Above {
    fn low_watermark(&self, of: &Mailbox) -> MsgId {
        match *of == mailbox("d", self.0) {
            true => self.1,
            false => MsgId::ZERO,
        }
    }

    fn keeps_send(&self, _: &Domain, _: MsgId) -> bool {
        true
    }

    fn keeps_erasure(&self, _: &Mailbox, _: MsgId) -> bool {
        true
    }
}

fn copied(world: &World, to: &Path, kept: &Above) -> Result<(Index, Manifest), IndexError> {
    let index = Index::open(to, 4 << 20).unwrap();
    let mut on = |_: &Index, _| Ok(());
    let (state, _) = world.index.copy(&world.state, &index, 2, kept, &mut on)?;
    Ok((index, state))
}

#[test]
fn a_copy_has_what_is_kept_in_every_tier() {
    for (seed, part, mailbox_name) in [(7, 0, "busy"), (8, 3, "busy"), (9, 4, "quiet")] {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut world = World::new(old.path(), seed);
        for _ in 0..8 {
            world.flush(1_500, 0);
        }
        // What a later memtable has written so far is not part of it.
        let later: Vec<Message> = (0..500).map(|_| world.message()).collect();
        world.memtables.push_messages(EncodedBatch::new(&later));
        let half = world.memtables.rotate();
        world.memtables.immutable = None;
        let mut left = 20;
        let mut stop = |_| {
            left -= 1;
            (left > 0).then_some(()).ok_or(IndexError::Closing)
        };
        let pacing = Pacing::Paced(&mut stop);
        let stopped = world.index.write(&half, &world.state, 0, pacing);
        stopped.unwrap_err();
        let low_watermark = world.messages[(world.messages.len() - 1) * part / 4].id;
        let kept = Above(mailbox_name, low_watermark);
        let (index, state) = copied(&world, new.path(), &kept).unwrap();
        let mut copy = World::new(&new.path().join("unused"), seed);
        copy.messages = world.messages;
        copy.messages
            .retain(|message| message.id > kept.low_watermark(&message.mailbox));
        assert_eq!(state.messages, copy.messages.len() as u64);
        index
            .verify(&mut state.clone(), &Opening::default())
            .unwrap();
        (copy.index, copy.state) = (index, state);
        copy.check("busy");
        copy.check("quiet");
        // And it goes on from there.
        copy.made = world.made;
        copy.flush(700, 2);
        copy.check("busy");
        copy.check("quiet");
        copy.check("both");
    }
}

#[test]
fn what_is_missing_is_noticed_by_a_copy() {
    for missing in ["messages", "contents", ""] {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut world = World::new(old.path(), 5);
        world.flush(1_000, 0);
        match missing {
            "" => world.state.messages += 1,
            tree => world.index.lose_first_of(tree),
        }
        let kept = Above("busy", MsgId::ZERO);
        let noticed = copied(&world, new.path(), &kept);
        assert!(
            matches!(noticed, Err(IndexError::Damaged(_))),
            "{missing:?}"
        );
    }
}
