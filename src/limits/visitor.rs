//! Who asks, as limits see it.

use std::net::IpAddr;
use std::sync::Arc;

use super::eviction::Standing;

/// Who a connection or a request is from.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Its address; that of the proxy where a trusted one names nobody.
    pub address: IpAddr,
    /// Whether a trusted proxy brings its requests among others': the connection is the proxy's.
    pub proxied: bool,
    /// Whether a trusted proxy has named the address.
    pub named: bool,
    /// Whether a trusted proxy brings it with `X-Forwarded-For`, whatever that says.
    pub forwarded: bool,
    /// Its connection among all, where those are counted.
    pub standing: Option<Arc<Standing>>,
}

impl Visitor {
    /// Somebody who connects itself.
    pub fn direct(peer: IpAddr) -> Self {
        Self {
            address: peer.to_canonical(),
            proxied: false,
            named: false,
            forwarded: false,
            standing: None,
        }
    }

    /// Somebody whose connection a trusted proxy passes on whole, and has said so.
    pub fn passed_on(from: IpAddr) -> Self {
        Self {
            named: true,
            ..Self::direct(from)
        }
    }

    /// Whether a trusted proxy brings it and names nobody: the address is the proxy's own.
    pub fn is_unnamed(&self) -> bool {
        self.proxied && !self.named
    }

    /// The trusted proxy at the other end of its connection, where the first request that was judged there had
    /// `X-Forwarded-For` and this one has not, or the other way round.
    pub(super) fn forwarded_unlike_others(&self) -> Option<IpAddr> {
        let standing = self.standing.as_ref().filter(|_| self.proxied)?;
        let is_unlike = standing.first_forwarded(self.forwarded) != self.forwarded;
        is_unlike.then(|| standing.peer())
    }

    /// Its token is good: its connection is not evicted during this request.
    pub fn vouch(&self) {
        if let Some(standing) = &self.standing {
            standing.vouch();
        }
    }

    /// It has a session: its connection is not evicted any more. `false` if it cannot have one: see
    /// [`Standing::log_in`].
    pub fn log_in(&self) -> bool {
        let standing = self.standing.as_ref();
        standing.is_none_or(|standing| standing.log_in())
    }
}
