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

/// Set to the active memtable once it is frozen.
pub(super) type Rotated = Arc<OnceLock<Arc<Memtable>>>;

#[derive(Debug, Default)]
pub(crate) struct Memtable {
    /// The last id before this memtable.
    pub(crate) start: MsgId,
    pub(crate) last_id: MsgId,
    /// The journal behind its contents.
    pub(crate) end: Position,
    pub(crate) mailboxes: HashMap<Mailbox, MailboxPart>,
    pub(super) batches: Vec<Bodies>,
    /// Shared bodies in commit order: the domain, and the first message.
    pub(super) shared: Vec<(Domain, Entry)>,
    pub(crate) cursors: Changes,
    pub(crate) sends: HashMap<SendKey, SendIds>,
    pub(crate) domains: BTreeMap<Domain, DomainState>,
    /// Low watermarks of erased mailboxes.
    pub(crate) erased: HashMap<Mailbox, MsgId>,
    /// The last recorded age time.
    pub(crate) age: Option<AgeState>,
    pub(crate) messages: u64,
    pub(crate) bytes: usize,
    /// The time of its first change, by the store's monotonic clock.
    pub(crate) since: Option<Duration>,
    is_touched: bool,
    /// Messages, sends and cursors in it.
    things: usize,
    /// Those that the flush has written.
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

    /// Begins or repeats a flush.
    pub(crate) fn begin_writing(&self) {
        self.written.store(0, Ordering::Relaxed);
    }

    pub(crate) fn note_written(&self, things: usize) {
        self.written.fetch_add(things, Ordering::Relaxed);
    }

    /// The written share, from 0 to 1.
    pub(super) fn written(&self) -> f64 {
        let written = self.written.load(Ordering::Relaxed);
        (written as f64 / self.things.max(1) as f64).min(1.0)
    }

    pub(crate) fn body(&self, entry: Entry) -> &[u8] {
        entry.body(&self.batches)
    }

    /// Shared bodies: domain, first id, body.
    pub(crate) fn shared(&self) -> impl Iterator<Item = (&Domain, u64, &[u8])> {
        let shared = self.shared.iter();
        shared.map(|(domain, first)| (domain, first.id, self.body(*first)))
    }

    /// The first id of a shared body.
    pub(crate) fn shared_from(&self, entry: Entry) -> Option<u64> {
        let at = |(_, first): &(Domain, Entry)| first.location();
        let found = self.shared.binary_search_by_key(&entry.location(), at);
        Some(self.shared[found.ok()?].1.id)
    }

    /// Cursors that a flush may remove from the index, at most.
    pub(crate) fn dropped_cursors(&self) -> u64 {
        let users = self.cursors.values();
        users.map(|user| user.dropped().len() as u64).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.is_touched
    }

    pub(super) fn touched(&mut self, things: usize, bytes: usize) {
        self.things += things;
        self.bytes += bytes;
        self.is_touched = true;
    }
}
