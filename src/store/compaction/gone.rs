//! Low watermarks and retention, frozen when a compaction begins: which messages are gone.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::{Domain, Mailbox, MsgId, Retention};
use crate::store::age::Ages;
use crate::store::data::LowWatermarks;
use crate::store::index::Kept;
use crate::store::state::Shared;

/// Decides whether a message is gone.
pub(super) struct Gone {
    pub(super) low_watermarks: LowWatermarks,
    pub(super) retention: Retention,
    /// The last id that was given before `ages` were taken. Of later ones they say nothing: behind a
    /// clock that was set back, what comes next has an id of long ago.
    pub(super) last_id: MsgId,
    pub(super) ages: Ages,
}

impl Gone {
    /// As it is now.
    pub(super) fn now(shared: &Shared, retention: Retention) -> Self {
        let last_id = shared.memtables().active.last_id;
        Self {
            low_watermarks: shared.domains().low_watermarks.clone(),
            retention,
            last_id,
            ages: shared.ages(),
        }
    }

    /// Nothing above it is gone.
    pub(super) fn highest(&self) -> MsgId {
        self.low_watermarks
            .highest()
            .max(self.expired(self.retention.shortest()))
    }

    /// Everything of the mailbox at or below it is gone.
    pub(super) fn low_watermark(&self, mailbox: &Mailbox) -> MsgId {
        let expired = self.expired(self.retention.of(&mailbox.domain));
        self.low_watermarks.of(mailbox).max(expired)
    }

    fn expired(&self, kept: Option<Duration>) -> MsgId {
        let expired = kept.map_or(MsgId::ZERO, |kept| self.ages.expired(kept));
        expired.min(self.last_id)
    }

    /// Whether a send of this domain, whose first id this is, may still be repeated.
    pub(super) fn is_known_send(&self, domain: &Domain, first: MsgId) -> bool {
        let forgotten = self.ages.newest_forgotten().min(self.last_id);
        first > self.low_watermarks.of_domain(domain).max(forgotten)
    }
}

/// What of the index stays: what is not gone, and the erasures that the journal still holds.
pub(super) struct Staying<'a> {
    pub(super) gone: &'a Gone,
    pub(super) forgotten: &'a HashMap<Mailbox, MsgId>,
}

impl Kept for Staying<'_> {
    fn low_watermark(&self, mailbox: &Mailbox) -> MsgId {
        self.gone.low_watermark(mailbox)
    }

    fn keeps_send(&self, domain: &Domain, first: MsgId) -> bool {
        self.gone.is_known_send(domain, first)
    }

    fn keeps_erasure(&self, mailbox: &Mailbox, upto: MsgId) -> bool {
        self.forgotten
            .get(mailbox)
            .is_none_or(|forgotten| upto > *forgotten)
    }
}
