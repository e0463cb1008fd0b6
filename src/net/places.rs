//! Room for open connections: of all listeners together, and of each address.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::Semaphore;

use super::lingering::LINGERING_MAX;
use crate::limits::{ConnectionPlace, Limit, Limits, Standing, Strangers, Visitor};
use crate::metrics::{Gauge, Metrics};

/// Room for open connections. Clones share it, so that several listeners together keep to the open-file limit.
#[derive(Clone)]
pub struct Places {
    permits: Arc<Semaphore>,
    strangers: Arc<Strangers>,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
}

/// A connection's place, for as long as its socket is open.
#[derive(Debug)]
pub(super) struct Place {
    standing: Arc<Standing>,
    lingers: bool,
    of_address: ConnectionPlace,
    open: Gauge,
}

impl Place {
    /// What it is among all.
    pub(super) fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// From now on the connection is only read to its end: it no longer counts for its address, and who needs its
    /// place among all gets it. Says whether it had one.
    pub(super) fn linger(&mut self) -> bool {
        if self.lingers {
            return true;
        }
        self.lingers = true;
        self.of_address = ConnectionPlace::default();
        self.standing.linger()
    }

    /// Ready once it was given to somebody else.
    pub(super) fn poll_lost(&self, cx: &Context<'_>) -> Poll<()> {
        self.standing.poll_lost(cx)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.standing.leave();
        self.open.dec();
    }
}

impl Places {
    /// Room for so many connections, upgraded ones included, of which so many are strangers', and for as many of one
    /// address as `limits` allow.
    pub fn new(
        connections_max: usize,
        strangers_max: usize,
        limits: Arc<Limits>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let max = connections_max.min(Semaphore::MAX_PERMITS);
        Self {
            permits: Arc::new(Semaphore::new(max)),
            strangers: Arc::new(Strangers::new(
                max,
                strangers_max,
                LINGERING_MAX,
                Arc::clone(&limits),
            )),
            limits,
            metrics,
        }
    }

    pub(super) fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// A place for a connection from `peer`: a free one, or that of the oldest that lingers or has not logged in.
    /// Those of a trusted proxy are [counted](Self::count) once it has said whose they are.
    pub(super) fn enter(&self, peer: IpAddr) -> Option<Place> {
        let of_address = match self.limits.is_proxy(peer) {
            true => ConnectionPlace::default(),
            false => self.limits.connect(&Visitor::direct(peer), false).ok()?,
        };
        let free = Arc::clone(&self.permits).try_acquire_owned().ok();
        let place = free
            .or_else(|| self.strangers.take_lingering())
            .or_else(|| {
                // One is closed: this one, or that of the stranger.
                self.limits.note(Limit::Connections, &peer);
                self.strangers.take_oldest()
            })?;
        let open = self.metrics.net.connections.clone();
        open.inc();
        Some(Place {
            standing: Arc::new(Standing::new(&self.strangers, place, peer)),
            lingers: false,
            of_address,
            open,
        })
    }

    /// Counts a place for the address of its connection, and says whether there is room for that one. Those of a trusted
    /// proxy without TLS are counted where its requests say whom they are from.
    pub(super) fn count(&self, place: &mut Place, from: &Visitor, plain: bool) -> bool {
        if plain && self.limits.is_proxy(from.address) {
            return true;
        }
        let of_address = self.limits.connect(from, false);
        of_address.map(|counted| place.of_address = counted).is_ok()
    }

    pub(super) fn handshake_failed(&self, reason: &str) {
        let failed = &self.metrics.net.handshakes_failed;
        failed.with_label_values(&[reason]).inc();
    }
}
