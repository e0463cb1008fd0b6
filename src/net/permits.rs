//! Bounds on open connections: of all listeners together, and of each address.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::lingering::LINGERING_MAX;
use crate::limits::{AddressPermit, Limit, Limits, Standing, Strangers, Visitor};
use crate::metrics::{Gauge, Metrics};

/// The pool of connection permits. Clones share one count, so that several listeners together stay within the open-file
/// limit.
#[derive(Clone)]
pub struct ConnectionPermits {
    free: Arc<Semaphore>,
    strangers: Arc<Strangers>,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
}

/// Held for as long as a connection's socket is open.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    standing: Arc<Standing>,
    lingers: bool,
    of_address: AddressPermit,
    open: Gauge,
}

impl ConnectionPermit {
    pub(super) fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// From now on the connection is only drained: it no longer counts for its address, and a newcomer may evict it.
    /// `false` if it has been evicted already.
    pub(super) fn linger(&mut self) -> bool {
        if self.lingers {
            return true;
        }
        self.lingers = true;
        self.of_address = AddressPermit::default();
        self.standing.linger()
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.standing.leave();
        self.open.dec();
    }
}

impl ConnectionPermits {
    /// A pool for this many connections, upgraded ones included, of which at most this many are not logged in; `limits`
    /// bounds those of one address.
    pub fn new(
        connections_max: usize,
        strangers_max: usize,
        limits: Arc<Limits>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let max = connections_max.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(max)),
            strangers: Arc::new(limits.strangers(max, strangers_max, LINGERING_MAX)),
            limits,
            metrics,
        }
    }

    pub(super) fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// A permit for a connection from `peer`: a free one, or that of the oldest connection that lingers or has not
    /// logged in. A trusted proxy's connection is [counted](Self::count_for_address) once the proxy has named its
    /// client.
    pub(super) fn acquire(&self, peer: IpAddr) -> Option<ConnectionPermit> {
        let of_address = match self.limits.is_proxy(peer) {
            true => AddressPermit::default(),
            false => self.limits.connect(&Visitor::direct(peer), false).ok()?,
        };
        let free = Arc::clone(&self.free).try_acquire_owned().ok();
        let permit = free
            .or_else(|| self.strangers.evict_lingering())
            .or_else(|| {
                // One is closed: this one, or the one not logged in.
                self.limits.note(Limit::Connections, &peer);
                self.strangers.evict_oldest()
            })?;
        let open = self.metrics.net.connections.clone();
        open.inc();
        Some(ConnectionPermit {
            standing: Arc::new(Standing::new(&self.strangers, permit, peer)),
            lingers: false,
            of_address,
            open,
        })
    }

    /// Counts a connection for its client's address; `false` if that address has too many. Connections of a trusted
    /// proxy without TLS are counted when their requests name the client.
    pub(super) fn count_for_address(
        &self,
        permit: &mut ConnectionPermit,
        from: &Visitor,
        plain: bool,
    ) -> bool {
        if plain && self.limits.is_proxy(from.address) {
            return true;
        }
        let of_address = self.limits.connect(from, false);
        of_address
            .map(|counted| permit.of_address = counted)
            .is_ok()
    }

    pub(super) fn handshake_failed(&self, reason: &str) {
        let failed = &self.metrics.net.handshakes_failed;
        failed.with_label_values(&[reason]).inc();
    }
}
