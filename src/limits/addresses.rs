//! Who counts as one visitor: an IPv4 address, or the /64 of an IPv6 one, which one customer
//! has whole; and for whom a proxy speaks.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Networks;

/// Most entries of `X-Forwarded-For` that are looked at: more proxies than any chain has.
const FORWARDED_MAX: usize = 32;

/// What is limited as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Address(IpAddr);

impl Address {
    pub(super) fn of(address: IpAddr) -> Self {
        const HOST_BITS: u32 = 64;
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => {
                let network = v6.to_bits() >> HOST_BITS << HOST_BITS;
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
        })
    }
}

/// Open connections by address.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<HashMap<Address, usize>>);

/// A connection's place; it is given back when this is dropped.
#[derive(Debug, Default)]
pub struct ConnectionPlace(Option<(Arc<Connections>, Address)>);

impl Connections {
    /// A place, unless `max` of the address are taken.
    pub(super) fn enter(
        connections: &Arc<Self>,
        address: Address,
        max: Option<usize>,
    ) -> Option<ConnectionPlace> {
        let mut counts = connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&address).copied().unwrap_or_default();
        if max.is_some_and(|max| count >= max) {
            return None;
        }
        counts.insert(address, count + 1);
        Some(ConnectionPlace(Some((Arc::clone(connections), address))))
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        if let Some((connections, address)) = self.0.take() {
            let mut counts = connections.0.lock().unwrap_or_else(PoisonError::into_inner);
            match counts.get_mut(&address) {
                Some(count) if *count > 1 => *count -= 1,
                _ => _ = counts.remove(&address),
            }
        }
    }
}

/// For whom `peer` speaks, which is a trusted proxy: the last address in the lines that is none. `None` where
/// nobody is named: there is no entry, one that cannot be read comes first from behind, or all are trusted proxies.
/// An IPv4 address is in its own form.
pub(super) fn forwarded<'a>(
    trusted: &Networks,
    lines: impl DoubleEndedIterator<Item = &'a str>,
) -> Option<IpAddr> {
    let entries = lines.rev().flat_map(|line| line.rsplit(','));
    for entry in entries.take(FORWARDED_MAX) {
        // What a trusted proxy wrote and is no address says nothing of whom it came from.
        let address = address(entry)?;
        if !trusted.contains(address) {
            return Some(address);
        }
    }
    None
}

/// An address, perhaps in quotes, with a port, in brackets or with a zone, as some proxies write it.
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
        // Only an IPv4 address may stand before a port without brackets.
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
            assert_eq!(Address::of(ip(one)), Address::of(ip(other)));
        }
        for (one, other) in different {
            assert_ne!(Address::of(ip(one)), Address::of(ip(other)));
        }
    }

    #[test]
    fn places_are_given_back() {
        let connections = Arc::new(Connections::default());
        let address = Address::of(ip("10.0.0.1"));
        let enter = || Connections::enter(&connections, address, Some(2));
        let (one, two) = (enter(), enter());
        assert!(one.is_some() && two.is_some() && enter().is_none());
        drop(one);
        assert!(enter().is_some(), "taken and given back at once");
        drop(two);
        assert!(connections.0.lock().expect("not poisoned").is_empty());
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().expect("a network"));
        let trusted = Networks::new(networks.to_vec());
        let table: [(&[&str], Option<&str>); 26] = [
            (&["198.51.100.1"], Some("198.51.100.1")),
            (&["::ffff:198.51.100.1"], Some("198.51.100.1")),
            // What the client wrote itself stands before it.
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
            // Proxies alone.
            (&["10.2.3.4, fd00::1"], None),
            (&["203.0.113.9, unknown, 10.2.3.4"], None),
        ];
        for (lines, expected) in table {
            let found = forwarded(&trusted, lines.iter().copied());
            assert_eq!(found, expected.map(ip), "{lines:?}");
        }
    }
}
