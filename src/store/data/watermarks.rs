//! From which id on messages count: everything at or below a floor is gone for all who read.
//!
//! Floors are of a domain (it was removed) and of a mailbox (it was erased); they are whole in
//! memory, and a mailbox's goes once nothing at or below it is on disk any more. A floor only
//! rises, so who saw a message gone never sees it again.

use std::collections::HashMap;

use crate::model::{Domain, Mailbox, MsgId};

/// All floors.
#[derive(Debug, Clone, Default)]
pub(crate) struct Floors {
    domains: HashMap<Domain, MsgId>,
    mailboxes: HashMap<Mailbox, MsgId>,
}

impl Floors {
    /// The floor of a domain's removal.
    pub(crate) fn of_domain(&self, domain: &Domain) -> MsgId {
        self.domains.get(domain).copied().unwrap_or_default()
    }

    /// The floor of a mailbox: that of its domain, or its own.
    pub(crate) fn of(&self, mailbox: &Mailbox) -> MsgId {
        let own = self.mailboxes.get(mailbox).copied();
        self.of_domain(&mailbox.domain).max(own.unwrap_or_default())
    }

    /// Whether the domain was ever removed.
    pub(crate) fn has_domain(&self, domain: &Domain) -> bool {
        self.domains.contains_key(domain)
    }

    /// Raises a domain's.
    pub(crate) fn raise_domain(&mut self, domain: &Domain, floor: MsgId) {
        let place = self.domains.entry(domain.clone()).or_default();
        *place = floor.max(*place);
    }

    /// Raises a mailbox's.
    pub(crate) fn raise(&mut self, mailbox: &Mailbox, floor: MsgId) {
        let place = self.mailboxes.entry(mailbox.clone()).or_default();
        *place = floor.max(*place);
    }

    /// Takes a mailbox's away, unless it has been raised above `floor`.
    pub(crate) fn forget(&mut self, mailbox: &Mailbox, floor: MsgId) {
        if self.mailboxes.get(mailbox).is_some_and(|own| *own <= floor) {
            self.mailboxes.remove(mailbox);
        }
    }

    /// The highest of all.
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
        let mut floors = Floors::default();
        assert_eq!(floors.of(&mailbox("u")), MsgId::ZERO);
        floors.raise(&mailbox("u"), MsgId(5));
        floors.raise(&mailbox("u"), MsgId(3));
        assert_eq!(floors.of(&mailbox("u")), MsgId(5));
        assert_eq!(floors.of(&mailbox("v")), MsgId::ZERO);
        assert!(!floors.has_domain(&domain));
        floors.forget(&mailbox("u"), MsgId(4));
        assert_eq!(floors.of(&mailbox("u")), MsgId(5));
        floors.raise_domain(&domain, MsgId(4));
        assert_eq!(floors.of(&mailbox("v")), MsgId(4));
        assert_eq!(
            (floors.of(&mailbox("u")), floors.highest()),
            (MsgId(5), MsgId(5))
        );
    }
}
