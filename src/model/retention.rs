//! How long messages are kept.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Domain, MsgId};

/// How long messages are kept, for all domains and for some. The default keeps all for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// Of the domains that are not named; `None`: for ever.
    pub all: Option<Duration>,
    /// Of these domains; `None`: for ever.
    pub domains: BTreeMap<Domain, Option<Duration>>,
}

impl Retention {
    /// How long the messages of a domain are kept; `None`: for ever.
    pub fn of(&self, domain: &Domain) -> Option<Duration> {
        self.domains.get(domain).copied().unwrap_or(self.all)
    }

    /// The newest id that has expired at this time (microseconds since the Unix epoch) in a
    /// domain: everything at or below it has.
    pub fn expired(&self, domain: &Domain, now_us: u64) -> MsgId {
        self.of(domain)
            .map_or(MsgId::ZERO, |kept| before(now_us, kept))
    }

    /// The newest id that has expired at this time in any domain.
    pub fn expired_anywhere(&self, now_us: u64) -> MsgId {
        self.shortest()
            .map_or(MsgId::ZERO, |kept| before(now_us, kept))
    }

    /// The shortest of all times; `None` where everything is kept for ever.
    pub fn shortest(&self) -> Option<Duration> {
        let domains = self.domains.values().copied();
        domains.chain([self.all]).flatten().min()
    }
}

fn before(now_us: u64, kept: Duration) -> MsgId {
    let kept_us = u64::try_from(kept.as_micros()).unwrap_or(u64::MAX);
    MsgId(now_us.saturating_sub(kept_us))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_domain_of_its_own_overrules_all() {
        let domain = |name: &str| Domain::parse(name).unwrap();
        let us = Duration::from_micros;
        let retention = Retention {
            all: Some(us(100)),
            domains: BTreeMap::from([(domain("long"), Some(us(500))), (domain("ever"), None)]),
        };
        let expired = |name: &str, now_us| retention.expired(&domain(name), now_us);
        assert_eq!(expired("other", 1_000), MsgId(900));
        assert_eq!(expired("long", 1_000), MsgId(500));
        assert_eq!(expired("ever", 1_000), MsgId::ZERO);
        assert_eq!(expired("other", 50), MsgId::ZERO);
        assert_eq!(retention.expired_anywhere(1_000), MsgId(900));
        assert_eq!(Retention::default().shortest(), None);
        let for_ever = Retention::default().expired(&domain("other"), 1_000);
        assert_eq!(for_ever, MsgId::ZERO);
    }
}
