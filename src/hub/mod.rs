//! Online sessions of this node, and the hand-over of committed messages to them.
//!
//! Never waits, never reads the store, never writes to a socket: it appends encoded frames to
//! outboxes. A session that misses one is not wrong, only behind.

mod arrival;
mod ended;
mod outbox;
mod overview;

pub use arrival::Arrival;
pub use ended::EndedSession;
pub use outbox::{Delivery, Load, Outbox, Output, Taken};
pub use overview::{SessionLine, Totals};

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::metrics::Metrics;
use crate::model::{Device, Domain, Mailbox, Message, Resource};
use crate::protocol::close::CloseReason;
use crate::protocol::server_frame;
use crate::store::CommitSink;
use crate::websocket::writer;
use ended::EndedSessions;

/// Locks are per shard of users, so that a login does not hold up deliveries to others.
const SHARDS: usize = 16;

/// Most scratch bytes that the encoder keeps between batches.
const SCRATCH_BYTES_MAX: usize = 64 << 10;

/// Limits on the number of sessions.
#[derive(Debug, Clone, Copy)]
pub struct HubLimits {
    /// Most sessions on this server.
    pub sessions_max: usize,
    /// Most sessions of one user.
    pub sessions_per_user_max: usize,
}

/// The limit that another session would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubFull {
    /// The limit of the whole server.
    Server,
    /// The limit per user.
    User {
        /// The configured limit.
        max: usize,
    },
}

struct Entry {
    resource: Resource,
    arrival: Arrival,
    outbox: Arc<Outbox>,
}

/// A session as shown in a user's presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Resource: the device or tab.
    pub resource: Resource,
    /// Login time in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

type Shard = HashMap<Mailbox, Vec<Entry>>;

/// The sessions of this node by (domain, id, resource).
pub struct Hub {
    limits: Mutex<HubLimits>,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    sessions: AtomicUsize,
    scratch: Mutex<Scratch>,
    ended: Mutex<EndedSessions>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Scratch {
    json: Vec<u8>,
    frame: Vec<u8>,
}

/// Membership of a session in the hub; dropping it leaves.
pub struct Registration {
    hub: Arc<Hub>,
    device: Device,
    outbox: Arc<Outbox>,
}

impl Hub {
    /// An empty hub with these limits.
    pub fn new(limits: HubLimits, metrics: Arc<Metrics>) -> Self {
        Self {
            limits: Mutex::new(limits),
            hasher: RandomState::new(),
            shards: Default::default(),
            sessions: AtomicUsize::new(0),
            scratch: Mutex::default(),
            ended: Mutex::default(),
            metrics,
        }
    }

    fn shard(&self, mailbox: &Mailbox) -> MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(mailbox) as usize % SHARDS;
        self.shards[at].lock()
    }

    /// Registers a session. An older session of the same device is replaced: it is told to close,
    /// and receives nothing more.
    ///
    /// # Errors
    /// [`HubFull`].
    pub fn register(
        self: &Arc<Self>,
        device: Device,
        outbox: Arc<Outbox>,
        arrival: Arrival,
    ) -> Result<Registration, HubFull> {
        let mut shard = self.shard(&device.mailbox);
        let entries = shard.entry(device.mailbox.clone()).or_default();
        let entry = Entry {
            resource: device.resource.clone(),
            arrival,
            outbox: Arc::clone(&outbox),
        };
        if let Some(older) = entries
            .iter_mut()
            .find(|entry| entry.resource == device.resource)
        {
            let older = std::mem::replace(older, entry);
            older.outbox.close(CloseReason::Replaced);
        } else {
            if let Err(full) = self.check_limits(entries.len()) {
                if entries.is_empty() {
                    shard.remove(&device.mailbox);
                }
                return Err(full);
            }
            entries.push(entry);
            self.sessions.fetch_add(1, Ordering::Relaxed);
        }
        drop(shard);
        Ok(Registration {
            hub: Arc::clone(self),
            device,
            outbox,
        })
    }

    fn check_limits(&self, sessions_of_user: usize) -> Result<(), HubFull> {
        let HubLimits {
            sessions_max,
            sessions_per_user_max,
        } = self.limits();
        if sessions_of_user >= sessions_per_user_max {
            return Err(HubFull::User {
                max: sessions_per_user_max,
            });
        }
        // Logins in other shards may get in at the same moment, so the limit may be exceeded by a
        // few.
        match self.sessions.load(Ordering::Relaxed) >= sessions_max {
            true => Err(HubFull::Server),
            false => Ok(()),
        }
    }

    /// Whether the user has a session.
    pub fn is_online(&self, mailbox: &Mailbox) -> bool {
        self.shard(mailbox).contains_key(mailbox)
    }

    /// The user's sessions, by resource.
    pub fn sessions_of(&self, mailbox: &Mailbox) -> Vec<Present> {
        let shard = self.shard(mailbox);
        let entries = shard.get(mailbox).into_iter().flatten();
        let mut sessions: Vec<_> = entries
            .map(|entry| Present {
                resource: entry.resource.clone(),
                since_ms: entry.arrival.at_ms,
            })
            .collect();
        drop(shard);
        sessions.sort_unstable_by(|a, b| a.resource.cmp(&b.resource));
        sessions
    }

    /// Current number of sessions.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Most sessions on this server.
    pub fn sessions_max(&self) -> usize {
        self.limits().sessions_max
    }

    /// Replaces the limits for future logins.
    pub fn set_limits(&self, limits: HubLimits) {
        *self.limits.lock() = limits;
    }

    fn limits(&self) -> HubLimits {
        *self.limits.lock()
    }

    /// Makes every session of a domain check its token again.
    pub fn recheck(&self, domain: &Domain) {
        self.for_each(|mailbox, entry| {
            if mailbox.domain == *domain {
                entry.outbox.recheck();
            }
        });
    }

    /// Tells all sessions to close.
    pub fn close_all(&self, reason: &CloseReason) {
        self.for_each(|_, entry| entry.outbox.close(reason.clone()));
    }

    fn for_each(&self, act: impl Fn(&Mailbox, &Entry)) {
        for shard in &self.shards {
            let shard = shard.lock();
            for (mailbox, entries) in &*shard {
                for entry in entries {
                    act(mailbox, entry);
                }
            }
        }
    }

    fn deliver(&self, message: &Message, scratch: &mut Scratch) {
        let shard = self.shard(&message.mailbox);
        let Some(entries) = shard.get(&message.mailbox) else {
            return;
        };
        scratch.json.clear();
        scratch.frame.clear();
        // `offline` is false: every session that receives this frame logged in before the message.
        server_frame::message(&mut scratch.json, message, false);
        writer::text(&mut scratch.frame, &scratch.json);
        let entries = entries
            .iter()
            .filter(|entry| is_for(message, &entry.resource))
            .filter(|entry| entry.outbox.deliver(message.id, &scratch.frame));
        let delivered = entries.count();
        if delivered > 0 {
            let out = &self.metrics.messages_out;
            out.add(message.kind.0, delivered as u64);
        }
    }
}

/// Whether this message of the user's mailbox goes to the device.
pub fn is_for(message: &Message, resource: &Resource) -> bool {
    message
        .to_resource
        .as_ref()
        .is_none_or(|only| only == resource)
}

impl CommitSink for Hub {
    fn committed(&self, messages: &[Message]) {
        let mut scratch = self.scratch.lock();
        for message in messages {
            self.metrics.messages_in.add(message.kind.0, 1);
            self.deliver(message, &mut scratch);
        }
        scratch.json.shrink_to(SCRATCH_BYTES_MAX);
        scratch.frame.shrink_to(SCRATCH_BYTES_MAX);
    }
}

impl Registration {
    /// Runs `act` unless the session has been replaced, and excludes a replacement meanwhile. `act`
    /// must be short: it runs under the shard's lock.
    pub fn if_current(&self, act: impl FnOnce()) {
        let shard = self.hub.shard(&self.device.mailbox);
        let entries = shard.get(&self.device.mailbox);
        let mut entries = entries.into_iter().flatten();
        if entries.any(|entry| Arc::ptr_eq(&entry.outbox, &self.outbox)) {
            act();
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut shard = self.hub.shard(&self.device.mailbox);
        let Some(entries) = shard.get_mut(&self.device.mailbox) else {
            return;
        };
        let before = entries.len();
        // A replaced session has no entry any more.
        entries.retain(|entry| !Arc::ptr_eq(&entry.outbox, &self.outbox));
        let left = before - entries.len();
        if entries.is_empty() {
            shard.remove(&self.device.mailbox);
        }
        self.hub.sessions.fetch_sub(left, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
