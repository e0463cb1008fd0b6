//! Who is online on this node, and the hand-over of committed messages to them.
//!
//! Never waits, never reads the store, never writes to a socket: it appends encoded frames
//! to outboxes. A session that misses one is not wrong, only behind.

mod outbox;

pub use outbox::{Delivery, Outbox, Output, Taken};

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Device, Domain, Mailbox, Message, Resource};
use crate::protocol::close::CloseReason;
use crate::protocol::server_frame;
use crate::store::CommitSink;
use crate::websocket::writer;

/// Locks are per shard of users, so that logins do not hold up deliveries to others.
const SHARDS: usize = 16;

/// Most bytes of scratch memory that the encoder keeps between batches.
const SCRATCH_BYTES_MAX: usize = 64 << 10;

/// Limits of sessions.
#[derive(Debug, Clone, Copy)]
pub struct HubLimits {
    /// Most sessions on this server.
    pub sessions_max: usize,
    /// Most sessions of one user.
    pub sessions_per_user_max: usize,
}

struct Entry {
    resource: Resource,
    since_ms: u64,
    outbox: Arc<Outbox>,
}

/// A session, as presence tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The device or tab.
    pub resource: Resource,
    /// Milliseconds since the Unix epoch at which it logged in.
    pub since_ms: u64,
}

type Shard = HashMap<Mailbox, Vec<Entry>>;

/// The sessions of this node by (domain, id, resource).
pub struct Hub {
    limits: HubLimits,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    sessions: AtomicUsize,
    scratch: Mutex<Scratch>,
}

#[derive(Default)]
struct Scratch {
    json: Vec<u8>,
    frame: Vec<u8>,
}

/// A session's place in the hub; it leaves when this is dropped.
pub struct Registration {
    hub: Arc<Hub>,
    device: Device,
    outbox: Arc<Outbox>,
}

impl Hub {
    /// An empty hub.
    pub fn new(limits: HubLimits) -> Self {
        Self {
            limits,
            hasher: RandomState::new(),
            shards: Default::default(),
            sessions: AtomicUsize::new(0),
            scratch: Mutex::default(),
        }
    }

    fn shard(&self, mailbox: &Mailbox) -> MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(mailbox) as usize % SHARDS;
        self.shards[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a session in its place, since `now_ms`. An older session of the same device is
    /// replaced: it is told to close, and gets nothing from here any more.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn register(
        self: &Arc<Self>,
        device: Device,
        outbox: Arc<Outbox>,
        now_ms: u64,
    ) -> Result<Registration, CloseReason> {
        let mut shard = self.shard(&device.mailbox);
        let entries = shard.entry(device.mailbox.clone()).or_default();
        let entry = Entry {
            resource: device.resource.clone(),
            since_ms: now_ms,
            outbox: Arc::clone(&outbox),
        };
        if let Some(older) = entries
            .iter_mut()
            .find(|entry| entry.resource == device.resource)
        {
            let older = std::mem::replace(older, entry);
            older.outbox.close(CloseReason::Replaced);
        } else {
            let refusal = self.refusal(entries.len());
            if let Some(reason) = refusal {
                if entries.is_empty() {
                    shard.remove(&device.mailbox);
                }
                return Err(reason);
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

    fn refusal(&self, sessions_of_user: usize) -> Option<CloseReason> {
        let HubLimits {
            sessions_max,
            sessions_per_user_max,
        } = self.limits;
        if sessions_of_user >= sessions_per_user_max {
            return Some(CloseReason::TooManySessions {
                max: sessions_per_user_max,
            });
        }
        // Logins of other shards may pass at the same moment: the limit is kept to within a few.
        (self.sessions.load(Ordering::Relaxed) >= sessions_max).then_some(CloseReason::AtCapacity)
    }

    /// Whether the user has any session.
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
                since_ms: entry.since_ms,
            })
            .collect();
        drop(shard);
        sessions.sort_unstable_by(|a, b| a.resource.cmp(&b.resource));
        sessions
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Has all sessions of a domain look at their token again.
    pub fn recheck(&self, domain: &Domain) {
        self.for_each(|mailbox, entry| {
            if mailbox.domain == *domain {
                entry.outbox.recheck();
            }
        });
    }

    /// Ends all sessions.
    pub fn close_all(&self, reason: &CloseReason) {
        self.for_each(|_, entry| entry.outbox.close(reason.clone()));
    }

    fn for_each(&self, act: impl Fn(&Mailbox, &Entry)) {
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
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
        // `offline` is false: every session that takes this frame logged in before the message.
        server_frame::message(&mut scratch.json, message, false);
        writer::text(&mut scratch.frame, &scratch.json);
        for entry in entries
            .iter()
            .filter(|entry| is_for(message, &entry.resource))
        {
            entry.outbox.deliver(message.id, &scratch.frame);
        }
    }
}

/// Whether a device gets this message of its user's mailbox.
pub fn is_for(message: &Message, resource: &Resource) -> bool {
    message
        .to_resource
        .as_ref()
        .is_none_or(|only| only == resource)
}

impl CommitSink for Hub {
    fn committed(&self, messages: &[Message]) {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        for message in messages {
            self.deliver(message, &mut scratch);
        }
        scratch.json.shrink_to(SCRATCH_BYTES_MAX);
        scratch.frame.shrink_to(SCRATCH_BYTES_MAX);
    }
}

impl Registration {
    /// Carries something out unless the session has been replaced, and before it can be. `act` is
    /// short: the hub's shard is locked meanwhile.
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
        // A session that was replaced has no place any more.
        entries.retain(|entry| !Arc::ptr_eq(&entry.outbox, &self.outbox));
        let left = before - entries.len();
        if entries.is_empty() {
            shard.remove(&self.device.mailbox);
        }
        self.hub.sessions.fetch_sub(left, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserId;

    fn device(user: &str, resource: &str) -> Device {
        Device {
            mailbox: Mailbox {
                domain: Domain::parse("demo").expect("valid"),
                user: UserId::parse(user).expect("valid"),
            },
            resource: Resource::parse(resource).expect("valid"),
        }
    }

    fn hub() -> Arc<Hub> {
        Arc::new(Hub::new(HubLimits {
            sessions_max: 3,
            sessions_per_user_max: 2,
        }))
    }

    fn login(hub: &Arc<Hub>, user: &str, resource: &str) -> Result<Registration, CloseReason> {
        login_at(hub, user, resource, 0)
    }

    fn login_at(
        hub: &Arc<Hub>,
        user: &str,
        resource: &str,
        now_ms: u64,
    ) -> Result<Registration, CloseReason> {
        let outbox = Arc::new(Outbox::new(1024));
        hub.register(device(user, resource), outbox, now_ms)
    }

    #[test]
    fn sessions_leave_when_dropped_and_a_replaced_one_leaves_its_successor_alone() {
        let hub = hub();
        let mailbox = device("u", "web").mailbox;
        let first = login(&hub, "u", "web").expect("room");
        let second = login(&hub, "u", "web").expect("replaces");
        assert_eq!(hub.sessions(), 1);
        let acts = |registration: &Registration| {
            let mut acted = false;
            registration.if_current(|| acted = true);
            acted
        };
        assert!(!acts(&first), "it was replaced");
        assert!(acts(&second));
        drop(first);
        assert!(hub.is_online(&mailbox));
        drop(second);
        assert!(!hub.is_online(&mailbox));
        assert_eq!(hub.sessions(), 0);
    }

    #[test]
    fn sessions_of_a_user_are_told_with_the_time_of_their_login() {
        let hub = hub();
        let mailbox = device("u", "web").mailbox;
        let told = || {
            let sessions = hub.sessions_of(&mailbox).into_iter();
            let pairs = sessions.map(|one| (one.resource.as_str().to_owned(), one.since_ms));
            pairs.collect::<Vec<_>>()
        };
        assert_eq!(told(), []);
        let web = login_at(&hub, "u", "web", 7).expect("room");
        let _phone = login_at(&hub, "u", "phone", 8).expect("room");
        let _other = login_at(&hub, "v", "web", 9).expect("room");
        assert_eq!(told(), [("phone".into(), 8), ("web".into(), 7)]);
        let newer = login_at(&hub, "u", "web", 10).expect("replaces");
        drop(web);
        assert_eq!(told(), [("phone".into(), 8), ("web".into(), 10)]);
        drop(newer);
        assert_eq!(told(), [("phone".into(), 8)]);
    }

    #[test]
    fn limits_hold_and_leave_no_trace() {
        let hub = hub();
        let _a = login(&hub, "u", "a").expect("room");
        let b = login(&hub, "u", "b").expect("room");
        assert_eq!(
            login(&hub, "u", "c").err(),
            Some(CloseReason::TooManySessions { max: 2 })
        );
        let _v = login(&hub, "v", "a").expect("room");
        assert_eq!(login(&hub, "w", "a").err(), Some(CloseReason::AtCapacity));
        assert!(!hub.is_online(&device("w", "a").mailbox));
        drop(b);
        assert!(login(&hub, "w", "a").is_ok());
    }
}
