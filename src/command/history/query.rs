//! A query of a mailbox's history.

use crate::model::{Mailbox, MsgId, UserId};

/// A history query: a mailbox, filters, and a page or cursor.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// Mailbox of the recipient.
    pub mailbox: Mailbox,
    /// Filter by sender.
    pub senders: Senders,
    /// Only messages sent at or after this time, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Only messages sent at or before this time, in milliseconds since the Unix epoch.
    pub until_ms: Option<u64>,
    /// Only messages up to this one are counted and listed; defaults to the newest.
    pub as_of: Option<MsgId>,
    /// The page or cursor.
    pub place: Place,
    /// Most messages per answer, at least 1.
    pub size: u64,
}

/// Filter by sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Senders {
    /// Messages from everybody.
    All,
    /// Messages from this user only.
    From(UserId),
    /// Both directions of the conversation with this user.
    With(UserId),
}

/// The place of the listed messages among all that match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A page, counted from 1 in the given order. Not with [`Senders::With`].
    Page(u64, Order),
    /// Between cursors, both exclusive.
    Cursor {
        /// The messages nearest below it, newest first.
        before: Option<MsgId>,
        /// The messages nearest above it, oldest first; with `before`, those in between, newest
        /// first.
        after: Option<MsgId>,
    },
}

/// Order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest message first.
    Ascending,
    /// Newest message first.
    Descending,
}

impl HistoryQuery {
    /// The order in which the query lists messages.
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

    /// Exclusive lower bound: ids from the first millisecond on are above it.
    pub(super) fn low(&self) -> MsgId {
        let first = self.since_ms.unwrap_or(0).saturating_mul(1000);
        MsgId(first.saturating_sub(1)).min(MsgId::MAX)
    }

    /// Inclusive upper bound: ids up to the end of the last millisecond are at most this.
    pub(super) fn high(&self) -> MsgId {
        let end = |ms: u64| MsgId(ms.saturating_mul(1000).saturating_add(999));
        self.until_ms.map_or(MsgId::MAX, end).min(MsgId::MAX)
    }
}
