//! The memtables as they are at one moment, for a read that goes on while they change.
//!
//! Copies nothing. The active memtable stays where it is and grows: a reader of messages takes from
//! it those with an id of at most `last_id`.

use std::sync::Arc;

use super::mailbox::{Bodies, EncodedMessage, MailboxPart};
use super::pair::Memtables;
use super::table::{Memtable, Rotated};
use crate::model::{Mailbox, MsgId, UserId};

#[derive(Debug)]
pub(crate) struct Snapshot {
    immutable: Option<Arc<Memtable>>,
    rotated: Rotated,
    /// The last id in the index.
    pub(crate) start: MsgId,
    pub(crate) last_id: MsgId,
}

impl Memtables {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let immutable = self.immutable.clone();
        let oldest = immutable.as_deref().unwrap_or(&self.active);
        Snapshot {
            start: oldest.start,
            last_id: self.active.last_id,
            immutable,
            rotated: self.rotated.clone(),
        }
    }
}

impl Snapshot {
    /// The older one first. `now` holds the active one unless it was frozen since.
    pub(crate) fn tables<'a>(&'a self, now: &'a Memtables) -> impl Iterator<Item = &'a Memtable> {
        let active = self.rotated.get().map_or(&now.active, Arc::as_ref);
        self.immutable.as_deref().into_iter().chain([active])
    }

    fn parts<'a>(
        &'a self,
        now: &'a Memtables,
        mailbox: &'a Mailbox,
    ) -> impl Iterator<Item = (&'a MailboxPart, &'a [Bodies])> {
        self.tables(now).filter_map(move |memtable| {
            let part = memtable.mailboxes.get(mailbox)?;
            Some((part, memtable.batches.as_slice()))
        })
    }

    /// The number of messages (from `from`) with an id of at most `upto`.
    pub(crate) fn rank(
        &self,
        now: &Memtables,
        mailbox: &Mailbox,
        from: Option<&UserId>,
        upto: MsgId,
    ) -> u64 {
        let upto = upto.min(self.last_id).0;
        let counts = self.parts(now, mailbox).map(|(part, batches)| match from {
            None => part.rank(upto),
            Some(from) => part.rank_from(from, upto, batches),
        });
        counts.sum::<usize>() as u64
    }

    /// Messages (from `from`) after the first `skip`.
    pub(crate) fn slice(
        &self,
        now: &Memtables,
        mailbox: &Mailbox,
        from: Option<&UserId>,
        mut skip: u64,
        count_max: usize,
    ) -> Vec<EncodedMessage> {
        let mut out = Vec::new();
        for (part, batches) in self.parts(now, mailbox) {
            skip = part.collect(from, skip, count_max, batches, &mut out);
        }
        out.truncate(out.partition_point(|message| message.id() <= self.last_id));
        out
    }
}
