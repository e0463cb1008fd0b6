//! Low watermarks: everything at or below one is gone for all readers.
//!
//! A domain has one if it was removed, a mailbox if it was erased. All are held in memory; that of
//! a mailbox is dropped once nothing at or below it is on disk. A low watermark only rises, so a
//! message that was seen to be gone never reappears.

use std::collections::HashMap;

use crate::model::{Domain, Mailbox, MsgId};

#[derive(Debug, Clone, Default)]
pub(crate) struct LowWatermarks {
    domains: HashMap<Domain, MsgId>,
    mailboxes: HashMap<Mailbox, MsgId>,
}

impl LowWatermarks {
    /// Zero if the domain was never removed.
    pub(crate) fn of_domain(&self, domain: &Domain) -> MsgId {
        self.domains.get(domain).copied().unwrap_or_default()
    }

    /// The higher one of the domain and the mailbox.
    pub(crate) fn of(&self, mailbox: &Mailbox) -> MsgId {
        let own = self.mailboxes.get(mailbox).copied();
        self.of_domain(&mailbox.domain).max(own.unwrap_or_default())
    }

    /// Whether the domain was ever removed.
    pub(crate) fn has_domain(&self, domain: &Domain) -> bool {
        self.domains.contains_key(domain)
    }

    pub(crate) fn raise_domain(&mut self, domain: &Domain, low_watermark: MsgId) {
        let slot = self.domains.entry(domain.clone()).or_default();
        *slot = low_watermark.max(*slot);
    }

    pub(crate) fn raise(&mut self, mailbox: &Mailbox, low_watermark: MsgId) {
        let slot = self.mailboxes.entry(mailbox.clone()).or_default();
        *slot = low_watermark.max(*slot);
    }

    /// Drops the low watermark of a mailbox, unless it is above `low_watermark`.
    pub(crate) fn forget(&mut self, mailbox: &Mailbox, low_watermark: MsgId) {
        if self
            .mailboxes
            .get(mailbox)
            .is_some_and(|own| *own <= low_watermark)
        {
            self.mailboxes.remove(mailbox);
        }
    }

    pub(crate) fn highest(&self) -> MsgId {
        let all = self.domains.values().chain(self.mailboxes.values());
        all.copied().max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::UserId;

    #[test]
    fn the_higher_of_domain_and_mailbox_counts_and_none_sinks() {
        let domain = Domain::parse("d").unwrap();
        let mailbox = |user: &str| Mailbox {
            domain: domain.clone(),
            user: UserId::parse(user).unwrap(),
        };
        let mut low_watermarks = LowWatermarks::default();
        assert_eq!(low_watermarks.of(&mailbox("u")), MsgId::ZERO);
        low_watermarks.raise(&mailbox("u"), MsgId(5));
        low_watermarks.raise(&mailbox("u"), MsgId(3));
        assert_eq!(low_watermarks.of(&mailbox("u")), MsgId(5));
        assert_eq!(low_watermarks.of(&mailbox("v")), MsgId::ZERO);
        assert!(!low_watermarks.has_domain(&domain));
        low_watermarks.forget(&mailbox("u"), MsgId(4));
        assert_eq!(low_watermarks.of(&mailbox("u")), MsgId(5));
        low_watermarks.raise_domain(&domain, MsgId(4));
        assert_eq!(low_watermarks.of(&mailbox("v")), MsgId(4));
        assert_eq!(
            (low_watermarks.of(&mailbox("u")), low_watermarks.highest()),
            (MsgId(5), MsgId(5))
        );
    }
}
