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

mod batch;
mod mailbox;
mod usage;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub(super) use self::batch::Batch;
pub(super) use self::mailbox::{Entry, TailMailbox, Taken};

use self::batch::Shared;
use self::mailbox::Bodies;
use super::age::AgeState;
use super::cursors::{self, Changes, CursorChange};
use super::domains::DomainState;
use super::journal::Position;
use crate::model::{ClientMsgId, Device, Domain, Mailbox, MsgId, UserId};

/// What a mailbox costs beside its messages: its name, its place in the map.
const MAILBOX_BYTES: usize = 220;
/// What a commit costs beside its messages.
const BATCH_BYTES: usize = 64;
/// What a cursor, a send, a domain or an erasure costs.
const SMALL_BYTES: usize = 250;
/// What a body that the index has once costs beside it.
const SHARED_BYTES: usize = 120;
/// How much of what is left beside a frozen generation is open from its beginning; the
/// rest is opened step by step as the checkpoint gets on.
const HEAD_START: f64 = 0.4;

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
    batches: Vec<Bodies>,
    shared: Shared,
    pub(super) cursors: Changes,
    pub(super) sends: HashMap<SendKey, SendIds>,
    pub(super) domains: BTreeMap<Domain, DomainState>,
    /// Up to which id mailboxes were erased.
    pub(super) erased: HashMap<Mailbox, MsgId>,
    /// How far age time was when it was last noted.
    pub(super) age: Option<AgeState>,
    pub(super) messages: u64,
    pub(super) bytes: usize,
    /// When its first thing came.
    pub(super) since: Option<Instant>,
    /// How many messages, sends and cursors it holds.
    things: usize,
    /// How many of them a checkpoint has written by now.
    written: AtomicUsize,
}

impl Generation {
    fn new(start: MsgId, end: Position) -> Self {
        Self {
            start,
            last_id: start,
            end,
            mailboxes: HashMap::new(),
            batches: Vec::new(),
            shared: Shared::default(),
            cursors: Changes::new(),
            sends: HashMap::new(),
            domains: BTreeMap::new(),
            erased: HashMap::new(),
            age: None,
            messages: 0,
            bytes: 0,
            since: None,
            things: 0,
            written: AtomicUsize::new(0),
        }
    }

    /// A checkpoint begins to write it, perhaps once more.
    pub(super) fn begin_writing(&self) {
        self.written.store(0, Ordering::Relaxed);
    }

    /// A checkpoint has written so many messages, cursors or sends.
    pub(super) fn note_written(&self, things: usize) {
        self.written.fetch_add(things, Ordering::Relaxed);
    }

    /// How much of it is written, from 0 to 1.
    fn written(&self) -> f64 {
        let written = self.written.load(Ordering::Relaxed);
        (written as f64 / self.things.max(1) as f64).min(1.0)
    }

    /// The body of a message in it.
    pub(super) fn body(&self, entry: Entry) -> &[u8] {
        entry.body(&self.batches)
    }

    /// The bodies that the index has once: of which domain, the first message's id, the body.
    pub(super) fn shared(&self) -> impl Iterator<Item = (&Domain, u64, &[u8])> {
        let shared = self.shared.iter();
        shared.map(|(domain, first)| (domain, first.id, self.body(*first)))
    }

    /// The first message that shares this one's body, if the index has that once.
    pub(super) fn shared_from(&self, entry: Entry) -> Option<u64> {
        self.shared.first_of(entry)
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

    fn touched(&mut self, things: usize, bytes: usize) {
        self.things += things;
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

    /// Bytes in memory, about, and of what several recipients share as much as the index takes.
    pub(super) fn bytes(&self) -> usize {
        self.active.bytes + self.frozen.as_ref().map_or(0, |frozen| frozen.bytes)
    }

    /// How full the tail is; from 1 on, it takes no more. Beside a frozen generation, more
    /// is opened with everything that a checkpoint writes, so that a load that the index
    /// cannot keep up with is slowed down to its pace and never stands still. While
    /// checkpoints are put off, all of the tail may be filled.
    pub(super) fn fullness(&self, bytes_max: usize, put_off: bool) -> f64 {
        let frozen = self.frozen.as_deref();
        let rest = bytes_max.saturating_sub(frozen.map_or(0, |frozen| frozen.bytes));
        let written = match frozen {
            Some(frozen) if !put_off => frozen.written(),
            _ => 1.0,
        };
        let open = rest as f64 * (HEAD_START + (1.0 - HEAD_START) * written);
        let full = self.bytes() >= bytes_max;
        let fullness = self.active.bytes as f64 / open.max(1.0);
        if full { fullness.max(1.0) } else { fullness }
    }

    /// Makes what is active frozen; nothing may be frozen.
    pub(super) fn freeze(&mut self) -> Arc<Generation> {
        let next = Generation::new(self.active.last_id, self.active.end);
        let frozen = Arc::new(std::mem::replace(&mut self.active, next));
        self.frozen = Some(frozen.clone());
        self.freezes += 1;
        frozen
    }

    /// Adds the messages of a commit.
    pub(super) fn push_messages(&mut self, batch: Batch<'_>) {
        if batch.messages.is_empty() {
            return;
        }
        let active = &mut self.active;
        let number = active.batches.len() as u32;
        let mut bytes = batch.bodies.len() + BATCH_BYTES + batch.repeated_bytes;
        bytes += batch.shared.len() * SHARED_BYTES;
        active.batches.push(batch.bodies);
        for at in &batch.shared {
            let first = &batch.messages[*at];
            let entry = Entry::new(first.id.0, number, batch.starts[*at], false);
            active.shared.push(first.mailbox.domain.clone(), entry);
        }
        for (message, start) in batch.messages.iter().zip(batch.starts) {
            let offline = message.recipient_offline;
            let entry = Entry::new(message.id.0, number, start, offline);
            let mailbox = match active.mailboxes.get_mut(&message.mailbox) {
                Some(mailbox) => mailbox,
                None => {
                    bytes += MAILBOX_BYTES;
                    let mailbox = message.mailbox.clone();
                    active.mailboxes.entry(mailbox).or_default()
                }
            };
            bytes += mailbox.push(entry, &message.from_id, &active.batches);
        }
        active.messages += batch.messages.len() as u64;
        active.touched(batch.messages.len() + batch.shared.len(), bytes);
    }

    /// Adds the ids of a send.
    pub(super) fn push_send(&mut self, key: SendKey, ids: SendIds) {
        let is_new = self.active.sends.insert(key, ids).is_none();
        self.active.touched(usize::from(is_new), SMALL_BYTES);
    }

    /// Adds what happened to a cursor.
    pub(super) fn push_cursor(&mut self, device: &Device, change: CursorChange) {
        let is_new = cursors::push(&mut self.active.cursors, device, change);
        let things = usize::from(is_new);
        self.active.touched(things, things * SMALL_BYTES);
    }

    /// Adds that a user has confirmed this much.
    pub(super) fn push_confirmed(&mut self, mailbox: &Mailbox, id: MsgId) {
        cursors::push_confirmed(&mut self.active.cursors, mailbox, id);
        self.active.touched(1, SMALL_BYTES);
    }

    /// Sets what became of a domain.
    pub(super) fn push_domain(&mut self, domain: Domain, state: DomainState) {
        self.active.domains.insert(domain, state);
        self.active.touched(0, SMALL_BYTES);
    }

    /// Notes that a mailbox was erased up to this id.
    pub(super) fn push_erased(&mut self, mailbox: Mailbox, upto: MsgId) {
        let place = self.active.erased.entry(mailbox).or_default();
        *place = upto.max(*place);
        self.active.touched(0, SMALL_BYTES);
    }

    /// Notes how far age time is.
    pub(super) fn push_age(&mut self, age: AgeState) {
        self.active.age = Some(age);
        self.active.touched(0, 0);
    }

    /// A segment was sealed: the next checkpoint says that the index is beyond it, also if
    /// nothing else has come.
    pub(super) fn note_sealed(&mut self) {
        self.active.touched(0, 0);
    }

    /// Says how far the journal is.
    pub(super) fn advance(&mut self, last_id: MsgId, end: Position) {
        self.active.last_id = self.active.last_id.max(last_id);
        self.active.end = end;
    }

    fn generations(&self) -> impl Iterator<Item = &Generation> {
        self.frozen.as_deref().into_iter().chain([&self.active])
    }

    fn parts<'a>(
        &'a self,
        mailbox: &'a Mailbox,
    ) -> impl Iterator<Item = (&'a TailMailbox, &'a [Bodies])> {
        self.generations().filter_map(move |generation| {
            let part = generation.mailboxes.get(mailbox)?;
            Some((part, generation.batches.as_slice()))
        })
    }

    /// Everything with an id of at most this is in the index, everything above is not
    /// needed from there.
    pub(super) fn start(&self) -> MsgId {
        self.frozen.as_ref().map_or(self.active.start, |f| f.start)
    }

    /// The highest id that may be taken from the index by a reader of this mailbox who
    /// has looked at the tail now.
    pub(super) fn index_bound(&self, mailbox: &Mailbox) -> MsgId {
        let first = self
            .parts(mailbox)
            .find_map(|(part, _)| part.entries.first());
        first.map_or(self.active.last_id, |entry| MsgId(entry.id - 1))
    }

    /// How many messages of the mailbox (from `from`) in the tail have at most this id.
    pub(super) fn rank(&self, mailbox: &Mailbox, from: Option<&UserId>, upto: MsgId) -> u64 {
        let counts = self.parts(mailbox).map(|(part, batches)| match from {
            None => part.rank(upto.0),
            Some(from) => part.rank_from(from, upto.0, batches),
        });
        counts.sum::<usize>() as u64
    }

    /// The messages of the mailbox (from `from`) at these places in the tail.
    pub(super) fn slice(
        &self,
        mailbox: &Mailbox,
        from: Option<&UserId>,
        skip: u64,
        count_max: usize,
    ) -> Vec<Taken> {
        let mut out = Vec::new();
        let mut skip = skip;
        for (part, batches) in self.parts(mailbox) {
            skip = part.collect(from, skip, count_max, batches, &mut out);
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
