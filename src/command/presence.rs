//! Where a user is, and when it was last here.

use crate::clock::Clock;
use crate::hub::{Hub, Present};
use crate::model::Mailbox;
use crate::store::{ReadError, Store};

/// Where a user is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Its sessions, by resource.
    pub sessions: Vec<Present>,
    /// When it was last here, in milliseconds since the Unix epoch: now, while it has sessions.
    /// `None` where it was never here, or not within 30 days.
    pub last_seen_ms: Option<u64>,
}

/// Looks a user up. Blocks on disk if it has no session.
///
/// # Errors
/// The index cannot be read.
pub fn presence(
    store: &Store,
    hub: &Hub,
    clock: &dyn Clock,
    mailbox: &Mailbox,
) -> Result<Presence, ReadError> {
    // A session notes its end before it leaves the hub, so one of both knows of it.
    let sessions = hub.sessions_of(mailbox);
    let last_seen_ms = match sessions.is_empty() {
        true => store.last_seen(mailbox)?,
        false => Some(clock.now_ms()),
    };
    Ok(Presence {
        sessions,
        last_seen_ms,
    })
}
