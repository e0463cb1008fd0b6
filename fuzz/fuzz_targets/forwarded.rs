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
    let visitor = LIMITS.visitor(peer, lines.iter().copied());
    if !LIMITS.is_proxy(peer) {
        assert_eq!(visitor, Visitor::direct(peer));
        return;
    }
    let Visitor { address, proxied } = visitor;
    assert!(proxied && address == address.to_canonical());
    let of_nobody = LIMITS.visitor(peer, std::iter::empty());
    assert_eq!(of_nobody.address, peer.to_canonical());

    // Several lines are one list (RFC 9110, 5.3).
    let joined = lines.join(",");
    assert_eq!(LIMITS.visitor(peer, [joined.as_str()].into_iter()), visitor);

    let entries = || joined.split(',').map(str::trim);
    // As some proxies write it: in quotes, with a port, with a zone.
    let reads = |entry: &str| {
        let entry = entry.trim_matches('"');
        let bare = entry.trim_start_matches('[').trim_end_matches(']');
        let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
        let socket = || {
            entry
                .parse::<std::net::SocketAddr>()
                .ok()
                .map(|socket| socket.ip())
        };
        bare.parse()
            .ok()
            .or_else(socket)
            .map(|address: IpAddr| address.to_canonical())
    };
    assert!(address == peer.to_canonical() || entries().any(|entry| reads(entry) == Some(address)));

    if !LIMITS.is_proxy(address) {
        let before = format!("{}, {joined}", input.written_before);
        assert_eq!(LIMITS.visitor(peer, [before.as_str()].into_iter()), visitor);
        let line_before = [input.written_before]
            .into_iter()
            .chain(lines.iter().copied());
        let line_before: Vec<&str> = line_before.collect();
        assert_eq!(LIMITS.visitor(peer, line_before.into_iter()), visitor);
        // Nobody between it and the peer is a stranger, or the stranger would count.
        let behind = entries()
            .rev()
            .map(reads)
            .take_while(|read| *read != Some(address));
        assert!(
            behind
                .into_iter()
                .all(|read| read.is_some_and(|hop| LIMITS.is_proxy(hop)))
        );
    }
});
