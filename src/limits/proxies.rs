//! Trusted proxies: the clients they name, and log lines about misconfigured ones.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::addresses;
use super::throttle::Throttle;
use super::visitor::Visitor;
use crate::model::LimitOptions;

/// Most trusted proxies whose use of the PROXY protocol is remembered; more than any installation
/// has.
const PROXIES_MAX: usize = 1024;

/// State of the proxies, and which of their faults were logged.
#[derive(Debug, Default)]
pub struct Proxies {
    not_trusted: AtomicBool,
    names_nobody: AtomicBool,
    passes_on: AtomicBool,
    header_refused: Throttle,
    header_unreadable: Throttle,
    header_use: Mutex<HashMap<IpAddr, HeaderUse>>,
}

/// Kinds of TLS connections that a trusted proxy has passed on.
#[derive(Debug, Default)]
struct HeaderUse {
    with_header: bool,
    without: bool,
}

impl Proxies {
    /// The origin of a request without TLS. If the peer is a trusted proxy, this is the last
    /// address in its `X-Forwarded-For` lines that is not itself a trusted proxy, or the first if
    /// all are. Entries before it were written by strangers.
    pub(super) fn visitor<'a>(
        &self,
        options: &LimitOptions,
        peer: &Visitor,
        lines: impl DoubleEndedIterator<Item = &'a str>,
    ) -> Visitor {
        let address = peer.address;
        let mut lines = lines.peekable();
        let forwarded = lines.peek().is_some();
        if options.trusted_proxies.contains(address) {
            let named = addresses::forwarded(&options.trusted_proxies, lines);
            return Visitor {
                address: named.unwrap_or(address).to_canonical(),
                proxied: true,
                named: named.is_some(),
                forwarded,
                standing: None,
            };
        }
        if forwarded && !self.not_trusted.swap(true, Ordering::Relaxed) {
            let what = match options.unlimited.contains(address) {
                true => "nobody behind it is limited by address",
                false => "everyone behind it counts as one",
            };
            tracing::warn!(peer = %address, "X-Forwarded-For comes from an address that is not in trusted_proxies: {what}");
        }
        peer.clone()
    }

    /// Logs, once each, a trusted proxy that names no client and one that sends the header with
    /// only some requests on a connection: a proxy that sets the header sets it always. Probes and
    /// backends are exempt, as they may well come from there and their address is not limited.
    pub(super) fn check(&self, visitor: &Visitor) {
        if let Some(peer) = visitor.forwarded_unlike_others()
            && !self.passes_on.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%peer, "a trusted proxy sends X-Forwarded-For with some requests and others without: where it passes on what clients write there, they choose the address that they are limited by; it has to set the header");
        }
        if visitor.is_unnamed() && !self.names_nobody.swap(true, Ordering::Relaxed) {
            tracing::warn!(peer = %visitor.address, "a trusted proxy names nobody whom it speaks for in X-Forwarded-For: all of those are limited as one, as the proxy's address; and where it passes on what clients write there, they choose their address: it has to set the header");
        }
    }

    /// Records a TLS connection from a trusted proxy, with or without a PROXY protocol header. Logs
    /// once per proxy that it has done both: the headers may come from clients whose bytes it
    /// passes on unchanged.
    pub fn passed_on(&self, peer: IpAddr, with_header: bool) {
        let mut all = self.header_use.lock();
        if all.len() >= PROXIES_MAX && !all.contains_key(&peer) {
            return;
        }
        let header_use = all.entry(peer).or_default();
        let seen = match with_header {
            true => &mut header_use.with_header,
            false => &mut header_use.without,
        };
        let is_new = !std::mem::replace(seen, true);
        let has_both = header_use.with_header && header_use.without;
        drop(all);
        if is_new && has_both {
            tracing::warn!(%peer, "a trusted proxy brings connections over TLS with a PROXY protocol header and others without: where it passes on what clients send, they choose the address that they are limited by; it has to send a header of its own, or not to be in trusted_proxies");
        }
    }

    /// Logs a PROXY protocol header refused because its sender is not trusted.
    pub fn header_refused(&self, peer: IpAddr) {
        if let Some(times) = self.header_refused.due() {
            tracing::warn!(%peer, times, "a PROXY protocol header is refused, as it comes from an address that is not in trusted_proxies: name the proxy there, or have it send none");
        }
    }

    /// Logs an unreadable PROXY protocol header from a trusted proxy.
    pub fn header_unreadable(&self, peer: IpAddr, error: &dyn fmt::Display) {
        if let Some(times) = self.header_unreadable.due() {
            tracing::warn!(%peer, times, "a connection of a trusted proxy is closed: {error}");
        }
    }
}
