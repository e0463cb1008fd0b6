//! The origin of a connection or request, as limits see it.

use std::net::IpAddr;
use std::sync::Arc;

use super::eviction::Standing;

/// The origin of a connection or request.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The client's address, or the proxy's if a trusted proxy names no client.
    pub address: IpAddr,
    /// Whether the connection belongs to a trusted proxy, which mixes requests of several clients
    /// on it.
    pub proxied: bool,
    /// Whether a trusted proxy named the address.
    pub named: bool,
    /// Whether a trusted proxy sent `X-Forwarded-For`, whatever its content.
    pub forwarded: bool,
    /// The connection's entry for eviction, if connections are counted.
    pub standing: Option<Arc<Standing>>,
}

impl Visitor {
    /// A client that connects directly.
    pub fn direct(peer: IpAddr) -> Self {
        Self {
            address: peer.to_canonical(),
            proxied: false,
            named: false,
            forwarded: false,
            standing: None,
        }
    }

    /// A client whose whole connection a trusted proxy passes on, with its address.
    pub fn passed_on(from: IpAddr) -> Self {
        Self {
            named: true,
            ..Self::direct(from)
        }
    }

    /// Whether a trusted proxy names no client, so that the address is the proxy's own.
    pub fn is_unnamed(&self) -> bool {
        self.proxied && !self.named
    }

    /// The trusted proxy at the other end of the connection, if this request and the first one
    /// judged there differ in whether they have `X-Forwarded-For`.
    pub(super) fn forwarded_unlike_others(&self) -> Option<IpAddr> {
        let standing = self.standing.as_ref().filter(|_| self.proxied)?;
        let is_unlike = standing.first_forwarded(self.forwarded) != self.forwarded;
        is_unlike.then(|| standing.peer())
    }

    /// The token is good: the connection is not evicted during this request.
    pub fn vouch(&self) {
        if let Some(standing) = &self.standing {
            standing.vouch();
        }
    }

    /// A session has begun: the connection is not evicted any more. `false` if it cannot have one:
    /// see [`Standing::log_in`].
    pub fn log_in(&self) -> bool {
        let standing = self.standing.as_ref();
        standing.is_none_or(|standing| standing.log_in())
    }
}
