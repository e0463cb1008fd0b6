//! What is committed but not yet in the index, in memory, readable at once.
//!
//! Two generations: `active` takes what is committed; `frozen` is what a checkpoint is
//! writing into the index right now, and is dropped when it is all there and durable.
//! What a generation holds is never changed, only added to.
//!
//! Invariant: all of `frozen` is older than all of `active`, and whatever is in neither
//! is in the index. So who reads the tail first and the index second misses nothing; who
//! then takes from the index only what is below the tail's first (or at most the tail's
//! last id) sees nothing twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::cursors::{self, Changes, CursorChange};
use super::domains::DomainState;
use super::journal::Position;
use crate::model::{ClientMsgId, Device, Domain, Mailbox, Message, MsgId, UserId};

/// What a message costs beside its content: names, entries, keys, as measured.
pub(super) const MESSAGE_OVERHEAD_BYTES: usize = 400;
/// What a cursor or a send costs.
pub(super) const SMALL_BYTES: usize = 200;
/// From this many messages on, a mailbox keeps its senders apart.
const SENDERS_APART_MIN: usize = 128;

/// A sender's own id of a send.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SendKey {
    pub(super) domain: Domain,
    pub(super) from_id: UserId,
    pub(super) client_msg_id: ClientMsgId,
}

/// The ids of one send: `count` ids from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SendIds {
    pub(super) first: MsgId,
    pub(super) count: u32,
}

impl SendIds {
    /// One id for each recipient, in their order.
    pub(super) fn ids(self) -> Vec<MsgId> {
        let ids = (self.first.0..).take(self.count as usize);
        ids.map(MsgId).collect()
    }

    /// The last of them.
    pub(super) fn last(self) -> MsgId {
        MsgId((self.first.0 + u64::from(self.count)).saturating_sub(1))
    }
}

/// One message in a batch of the committer, which owns it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    batch: Arc<Vec<Message>>,
    at: u32,
}

impl Entry {
    /// The message.
    pub(super) fn message(&self) -> &Message {
        &self.batch[self.at as usize]
    }

    fn id(&self) -> MsgId {
        self.message().id
    }
}

/// The tail's part of a mailbox, in the order of ids.
#[derive(Debug, Default)]
pub(super) struct TailMailbox {
    pub(super) entries: Vec<Entry>,
    by_sender: Option<HashMap<UserId, Vec<u32>>>,
}

impl TailMailbox {
    fn push(&mut self, entry: Entry) {
        let index = self.entries.len() as u32;
        let from = entry.message().from_id.clone();
        self.entries.push(entry);
        if let Some(by_sender) = &mut self.by_sender {
            by_sender.entry(from).or_default().push(index);
        } else if self.entries.len() >= SENDERS_APART_MIN {
            let mut by_sender: HashMap<UserId, Vec<u32>> = HashMap::new();
            for (index, entry) in (0..).zip(&self.entries) {
                let from = entry.message().from_id.clone();
                by_sender.entry(from).or_default().push(index);
            }
            self.by_sender = Some(by_sender);
        }
    }

    /// How many entries have an id of at most `upto`.
    fn rank(&self, upto: MsgId) -> usize {
        self.entries.partition_point(|entry| entry.id() <= upto)
    }

    /// How many of them are from `from`.
    fn rank_from(&self, from: &UserId, upto: MsgId) -> usize {
        match &self.by_sender {
            Some(by_sender) => by_sender.get(from).map_or(0, |indexes| {
                indexes.partition_point(|i| self.entries[*i as usize].id() <= upto)
            }),
            None => {
                let below = &self.entries[..self.rank(upto)];
                below
                    .iter()
                    .filter(|e| e.message().from_id == *from)
                    .count()
            }
        }
    }

    /// Appends up to `count` entries (from `from`) after skipping `skip`; answers how
    /// many of `skip` are still to be skipped behind this one.
    fn collect(
        &self,
        from: Option<&UserId>,
        skip: u64,
        count_max: usize,
        out: &mut Vec<Entry>,
    ) -> u64 {
        let wanted = count_max.saturating_sub(out.len());
        let at = usize::try_from(skip).unwrap_or(usize::MAX);
        let available = match (from, &self.by_sender) {
            (None, _) => {
                out.extend(self.entries.iter().skip(at).take(wanted).cloned());
                self.entries.len()
            }
            (Some(from), Some(by_sender)) => {
                let indexes = by_sender.get(from).map_or(&[][..], Vec::as_slice);
                let entries = indexes.iter().map(|i| &self.entries[*i as usize]);
                out.extend(entries.skip(at).take(wanted).cloned());
                indexes.len()
            }
            (Some(from), None) => {
                let theirs = |e: &&Entry| e.message().from_id == *from;
                let entries = self.entries.iter().filter(theirs);
                out.extend(entries.skip(at).take(wanted).cloned());
                self.entries.iter().filter(theirs).count()
            }
        };
        skip.saturating_sub(available as u64)
    }
}

/// What was committed between two checkpoints.
#[derive(Debug)]
pub(super) struct Generation {
    /// Everything with an id of at most this is older than this generation.
    pub(super) start: MsgId,
    /// The last id issued.
    pub(super) last_id: MsgId,
    /// The journal's place behind all of it.
    pub(super) end: Position,
    pub(super) mailboxes: HashMap<Mailbox, TailMailbox>,
    pub(super) cursors: Changes,
    pub(super) sends: HashMap<SendKey, SendIds>,
    pub(super) domains: BTreeMap<Domain, DomainState>,
    /// Up to which id mailboxes were erased.
    pub(super) erased: HashMap<Mailbox, MsgId>,
    pub(super) messages: u64,
    pub(super) bytes: usize,
    /// When its first thing came.
    pub(super) since: Option<Instant>,
    /// About how much of `bytes` a checkpoint has written by now.
    written_bytes: AtomicUsize,
}

impl Generation {
    fn new(start: MsgId, end: Position) -> Self {
        Self {
            start,
            last_id: start,
            end,
            mailboxes: HashMap::new(),
            cursors: Changes::new(),
            sends: HashMap::new(),
            domains: BTreeMap::new(),
            erased: HashMap::new(),
            messages: 0,
            bytes: 0,
            since: None,
            written_bytes: AtomicUsize::new(0),
        }
    }

    /// A checkpoint begins to write it, perhaps once more.
    pub(super) fn begin_writing(&self) {
        self.written_bytes.store(0, Ordering::Relaxed);
    }

    /// A checkpoint has written something of it.
    pub(super) fn note_written(&self, bytes: usize) {
        self.written_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn unwritten_bytes(&self) -> usize {
        let written = self.written_bytes.load(Ordering::Relaxed);
        self.bytes.saturating_sub(written)
    }

    /// How many cursors it may remove from the index.
    pub(super) fn dropped_cursors(&self) -> u64 {
        let users = self.cursors.values();
        users.map(|user| user.dropped().len() as u64).sum()
    }

    /// Whether there is nothing to be written into the index.
    pub(super) fn is_empty(&self) -> bool {
        self.since.is_none()
    }

    fn touched(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.since.get_or_insert_with(Instant::now);
    }
}

/// Both generations.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) active: Generation,
    pub(super) frozen: Option<Arc<Generation>>,
    /// How often something became frozen.
    pub(super) freezes: u64,
}

impl Tail {
    /// An empty tail behind an index that holds everything up to `start`.
    pub(super) fn new(start: MsgId, end: Position) -> Self {
        Self {
            active: Generation::new(start, end),
            frozen: None,
            freezes: 0,
        }
    }

    /// Bytes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.active.bytes + self.frozen.as_ref().map_or(0, |frozen| frozen.bytes)
    }

    /// Those of them that are still to be written into the index, about.
    pub(super) fn unwritten_bytes(&self) -> usize {
        let frozen = self.frozen.as_ref();
        self.active.bytes + frozen.map_or(0, |frozen| frozen.unwritten_bytes())
    }

    /// Makes what is active frozen; nothing may be frozen.
    pub(super) fn freeze(&mut self) -> Arc<Generation> {
        let next = Generation::new(self.active.last_id, self.active.end);
        let frozen = Arc::new(std::mem::replace(&mut self.active, next));
        self.frozen = Some(frozen.clone());
        self.freezes += 1;
        frozen
    }

    /// Adds the messages of a batch, in the order of ids.
    pub(super) fn push_messages(&mut self, batch: &Arc<Vec<Message>>) {
        let mut last_content: Option<&Arc<str>> = None;
        for (at, message) in (0..).zip(batch.iter()) {
            // The copies of one send share their content.
            let shared = last_content.is_some_and(|last| Arc::ptr_eq(last, &message.content));
            let content_bytes = if shared { 0 } else { message.content.len() };
            last_content = Some(&message.content);
            let entry = Entry {
                batch: batch.clone(),
                at,
            };
            match self.active.mailboxes.get_mut(&message.mailbox) {
                Some(mailbox) => mailbox.push(entry),
                None => {
                    let mailbox = message.mailbox.clone();
                    self.active
                        .mailboxes
                        .entry(mailbox)
                        .or_default()
                        .push(entry);
                }
            }
            self.active.messages += 1;
            self.active.touched(content_bytes + MESSAGE_OVERHEAD_BYTES);
        }
    }

    /// Adds the ids of a send.
    pub(super) fn push_send(&mut self, key: SendKey, ids: SendIds) {
        self.active.sends.insert(key, ids);
        self.active.touched(SMALL_BYTES);
    }

    /// Adds what happened to a cursor.
    pub(super) fn push_cursor(&mut self, device: &Device, change: CursorChange) {
        let is_new = cursors::push(&mut self.active.cursors, device, change);
        let bytes = usize::from(is_new) * SMALL_BYTES;
        self.active.touched(bytes);
    }

    /// Sets what became of a domain.
    pub(super) fn push_domain(&mut self, domain: Domain, state: DomainState) {
        self.active.domains.insert(domain, state);
        self.active.touched(SMALL_BYTES);
    }

    /// Notes that a mailbox was erased up to this id.
    pub(super) fn push_erased(&mut self, mailbox: Mailbox, upto: MsgId) {
        let place = self.active.erased.entry(mailbox).or_default();
        *place = upto.max(*place);
        self.active.touched(SMALL_BYTES);
    }

    /// A segment was sealed: the next checkpoint says that the index is beyond it, also if
    /// nothing else has come.
    pub(super) fn note_sealed(&mut self) {
        self.active.touched(0);
    }

    /// Says how far the journal is.
    pub(super) fn advance(&mut self, last_id: MsgId, end: Position) {
        self.active.last_id = self.active.last_id.max(last_id);
        self.active.end = end;
    }

    fn generations(&self) -> impl Iterator<Item = &Generation> {
        self.frozen.as_deref().into_iter().chain([&self.active])
    }

    fn parts<'a>(&'a self, mailbox: &'a Mailbox) -> impl Iterator<Item = &'a TailMailbox> {
        self.generations()
            .filter_map(move |generation| generation.mailboxes.get(mailbox))
    }

    /// Everything with an id of at most this is in the index, everything above is not
    /// needed from there.
    pub(super) fn start(&self) -> MsgId {
        self.frozen.as_ref().map_or(self.active.start, |f| f.start)
    }

    /// The highest id that may be taken from the index by a reader of this mailbox who
    /// has looked at the tail now.
    pub(super) fn index_bound(&self, mailbox: &Mailbox) -> MsgId {
        let first = self.parts(mailbox).find_map(|part| part.entries.first());
        first.map_or(self.active.last_id, |entry| MsgId(entry.id().0 - 1))
    }

    /// How many messages of the mailbox (from `from`) in the tail have at most this id.
    pub(super) fn rank(&self, mailbox: &Mailbox, from: Option<&UserId>, upto: MsgId) -> u64 {
        let counts = self.parts(mailbox).map(|part| match from {
            None => part.rank(upto),
            Some(from) => part.rank_from(from, upto),
        });
        counts.sum::<usize>() as u64
    }

    /// The entries of the mailbox (from `from`) at these places in the tail.
    pub(super) fn slice(
        &self,
        mailbox: &Mailbox,
        from: Option<&UserId>,
        skip: u64,
        count_max: usize,
    ) -> Vec<Entry> {
        let mut out = Vec::new();
        let mut skip = skip;
        for part in self.parts(mailbox) {
            skip = part.collect(from, skip, count_max, &mut out);
        }
        out
    }

    /// The ids of a send, if it is here.
    pub(super) fn send(&self, key: &SendKey) -> Option<SendIds> {
        let mut found = self.generations().filter_map(|g| g.sends.get(key));
        let first = found.next()?;
        Some(*found.last().unwrap_or(first))
    }

    /// What happened to a device's cursor.
    pub(super) fn cursor(&self, device: &Device) -> Option<CursorChange> {
        let users = self
            .generations()
            .filter_map(|g| g.cursors.get(&device.mailbox));
        let changes = users.filter_map(|user| user.get(&device.resource));
        changes.reduce(|older, newer| newer.after(older))
    }
}
