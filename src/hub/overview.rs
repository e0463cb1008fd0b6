//! What an operator sees of the sessions, and how one is ended from outside.

use super::{Arrival, EndedSession, Hub, Load};
use crate::model::{Mailbox, Resource};
use crate::protocol::close::CloseReason;

/// A session, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLine {
    /// Whose it is.
    pub mailbox: Mailbox,
    /// The device or tab.
    pub resource: Resource,
    /// When and from where it came.
    pub arrival: Arrival,
    /// What waits for it.
    pub load: Load,
}

/// What waits for all sessions together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many there are.
    pub sessions: u64,
    /// How many of them are behind.
    pub catching_up: u64,
    /// Bytes that wait to be written.
    pub bytes: u64,
    /// Deliveries that are not confirmed yet.
    pub unconfirmed: u64,
}

impl Hub {
    /// The sessions of these users, by their names: `count_max` of them at most, and how many there
    /// are.
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

    /// Remembers how a session ended.
    pub fn note_end(&self, session: EndedSession) {
        self.ended.push(session);
    }

    /// The sessions of these users that ended last, the oldest first.
    pub fn ended(&self, is_wanted: impl Fn(&Mailbox) -> bool) -> Vec<EndedSession> {
        self.ended.list(is_wanted)
    }

    /// What waits for all sessions together.
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

    /// Ends the user's sessions, or the one with this resource. Answers how many.
    pub fn kick(&self, mailbox: &Mailbox, resource: Option<&Resource>) -> usize {
        let shard = self.shard(mailbox);
        let entries = shard.get(mailbox).into_iter().flatten();
        let wanted = entries.filter(|entry| resource.is_none_or(|only| entry.resource == *only));
        wanted
            .map(|entry| entry.outbox.close(CloseReason::Kicked))
            .count()
    }
}
