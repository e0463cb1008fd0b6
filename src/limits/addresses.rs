//! Which addresses count as one visitor, limits on wider IPv6 networks, and `X-Forwarded-For`.
//!
//! A visitor is an IPv4 address or an IPv6 /64, since one customer has a whole /64.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV4};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::rates::Limiter;
use crate::model::{Networks, Rate};

/// Most entries of `X-Forwarded-For` that are read; no real chain of proxies is longer.
const FORWARDED_MAX: usize = 32;

/// Prefix of the IPv6 network that counts as one visitor.
const VISITOR_PREFIX: u8 = 64;

/// Wider IPv6 networks, which one customer may also have: (prefix, multiple of a visitor's limit).
const WIDER: [(u8, u32); 2] = [(56, 4), (48, 16)];

/// A network whose addresses are limited together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

impl Network {
    /// The network that counts as one visitor.
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self::v6(v6, VISITOR_PREFIX),
            v4 => Self {
                first: v4,
                prefix: 32,
            },
        }
    }

    fn v6(address: Ipv6Addr, prefix: u8) -> Self {
        let host_bits = 128 - u32::from(prefix);
        let first = address.to_bits() >> host_bits << host_bits;
        Self {
            first: IpAddr::V6(Ipv6Addr::from_bits(first)),
            prefix,
        }
    }

    /// Every network that contains the address, with its multiple of a visitor's limit; the visitor
    /// first.
    fn all(address: IpAddr) -> impl Iterator<Item = (Self, u32)> {
        let wider = match address.to_canonical() {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(WIDER.map(|(prefix, times)| (Self::v6(v6, prefix), times))),
        };
        let visitor = (Self::of(address), 1);
        std::iter::once(visitor).chain(wider.into_iter().flatten())
    }
}

/// Open connections by network.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<HashMap<Network, usize>>);

/// Counts a connection against its address until dropped.
#[derive(Debug, Default)]
pub struct AddressPermit(Option<(Arc<Connections>, IpAddr)>);

impl Connections {
    /// A permit, unless the visitor already holds `max` or a wider network its multiple of that.
    pub(super) fn acquire(
        connections: &Arc<Self>,
        address: IpAddr,
        max: Option<usize>,
    ) -> Option<AddressPermit> {
        let mut counts = connections.0.lock();
        let is_full = |(network, times): (Network, u32)| {
            let count = counts.get(&network).copied().unwrap_or_default();
            max.is_some_and(|max| count >= max.saturating_mul(times as usize))
        };
        if Network::all(address).any(is_full) {
            return None;
        }
        for (network, _) in Network::all(address) {
            *counts.entry(network).or_default() += 1;
        }
        Some(AddressPermit(Some((Arc::clone(connections), address))))
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        if let Some((connections, address)) = self.0.take() {
            let mut counts = connections.0.lock();
            for (network, _) in Network::all(address) {
                match counts.get_mut(&network) {
                    Some(count) if *count > 1 => *count -= 1,
                    _ => _ = counts.remove(&network),
                }
            }
        }
    }
}

/// A rate for each visitor and for the wider networks around it.
pub(super) struct Rates {
    visitors: Limiter<Network>,
    wider: [Limiter<Network>; WIDER.len()],
}

impl Rates {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            visitors: Limiter::new(rate),
            wider: WIDER.map(|(_, times)| {
                let count = rate
                    .count
                    .saturating_mul(NonZeroU64::new(times.into()).unwrap_or(NonZeroU64::MIN));
                Limiter::new(Rate { count, ..rate })
            }),
        }
    }

    /// The networks of an address, each paired with its limiter.
    fn of(&self, address: IpAddr) -> impl Iterator<Item = (&Limiter<Network>, Network)> {
        let limiters = std::iter::once(&self.visitors).chain(&self.wider);
        let networks = Network::all(address).map(|(network, _)| network);
        limiters.zip(networks)
    }

    /// Remaining wait of a blocked address.
    pub(super) fn blocked(&self, address: IpAddr) -> Option<Duration> {
        let waits = self.of(address);
        waits
            .filter_map(|(limiter, network)| limiter.blocked(&network))
            .max()
    }

    /// Counts one event, or returns the wait. A refused event counts nowhere.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Duration> {
        if let Some(wait) = self.blocked(address) {
            return Err(wait);
        }
        for (limiter, network) in self.of(address) {
            // A concurrent check may have taken this one's share; the event then counts against the
            // other limiters only.
            let _ = limiter.check(&network, 1);
        }
        Ok(())
    }
}

/// The address for which a trusted proxy speaks: the last one in the lines that is not itself a
/// trusted proxy, or the first if all are, since the client may be among them.
///
/// `None` if no client is named: the lines are empty, an unreadable entry comes first from the end,
/// or all entries are trusted and the first is loopback, as with two chained proxies on this
/// machine. IPv4-mapped addresses come back as IPv4.
pub(super) fn forwarded<'a>(
    trusted: &Networks,
    lines: impl DoubleEndedIterator<Item = &'a str>,
) -> Option<IpAddr> {
    let entries = lines.rev().flat_map(|line| line.rsplit(','));
    let mut farthest = None;
    for entry in entries.take(FORWARDED_MAX) {
        // An entry from a trusted proxy that is not an address does not tell its origin.
        let address = address(entry)?;
        if !trusted.contains(address) {
            return Some(address);
        }
        farthest = Some(address);
    }
    farthest.filter(|address| !address.is_loopback())
}

/// Parses an address; quotes, a port, brackets and a zone are allowed, as some proxies write them.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let quoted = entry
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let text = quoted.unwrap_or(entry).trim();
    let host = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']')?;
            let is_port = |port: &str| port.parse::<u16>().is_ok();
            let rest_is_port = || rest.strip_prefix(':').is_some_and(is_port);
            (rest.is_empty() || rest_is_port()).then_some(host)?
        }
        // Without brackets, only an IPv4 address can carry a port.
        None => text
            .parse::<SocketAddrV4>()
            .map_or(text, |_| text.split(':').next().unwrap_or(text)),
    };
    let address = match host.split_once('%') {
        Some((host, _zone)) => IpAddr::V6(host.parse().ok()?),
        None => host.parse().ok()?,
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_visitor_is_an_ipv4_address_or_an_ipv6_64() {
        let same = [
            ("10.0.0.1", "::ffff:10.0.0.1"),
            ("2001:db8::1", "2001:db8::ffff:1"),
        ];
        let different = [("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "2001:db8:0:1::1")];
        for (one, other) in same {
            assert_eq!(Network::of(ip(one)), Network::of(ip(other)));
        }
        for (one, other) in different {
            assert_ne!(Network::of(ip(one)), Network::of(ip(other)));
        }
    }

    #[test]
    fn permits_are_given_back() {
        let connections = Arc::new(Connections::default());
        let address = ip("10.0.0.1");
        let enter = || Connections::acquire(&connections, address, Some(2));
        let (one, two) = (enter(), enter());
        assert!(one.is_some() && two.is_some() && enter().is_none());
        drop(one);
        assert!(enter().is_some(), "taken and given back at once");
        drop(two);
        assert!(connections.0.lock().is_empty());
    }

    /// 256 addresses, one in each subnet of 2001:db8::/`prefix`.
    fn spread(prefix: u32) -> impl Iterator<Item = IpAddr> {
        let first = "2001:db8::1".parse::<Ipv6Addr>().expect("an address");
        (0..256).map(move |part: u128| {
            let part = part << (128 - prefix - 8);
            IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() + part))
        })
    }

    #[test]
    fn who_has_many_ipv6_networks_has_no_more_than_some_visitors() {
        for (prefix, visitors) in [(56, 4), (48, 16)] {
            let connections = Arc::new(Connections::default());
            let rates = Rates::new(Rate {
                count: NonZeroU64::new(3).expect("not zero"),
                per: Duration::from_secs(3600),
            });
            let addresses: Vec<_> = spread(prefix).collect();
            let mut permits = Vec::new();
            for address in &addresses {
                permits.extend(Connections::acquire(&connections, *address, Some(3)));
            }
            assert_eq!(permits.len(), 3 * visitors, "/{prefix}");
            let counted = addresses
                .iter()
                .filter(|address| rates.check(**address).is_ok());
            assert_eq!(counted.count(), 3 * visitors, "/{prefix}");
            assert!(rates.blocked(addresses[255]).is_some());

            let neighbour = ip("2001:db9::1");
            assert!(Connections::acquire(&connections, neighbour, Some(3)).is_some());
            assert!(rates.check(neighbour).is_ok() && rates.blocked(neighbour).is_none());
            drop(permits);
            assert!(connections.0.lock().is_empty());
        }
        // IPv4 neighbours are separate visitors.
        let rates = Rates::new(Rate {
            count: NonZeroU64::MIN,
            per: Duration::from_secs(3600),
        });
        for last in 0..100 {
            assert_eq!(rates.check(IpAddr::from([192, 0, 2, last])), Ok(()));
        }
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let networks =
            ["10.0.0.0/8", "fd00::/8", "127.0.0.0/8"].map(|text| text.parse().expect("a network"));
        let trusted = Networks::new(networks.to_vec());
        let table: [(&[&str], Option<&str>); 30] = [
            (&["198.51.100.1"], Some("198.51.100.1")),
            (&["::ffff:198.51.100.1"], Some("198.51.100.1")),
            // Entries before it were written by the client itself.
            (&["203.0.113.9, 198.51.100.1"], Some("198.51.100.1")),
            (
                &["203.0.113.9", "198.51.100.1, 10.2.3.4"],
                Some("198.51.100.1"),
            ),
            (&["198.51.100.1:4711, [fd00::1]:80"], Some("198.51.100.1")),
            (&["2001:db8::1"], Some("2001:db8::1")),
            (&["[2001:db8::1]"], Some("2001:db8::1")),
            (&["[2001:db8::1]:4711"], Some("2001:db8::1")),
            (&["\"198.51.100.1\""], Some("198.51.100.1")),
            (&["\"198.51.100.1:4711\""], Some("198.51.100.1")),
            (&["\"2001:db8::1\""], Some("2001:db8::1")),
            (&["\"[2001:db8::1]:4711\""], Some("2001:db8::1")),
            (&["\"[2001:db8::1]\" "], Some("2001:db8::1")),
            (&["fe80::1%eth0"], Some("fe80::1")),
            (&["\"[fe80::1%eth0]:80\""], Some("fe80::1")),
            (&[], None),
            (&[""], None),
            (&["unknown"], None),
            (&["203.0.113.9, unknown"], None),
            (&["203.0.113.9", ""], None),
            (&["198.51.100.1:http"], None),
            (&["198.51.100.1:99999"], None),
            (&["[2001:db8::1"], None),
            (&["[2001:db8::1]x"], None),
            // Proxies only.
            (&["10.2.3.4, fd00::1"], Some("10.2.3.4")),
            (&["10.2.3.4"], Some("10.2.3.4")),
            (&["10.2.3.4", "127.0.0.1"], Some("10.2.3.4")),
            (&["127.0.0.1, 10.2.3.4"], None),
            (&["unknown, 10.2.3.4"], None),
            (&["203.0.113.9, unknown, 10.2.3.4"], None),
        ];
        for (lines, expected) in table {
            let found = forwarded(&trusted, lines.iter().copied());
            assert_eq!(found, expected.map(ip), "{lines:?}");
        }
    }
}
