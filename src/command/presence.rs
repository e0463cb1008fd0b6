//! Presence of a user: sessions and last activity.

use crate::clock::Clock;
use crate::hub::{Hub, Present};
use crate::model::Mailbox;
use crate::store::{ReadError, Store};

/// Presence of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// The user's sessions, sorted by resource.
    pub sessions: Vec<Present>,
    /// When the user was last here, in milliseconds since the Unix epoch: now, while there are
    /// sessions. `None` if never, or not within 30 days.
    pub last_seen_ms: Option<u64>,
}

/// Looks up a user's presence. Blocks on disk if there is no session.
///
/// # Errors
/// The index cannot be read.
pub fn presence(
    store: &Store,
    hub: &Hub,
    clock: &dyn Clock,
    mailbox: &Mailbox,
) -> Result<Presence, ReadError> {
    // A session records its end before it leaves the hub, so at least one of the two knows of it.
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
