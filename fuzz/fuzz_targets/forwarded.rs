//! Any text as `X-Forwarded-For`: never a panic; who is no trusted proxy is not believed; what is believed is an address
//! that stands there, and nothing that a stranger writes before it changes whom it is from.

#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use relaybox::limits::{Limits, Visitor};
use relaybox::model::{LimitOptions, Networks};

const TRUSTED: [&str; 3] = ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"];

static LIMITS: LazyLock<Limits> = LazyLock::new(|| {
    let networks = TRUSTED.map(|text| text.parse().expect("a network"));
    let options = LimitOptions {
        trusted_proxies: Networks::new(networks.to_vec()),
        ..LimitOptions::default()
    };
    Limits::new(options, std::sync::Arc::default())
});

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    peer: IpAddr,
    from_proxy: bool,
    lines: &'a str,
    written_before: &'a str,
}

fuzz_target!(|input: Input| {
    let peer = if input.from_proxy {
        IpAddr::from([10, 0, 0, 1])
    } else {
        input.peer
    };
    let lines: Vec<&str> = input.lines.split('\n').collect();
    let visitor = visitor_of(peer, &lines);
    if !LIMITS.is_proxy(peer) {
        assert_eq!(visitor, (peer.to_canonical(), false));
        return;
    }
    let (address, proxied) = visitor;
    assert!(proxied && address == address.to_canonical());
    let of_nobody = visitor_of(peer, &[]);
    assert_eq!(of_nobody.0, peer.to_canonical());

    // Several lines are one list (RFC 9110, 5.3).
    let joined = lines.join(",");
    assert_eq!(visitor_of(peer, &[&joined]), visitor);

    // Whoever counts is the proxy itself, or is named as some reader of such entries reads them.
    let is_named = |address: IpAddr| joined.split(',').any(|entry| reads(entry) == Some(address));
    assert!(address == peer.to_canonical() || (is_named(address) && !LIMITS.is_proxy(address)));

    // Where somebody is named, and where what cannot be read hides who it was, nothing before it counts.
    let last = joined.rsplit(',').next().and_then(reads);
    if !LIMITS.is_proxy(address) || last.is_none() {
        let before = format!("{}, {joined}", input.written_before);
        assert_eq!(visitor_of(peer, &[&before]), visitor);
        let line_before = [input.written_before]
            .into_iter()
            .chain(lines.iter().copied());
        let line_before: Vec<&str> = line_before.collect();
        assert_eq!(visitor_of(peer, &line_before), visitor);
    }
    if !LIMITS.is_proxy(address) {
        // Nobody between it and the peer is a stranger, or the stranger would count.
        let behind = joined.rsplit(',').map(reads);
        let mut behind = behind.take_while(|read| *read != Some(address));
        assert!(behind.all(|read| read.is_some_and(|hop| LIMITS.is_proxy(hop))));
    }
});

/// Its address, and whether a proxy speaks for it.
fn visitor_of(peer: IpAddr, lines: &[&str]) -> (IpAddr, bool) {
    let visitor = LIMITS.visitor(&Visitor::direct(peer), lines.iter().copied());
    (visitor.address, visitor.proxied)
}

/// As some proxies write it: in quotes, with a port, with a zone.
fn reads(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let entry = match entry.len() > 1 && entry.starts_with('"') && entry.ends_with('"') {
        true => entry[1..entry.len() - 1].trim(),
        false => entry,
    };
    let (host, port) = match entry.rfind(':') {
        Some(at) if entry.starts_with('[') && !entry.ends_with(']') => entry.split_at(at),
        Some(at) if !entry.starts_with('[') && entry.matches(':').count() == 1 => {
            entry.split_at(at)
        }
        _ => (entry, ":0"),
    };
    port[1..].parse::<u16>().ok()?;
    let bare = match host.starts_with('[') {
        true => host.strip_suffix(']')?.get(1..)?,
        false => host,
    };
    let zone = bare.find('%').unwrap_or(bare.len());
    let address: IpAddr = bare[..zone].parse().ok()?;
    Some(address.to_canonical())
}
