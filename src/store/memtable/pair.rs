//! The active memtable and the immutable one that a flush is writing.

use std::sync::Arc;
use std::time::Duration;

use super::batch::EncodedBatch;
use super::mailbox::Entry;
use super::table::{Memtable, Rotated};
use crate::model::{Device, Domain, Mailbox, MsgId};
use crate::store::age::AgeState;
use crate::store::data::{CursorChange, DomainState, SendIds, SendKey, cursor};
use crate::store::journal::Position;

/// Memory for a mailbox beside its messages: its name, its place in the map.
const MAILBOX_BYTES: usize = 220;
/// Memory for a commit beside its messages.
const BATCH_BYTES: usize = 64;
/// Memory for a cursor, a send, a domain or an erasure.
const SMALL_BYTES: usize = 250;
/// Memory for a shared body beside its bytes.
const SHARED_BYTES: usize = 120;
/// The share of the space beside an immutable memtable that is open at once. The rest opens as the
/// flush advances.
const HEAD_START: f64 = 0.4;

#[derive(Debug)]
pub(crate) struct Memtables {
    pub(crate) active: Memtable,
    pub(crate) immutable: Option<Arc<Memtable>>,
    pub(super) rotated: Rotated,
}

impl Memtables {
    /// `start`: the last id in the index.
    pub(crate) fn new(start: MsgId, end: Position) -> Self {
        Self {
            active: Memtable::new(start, end),
            immutable: None,
            rotated: Rotated::default(),
        }
    }

    /// Approximate bytes in memory. Shared bodies count as much as they take in the index.
    pub(crate) fn bytes(&self) -> usize {
        self.both().map(|memtable| memtable.bytes).sum()
    }

    /// The fill level; from 1 on, nothing more is accepted. Beside an immutable memtable, space
    /// opens with each write of its flush, so that a load beyond the pace of the index is slowed to
    /// it rather than stalled. While flushes are put off, all space is open.
    pub(crate) fn fullness(&self, bytes_max: usize, put_off: bool) -> f64 {
        let rest = bytes_max.saturating_sub(self.bytes() - self.active.bytes);
        let written = match &self.immutable {
            Some(immutable) if !put_off => immutable.written(),
            _ => 1.0,
        };
        let open = rest as f64 * (HEAD_START + (1.0 - HEAD_START) * written);
        let full = self.bytes() >= bytes_max;
        let fullness = self.active.bytes as f64 / open.max(1.0);
        if full { fullness.max(1.0) } else { fullness }
    }

    /// Freezes the active memtable. There must be no immutable one.
    pub(crate) fn rotate(&mut self) -> Arc<Memtable> {
        let next = Memtable::new(self.active.last_id, self.active.end);
        let immutable = Arc::new(std::mem::replace(&mut self.active, next));
        self.immutable = Some(immutable.clone());
        // Snapshots taken before find it there.
        let rotated = std::mem::take(&mut self.rotated);
        let _ = rotated.set(immutable.clone());
        immutable
    }

    pub(crate) fn push_messages(&mut self, batch: EncodedBatch<'_>) {
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
            active.shared.push((first.mailbox.domain.clone(), entry));
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

    pub(crate) fn push_send(&mut self, key: SendKey, ids: SendIds) {
        let is_new = self.active.sends.insert(key, ids).is_none();
        self.active.touched(usize::from(is_new), SMALL_BYTES);
    }

    pub(crate) fn push_cursor(&mut self, device: &Device, change: CursorChange) {
        let is_new = cursor::push(&mut self.active.cursors, device, change);
        let things = usize::from(is_new);
        self.active.touched(things, things * SMALL_BYTES);
    }

    pub(crate) fn push_confirmed(&mut self, mailbox: &Mailbox, id: MsgId) {
        cursor::push_confirmed(&mut self.active.cursors, mailbox, id);
        self.active.touched(1, SMALL_BYTES);
    }

    pub(crate) fn push_domain(&mut self, domain: Domain, state: DomainState) {
        self.active.domains.insert(domain, state);
        self.active.touched(0, SMALL_BYTES);
    }

    pub(crate) fn push_erased(&mut self, mailbox: Mailbox, upto: MsgId) {
        let slot = self.active.erased.entry(mailbox).or_default();
        *slot = upto.max(*slot);
        self.active.touched(0, SMALL_BYTES);
    }

    pub(crate) fn push_age(&mut self, age: AgeState) {
        self.active.age = Some(age);
        self.active.touched(0, 0);
    }

    /// A segment was sealed: the next flush moves the manifest beyond it, even without data.
    pub(crate) fn note_sealed(&mut self) {
        self.active.touched(0, 0);
    }

    /// Notes when the first change of the active memtable came, unless that is known.
    pub(crate) fn note_time(&mut self, now: Duration) {
        if !self.active.is_empty() {
            self.active.since.get_or_insert(now);
        }
    }

    pub(crate) fn advance(&mut self, last_id: MsgId, end: Position) {
        self.active.last_id = self.active.last_id.max(last_id);
        self.active.end = end;
    }

    /// The older one first.
    pub(crate) fn both(&self) -> impl Iterator<Item = &Memtable> {
        self.immutable.as_deref().into_iter().chain([&self.active])
    }

    pub(crate) fn send(&self, key: &SendKey) -> Option<SendIds> {
        let mut found = self.both().filter_map(|g| g.sends.get(key));
        let first = found.next()?;
        Some(*found.last().unwrap_or(first))
    }

    pub(crate) fn cursor(&self, device: &Device) -> Option<CursorChange> {
        let users = self.both().filter_map(|g| g.cursors.get(&device.mailbox));
        let changes = users.filter_map(|user| user.get(&device.resource));
        changes.reduce(|older, newer| newer.after(older))
    }
}
