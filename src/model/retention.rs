//! Retention of messages by age.

use std::time::Duration;

use super::{Domain, PerDomain};

/// The retention period, with exceptions for some domains; `None`: forever, as is the default.
pub type Retention = PerDomain<Duration>;

impl Retention {
    /// Whether a domain's period is shorter than under `other`.
    pub fn is_stricter(&self, other: &Self, domain: &Domain) -> bool {
        let both = [self.of(domain), other.of(domain)];
        both.into_iter().flatten().min() != other.of(domain)
    }

    /// A policy that keeps everything kept by either of the two.
    pub fn looser(&self, other: &Self) -> Self {
        let longer = |one: Option<Duration>, two: Option<Duration>| Some(one?.max(two?));
        let named = self.domains.keys().chain(other.domains.keys());
        let domains = named.map(|domain| {
            let kept = longer(self.of(domain), other.of(domain));
            (domain.clone(), kept)
        });
        Self {
            domains: domains.collect(),
            all: longer(self.all, other.all),
        }
    }

    /// The shortest of all periods; `None` if everything is kept forever.
    pub fn shortest(&self) -> Option<Duration> {
        let domains = self.domains.values().copied();
        domains.chain([self.all]).flatten().min()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_domain_of_its_own_overrules_all() {
        let domain = |name: &str| Domain::parse(name).unwrap();
        let us = Duration::from_micros;
        let retention = Retention {
            all: Some(us(100)),
            domains: BTreeMap::from([(domain("long"), Some(us(500))), (domain("ever"), None)]),
        };
        assert_eq!(retention.of(&domain("other")), Some(us(100)));
        assert_eq!(retention.of(&domain("long")), Some(us(500)));
        assert_eq!(retention.of(&domain("ever")), None);
        assert_eq!(retention.shortest(), Some(us(100)));
        let looser = retention.looser(&Retention {
            all: Some(us(200)),
            domains: BTreeMap::from([(domain("long"), Some(us(300))), (domain("x"), Some(us(1)))]),
        });
        let kept = |name: &str| looser.of(&domain(name));
        assert_eq!(kept("other"), Some(us(200)));
        assert_eq!((kept("long"), kept("x")), (Some(us(500)), Some(us(100))));
        assert_eq!(kept("ever"), None);
        let stricter = |name: &str| retention.is_stricter(&looser, &domain(name));
        assert!(stricter("other") && !stricter("long") && !stricter("ever"));
        assert!(retention.is_stricter(&Retention::default(), &domain("long")));
        assert!(!Retention::default().is_stricter(&retention, &domain("long")));
        assert_eq!(Retention::default().shortest(), None);
    }
}
