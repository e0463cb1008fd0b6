//! The operator's view of the sessions, and ending them from outside.

use super::{Arrival, EndedSession, Hub, Load};
use crate::model::{Mailbox, Resource};
use crate::protocol::close::CloseReason;

/// A session as listed for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLine {
    /// User of the session.
    pub mailbox: Mailbox,
    /// Resource: the device or tab.
    pub resource: Resource,
    /// Login time and address.
    pub arrival: Arrival,
    /// Backlog of the session.
    pub load: Load,
}

/// Backlog of all sessions together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of sessions.
    pub sessions: u64,
    /// Number of these that are behind.
    pub catching_up: u64,
    /// Bytes waiting to be written.
    pub bytes: u64,
    /// Unconfirmed deliveries.
    pub unconfirmed: u64,
}

impl Hub {
    /// Sessions of the wanted users, sorted by user and resource: at most `count_max` of them, and
    /// the total number.
    pub fn list(
        &self,
        is_wanted: impl Fn(&Mailbox) -> bool,
        count_max: usize,
    ) -> (Vec<SessionLine>, usize) {
        let mut lines = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            for (mailbox, entries) in shard.iter().filter(|(mailbox, _)| is_wanted(mailbox)) {
                lines.extend(entries.iter().map(|entry| SessionLine {
                    mailbox: mailbox.clone(),
                    resource: entry.resource.clone(),
                    arrival: entry.arrival,
                    load: entry.outbox.load(),
                }));
            }
        }
        lines.sort_unstable_by(|a, b| (&a.mailbox, &a.resource).cmp(&(&b.mailbox, &b.resource)));
        let total = lines.len();
        lines.truncate(count_max);
        (lines, total)
    }

    /// Records an ended session.
    pub fn note_end(&self, session: EndedSession) {
        self.ended.lock().push(session);
    }

    /// Ended sessions of the wanted users, oldest first.
    pub fn ended(&self, is_wanted: impl Fn(&Mailbox) -> bool) -> Vec<EndedSession> {
        self.ended.lock().list(is_wanted)
    }

    /// Sums the backlog of all sessions.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            let shard = shard.lock();
            for entry in shard.values().flatten() {
                let load = entry.outbox.load();
                totals.sessions += 1;
                totals.catching_up += u64::from(load.catching_up);
                totals.bytes += load.bytes as u64;
                totals.unconfirmed += u64::from(load.unconfirmed);
            }
        }
        totals
    }

    /// Ends the user's sessions, or only the one with this resource. Returns their number.
    pub fn kick(&self, mailbox: &Mailbox, resource: Option<&Resource>) -> usize {
        let shard = self.shard(mailbox);
        let entries = shard.get(mailbox).into_iter().flatten();
        let wanted = entries.filter(|entry| resource.is_none_or(|only| entry.resource == *only));
        wanted
            .map(|entry| entry.outbox.close(CloseReason::Kicked))
            .count()
    }
}
