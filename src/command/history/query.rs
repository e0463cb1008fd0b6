//! A question to the history of a mailbox.

use crate::model::{Mailbox, MsgId, UserId};

/// What to list of which mailbox.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// The recipient.
    pub mailbox: Mailbox,
    /// Whose messages.
    pub senders: Senders,
    /// Only messages sent at this time or later, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Only messages sent at this time or earlier, in milliseconds since the Unix epoch.
    pub until_ms: Option<u64>,
    /// Only messages up to this one are counted and listed; the newest where not given.
    pub as_of: Option<MsgId>,
    /// Where among them.
    pub place: Place,
    /// Messages an answer, from 1.
    pub size: u64,
}

/// Whose messages are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Senders {
    /// Everybody's.
    All,
    /// This user's.
    From(UserId),
    /// Both directions of the conversation with this user.
    With(UserId),
}

/// Where among all that matches the listed messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A page, counted from 1 in this order. Not with [`Senders::With`].
    Page(u64, Order),
    /// Between cursors, both exclusive.
    Cursor {
        /// The nearest below it, newest first.
        before: Option<MsgId>,
        /// The nearest above it, oldest first; with `before`, what lies between, newest first.
        after: Option<MsgId>,
    },
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

impl HistoryQuery {
    /// The order in which messages are listed.
    pub fn order(&self) -> Order {
        match self.place {
            Place::Page(_, order) => order,
            Place::Cursor {
                before: None,
                after: Some(_),
            } => Order::Ascending,
            Place::Cursor { .. } => Order::Descending,
        }
    }

    /// All ids from that of the first millisecond on are above this.
    pub(super) fn low(&self) -> MsgId {
        let first = self.since_ms.unwrap_or(0).saturating_mul(1000);
        MsgId(first.saturating_sub(1)).min(MsgId::MAX)
    }

    /// All ids up to the end of the last millisecond are at most this.
    pub(super) fn high(&self) -> MsgId {
        let end = |ms: u64| MsgId(ms.saturating_mul(1000).saturating_add(999));
        self.until_ms.map_or(MsgId::MAX, end).min(MsgId::MAX)
    }
}
