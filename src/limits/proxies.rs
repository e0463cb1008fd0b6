//! Proxies that speak for others: whom they name, and what the log says of those that do it wrong.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::addresses;
use super::throttle::Throttle;
use super::visitor::Visitor;
use crate::model::LimitOptions;

/// Of so many trusted proxies it is remembered how they pass connections on: more than anybody has.
const PROXIES_MAX: usize = 1024;

/// The proxies, and which of their faults the log has named.
#[derive(Debug, Default)]
pub struct Proxies {
    not_trusted: AtomicBool,
    names_nobody: AtomicBool,
    passes_on: AtomicBool,
    header_refused: Throttle,
    header_unreadable: Throttle,
    brought: Mutex<HashMap<IpAddr, Brought>>,
}

/// What a trusted proxy has brought over TLS.
#[derive(Debug, Default)]
struct Brought {
    with_header: bool,
    without: bool,
}

impl Proxies {
    /// Who a request without TLS is from, by its `X-Forwarded-For` lines, where the other end of its connection is a
    /// trusted proxy: the last address there that is no trusted proxy itself, or the first where
    /// all are. What stands before it was written by strangers.
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

    /// Says once that a trusted proxy names nobody, and once that it sends the header with some requests on a connection
    /// only: who sets it sets it always. Not of probes and backends, which may well come from there: their address is not
    /// limited.
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

    /// A trusted proxy has passed a connection on over TLS, with a header of the PROXY protocol or without. Says once of
    /// each that it has done both: the headers may be those of clients, whose bytes it passes on unchanged.
    pub fn passed_on(&self, peer: IpAddr, with_header: bool) {
        let mut all = self.brought.lock();
        if all.len() >= PROXIES_MAX && !all.contains_key(&peer) {
            return;
        }
        let brought = all.entry(peer).or_default();
        let is_new = match with_header {
            true => !std::mem::replace(&mut brought.with_header, true),
            false => !std::mem::replace(&mut brought.without, true),
        };
        let has_both = brought.with_header && brought.without;
        drop(all);
        if is_new && has_both {
            tracing::warn!(%peer, "a trusted proxy brings connections over TLS with a PROXY protocol header and others without: where it passes on what clients send, they choose the address that they are limited by; it has to send a header of its own, or not to be in trusted_proxies");
        }
    }

    /// A header of the PROXY protocol was refused, as its sender is not trusted.
    pub fn header_refused(&self, peer: IpAddr) {
        if let Some(times) = self.header_refused.due() {
            tracing::warn!(%peer, times, "a PROXY protocol header is refused, as it comes from an address that is not in trusted_proxies: name the proxy there, or have it send none");
        }
    }

    /// A trusted proxy sent a header of the PROXY protocol that says nothing.
    pub fn header_unreadable(&self, peer: IpAddr, error: &dyn fmt::Display) {
        if let Some(times) = self.header_unreadable.due() {
            tracing::warn!(%peer, times, "a connection of a trusted proxy is closed: {error}");
        }
    }
}
