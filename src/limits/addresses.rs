//! Which addresses count as one visitor, limits on wider IPv6 networks, and `X-Forwarded-For`.
//!
//! A visitor is an IPv4 address or an IPv6 /64, since one customer has a whole /64.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddrV4};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::Mutex;

use super::rates::Limiter;
use crate::model::{Networks, Rate};

/// Most entries of `X-Forwarded-For` that are read; no real chain of proxies is longer.
const FORWARDED_MAX: usize = 32;

/// IPv6 networks that one customer may have, and their multiples of a visitor's limit. The first
/// counts as one visitor.
const IPV6: [(u8, u64); 3] = [(64, 1), (56, 4), (48, 16)];

/// Every network whose addresses are limited together with this one, with its multiple of a
/// visitor's limit.
fn networks(address: IpAddr) -> impl Iterator<Item = (IpNet, u64)> {
    let address = address.to_canonical();
    let prefixes: &[_] = match address {
        IpAddr::V4(_) => &[(32, 1)],
        IpAddr::V6(_) => &IPV6,
    };
    let network = move |prefix| IpNet::new_assert(address, prefix).trunc();
    prefixes
        .iter()
        .map(move |(prefix, times)| (network(*prefix), *times))
}

/// The network that counts as one visitor.
pub(super) fn visitor(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let prefix = if address.is_ipv4() { 32 } else { IPV6[0].0 };
    IpNet::new_assert(address, prefix).trunc()
}

/// Open connections by network.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<HashMap<IpNet, usize>>);

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
        let is_full = |(network, times): (IpNet, u64)| {
            let count = counts.get(&network).copied().unwrap_or_default();
            max.is_some_and(|max| count >= max.saturating_mul(times as usize))
        };
        if networks(address).any(is_full) {
            return None;
        }
        for (network, _) in networks(address) {
            *counts.entry(network).or_default() += 1;
        }
        Some(AddressPermit(Some((Arc::clone(connections), address))))
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        if let Some((connections, address)) = self.0.take() {
            let mut counts = connections.0.lock();
            for (network, _) in networks(address) {
                match counts.get_mut(&network) {
                    Some(count) if *count > 1 => *count -= 1,
                    _ => _ = counts.remove(&network),
                }
            }
        }
    }
}

/// Counts events of each visitor and of the wider networks around it.
#[derive(Default)]
pub(super) struct Rates([Limiter<IpNet>; IPV6.len()]);

impl Rates {
    /// The networks of an address, each with its limiter and its multiple of the rate.
    fn of(
        &self,
        rate: Rate,
        address: IpAddr,
    ) -> impl Iterator<Item = (&Limiter<IpNet>, Rate, IpNet)> {
        let limiters = self.0.iter().zip(networks(address));
        limiters.map(move |(limiter, (network, times))| {
            let times = NonZeroU64::new(times).unwrap_or(NonZeroU64::MIN);
            let count = rate.count.saturating_mul(times);
            (limiter, Rate { count, ..rate }, network)
        })
    }

    /// Remaining wait of a blocked address.
    fn blocked(&self, rate: Rate, address: IpAddr) -> Option<Duration> {
        let waits = self.of(rate, address);
        waits
            .filter_map(|(limiter, rate, network)| limiter.blocked(rate, &network))
            .max()
    }

    /// Counts one event if there is a rate, or returns the wait. A refused event counts nowhere.
    pub(super) fn check(&self, rate: Option<Rate>, address: IpAddr) -> Result<(), Duration> {
        let Some(rate) = rate else {
            return Ok(());
        };
        if let Some(wait) = self.blocked(rate, address) {
            return Err(wait);
        }
        for (limiter, rate, network) in self.of(rate, address) {
            // A concurrent check may have taken this one's share; the event then counts against the
            // other limiters only.
            let _ = limiter.check(Some(rate), &network, 1);
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
    use std::net::Ipv6Addr;

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
            assert_eq!(visitor(ip(one)), visitor(ip(other)));
        }
        for (one, other) in different {
            assert_ne!(visitor(ip(one)), visitor(ip(other)));
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
            let rate = Rate {
                count: NonZeroU64::new(3).expect("not zero"),
                per: Duration::from_secs(3600),
            };
            let rates = Rates::default();
            let addresses: Vec<_> = spread(prefix).collect();
            let mut permits = Vec::new();
            for address in &addresses {
                permits.extend(Connections::acquire(&connections, *address, Some(3)));
            }
            assert_eq!(permits.len(), 3 * visitors, "/{prefix}");
            let counted = addresses
                .iter()
                .filter(|address| rates.check(Some(rate), **address).is_ok());
            assert_eq!(counted.count(), 3 * visitors, "/{prefix}");
            assert!(rates.blocked(rate, addresses[255]).is_some());

            let neighbour = ip("2001:db9::1");
            assert!(Connections::acquire(&connections, neighbour, Some(3)).is_some());
            assert!(rates.check(Some(rate), neighbour).is_ok());
            assert!(rates.blocked(rate, neighbour).is_none());
            drop(permits);
            assert!(connections.0.lock().is_empty());
        }
        // IPv4 neighbours are separate visitors.
        let rate = Rate {
            count: NonZeroU64::MIN,
            per: Duration::from_secs(3600),
        };
        let rates = Rates::default();
        for last in 0..100 {
            let address = IpAddr::from([192, 0, 2, last]);
            assert_eq!(rates.check(Some(rate), address), Ok(()));
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
