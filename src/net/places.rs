//! Room for open connections: of all listeners together, and of each address.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lingering::{Lingering, Seat};
use crate::limits::{ConnectionPlace, Limit, Limits, Visitor};
use crate::metrics::{Gauge, Metrics};

/// Room for open connections. Clones share it, so that several listeners together keep to the open-file limit.
#[derive(Clone)]
pub struct Places {
    permits: Arc<Semaphore>,
    lingering: Arc<Lingering>,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
}

/// A connection's place, for as long as its socket is open.
#[derive(Debug)]
pub(super) struct Place {
    /// `None` once it lingers.
    all: Option<OwnedSemaphorePermit>,
    of_address: ConnectionPlace,
    lingering: Arc<Lingering>,
    open: Gauge,
}

impl Place {
    /// From now on the connection is only read to its end: it no longer counts for its address, and who needs its
    /// place among all gets it. `None` where that was said before.
    pub(super) fn linger(&mut self) -> Option<Seat> {
        let place = self.all.take()?;
        self.of_address = ConnectionPlace::default();
        Some(Lingering::enter(&self.lingering, place))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl Places {
    /// Room for so many connections, upgraded ones included, and for as many of one address as `limits` allow.
    pub fn new(connections_max: usize, limits: Arc<Limits>, metrics: Arc<Metrics>) -> Self {
        let max = connections_max.min(Semaphore::MAX_PERMITS);
        Self {
            permits: Arc::new(Semaphore::new(max)),
            lingering: Arc::default(),
            limits,
            metrics,
        }
    }

    pub(super) fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// A place for a connection from `peer`; those of a trusted proxy without TLS are counted where its requests say
    /// whom they are from.
    pub(super) fn enter(&self, peer: IpAddr, plain: bool) -> Option<Place> {
        let free = Arc::clone(&self.permits).try_acquire_owned().ok();
        let Some(all) = free.or_else(|| self.lingering.take_oldest()) else {
            self.limits.note(Limit::Connections, &peer);
            return None;
        };
        let of_address = if plain && self.limits.is_proxy(peer) {
            ConnectionPlace::default()
        } else {
            self.limits.connect(Visitor::direct(peer)).ok()?
        };
        let open = self.metrics.net.connections.clone();
        open.inc();
        Some(Place {
            all: Some(all),
            of_address,
            lingering: Arc::clone(&self.lingering),
            open,
        })
    }

    pub(super) fn handshake_failed(&self, reason: &str) {
        let failed = &self.metrics.net.handshakes_failed;
        failed.with_label_values(&[reason]).inc();
    }
}
