//! What is gone, as it stands at the beginning of a sweep.

use std::collections::HashMap;

use super::super::floors::Floors;
use super::super::index::Kept;
use super::super::lookup::SEND_AGE_US;
use crate::model::{Domain, Mailbox, MsgId, Retention};

/// What tells what is gone.
pub(super) struct Gone {
    pub(super) floors: Floors,
    pub(super) retention: Retention,
    pub(super) now_us: u64,
}

impl Gone {
    /// Nothing above it is gone.
    pub(super) fn highest(&self) -> MsgId {
        let expired = self.retention.expired_anywhere(self.now_us);
        self.floors.highest().max(expired)
    }

    /// Everything of the mailbox at or below it is gone.
    pub(super) fn floor(&self, mailbox: &Mailbox) -> MsgId {
        let expired = self.retention.expired(&mailbox.domain, self.now_us);
        self.floors.of(mailbox).max(expired)
    }

    /// Whether a send of this domain, whose first id this is, may still be repeated.
    pub(super) fn is_known_send(&self, domain: &Domain, first: MsgId) -> bool {
        let removed = first <= self.floors.of_domain(domain);
        !removed && first.0.saturating_add(SEND_AGE_US) > self.now_us
    }
}

/// What of the index stays: what is not gone, and the erasures that the journal still holds.
pub(super) struct Staying<'a> {
    pub(super) gone: &'a Gone,
    pub(super) forgotten: &'a HashMap<Mailbox, MsgId>,
}

impl Kept for Staying<'_> {
    fn floor(&self, mailbox: &Mailbox) -> MsgId {
        self.gone.floor(mailbox)
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
