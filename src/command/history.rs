//! One page of a mailbox's history, newest first (PROTOCOL.md section 5).

use crate::model::{Mailbox, Message, MsgId, UserId};
use crate::store::{ReadError, Store};

/// Which page of which mailbox.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// The recipient.
    pub mailbox: Mailbox,
    /// Only messages of this sender.
    pub from: Option<UserId>,
    /// From 1.
    pub page: u64,
    /// Messages a page.
    pub size: u64,
    /// Only messages up to this one are counted and listed; the newest where not given.
    pub as_of: Option<MsgId>,
}

/// A page of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// How many messages match in all.
    pub total: u64,
    /// How many pages they fill.
    pub pages: u64,
    /// The newest message that was counted; give it with the next page, and pages do not shift.
    pub as_of: MsgId,
    /// The page's messages, newest first.
    pub list: Vec<Message>,
}

/// Reads one page; its cost does not depend on how deep it lies. Blocks on disk.
///
/// # Errors
/// The store's.
pub fn history(store: &Store, query: &HistoryQuery) -> Result<HistoryPage, ReadError> {
    let HistoryQuery {
        mailbox,
        from,
        page,
        size,
        as_of,
    } = query;
    let from = from.as_ref();
    let total = store.rank(mailbox, from, as_of.unwrap_or(MsgId::MAX))?;
    let end = total.saturating_sub(page.saturating_sub(1).saturating_mul(*size));
    let mut list = store.slice(mailbox, from, end.saturating_sub(*size)..end)?;
    list.reverse();
    let as_of = match as_of {
        _ if total == 0 => MsgId::ZERO,
        // An id that the clock has not reached yet would not pin anything.
        Some(id) if *id <= store.last_id() => *id,
        _ => {
            let newest = store.slice(mailbox, from, total - 1..total)?;
            newest.first().map(|newest| newest.id).unwrap_or_default()
        }
    };
    Ok(HistoryPage {
        total,
        pages: total.div_ceil(*size),
        as_of,
        list,
    })
}
