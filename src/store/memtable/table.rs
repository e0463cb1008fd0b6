//! One memtable: what was committed between two flushes, by mailbox.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::mailbox::{Bodies, Entry, MailboxPart};
use crate::model::{Domain, Mailbox, MsgId};
use crate::store::age::AgeState;
use crate::store::data::{Changes, DomainState, SendIds, SendKey};
use crate::store::journal::Position;

/// Holds the active memtable once it has become immutable.
pub(super) type Rotated = Arc<OnceLock<Arc<Memtable>>>;

/// What was committed between two flushes.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    /// Everything with an id of at most this is older than this memtable.
    pub(crate) start: MsgId,
    /// The last id issued.
    pub(crate) last_id: MsgId,
    /// The journal's place behind all of it.
    pub(crate) end: Position,
    pub(crate) mailboxes: HashMap<Mailbox, MailboxPart>,
    pub(super) batches: Vec<Bodies>,
    /// The bodies that the index has once, in the order in which they came: their domain, and the
    /// first message that has them.
    pub(super) shared: Vec<(Domain, Entry)>,
    pub(crate) cursors: Changes,
    pub(crate) sends: HashMap<SendKey, SendIds>,
    pub(crate) domains: BTreeMap<Domain, DomainState>,
    /// Up to which id mailboxes were erased.
    pub(crate) erased: HashMap<Mailbox, MsgId>,
    /// How far age time was when it was last noted.
    pub(crate) age: Option<AgeState>,
    pub(crate) messages: u64,
    pub(crate) bytes: usize,
    /// When its first thing came, by the store's monotonic clock.
    pub(crate) since: Option<Duration>,
    is_touched: bool,
    /// How many messages, sends and cursors it holds.
    things: usize,
    /// How many of them a flush has written by now.
    written: AtomicUsize,
}

impl Memtable {
    pub(super) fn new(start: MsgId, end: Position) -> Self {
        Self {
            start,
            last_id: start,
            end,
            ..Self::default()
        }
    }

    /// A flush begins to write it, perhaps once more.
    pub(crate) fn begin_writing(&self) {
        self.written.store(0, Ordering::Relaxed);
    }

    /// A flush has written so many messages, cursors or sends.
    pub(crate) fn note_written(&self, things: usize) {
        self.written.fetch_add(things, Ordering::Relaxed);
    }

    /// How much of it is written, from 0 to 1.
    pub(super) fn written(&self) -> f64 {
        let written = self.written.load(Ordering::Relaxed);
        (written as f64 / self.things.max(1) as f64).min(1.0)
    }

    /// The body of a message in it.
    pub(crate) fn body(&self, entry: Entry) -> &[u8] {
        entry.body(&self.batches)
    }

    /// The bodies that the index has once: of which domain, the first message's id, the body.
    pub(crate) fn shared(&self) -> impl Iterator<Item = (&Domain, u64, &[u8])> {
        let shared = self.shared.iter();
        shared.map(|(domain, first)| (domain, first.id, self.body(*first)))
    }

    /// The first message that shares this one's body, if the index has that once.
    pub(crate) fn shared_from(&self, entry: Entry) -> Option<u64> {
        let at = |(_, first): &(Domain, Entry)| first.location();
        let found = self.shared.binary_search_by_key(&entry.location(), at);
        Some(self.shared[found.ok()?].1.id)
    }

    /// How many cursors it may remove from the index.
    pub(crate) fn dropped_cursors(&self) -> u64 {
        let users = self.cursors.values();
        users.map(|user| user.dropped().len() as u64).sum()
    }

    /// Whether there is nothing to be written into the index.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_touched
    }

    pub(super) fn touched(&mut self, things: usize, bytes: usize) {
        self.things += things;
        self.bytes += bytes;
        self.is_touched = true;
    }
}
