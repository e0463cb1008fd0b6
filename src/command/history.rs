//! One page of a mailbox's history, newest first (PROTOCOL.md section 5).

use std::ops::Range;

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

/// A page, found but not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// How many messages match in all.
    pub total: u64,
    /// How many pages they fill.
    pub pages: u64,
    /// The newest message that was counted; give it with the next page, and pages do not shift.
    pub as_of: MsgId,
    /// The positions of what [`read_on`] has still to read, the newest last.
    left: Range<u64>,
}

impl HistoryPage {
    /// Whether all of it has been read.
    pub fn is_read(&self) -> bool {
        self.left.is_empty()
    }
}

/// Most bytes of content that a piece of a page has before no more is added to it.
const PIECE_BYTES: usize = 64 << 10;

/// Messages read at once. A page of large messages is never in memory as a whole.
const READ_MESSAGES: u64 = 8;

/// Finds a page; its cost does not depend on how deep it lies. Blocks on disk.
///
/// # Errors
/// The store's.
pub fn find(store: &Store, query: &HistoryQuery) -> Result<HistoryPage, ReadError> {
    let HistoryQuery {
        mailbox,
        from,
        page,
        size,
        as_of,
    } = query;
    let from = from.as_ref();
    let total = store.rank(mailbox, from, as_of.unwrap_or(MsgId::MAX))?;
    let as_of = match as_of {
        _ if total == 0 => MsgId::ZERO,
        // An id that the clock has not reached yet would not pin anything.
        Some(id) if *id <= store.last_id() => *id,
        _ => {
            let newest = store.slice(mailbox, from, total - 1..total)?;
            newest.first().map(|newest| newest.id).unwrap_or_default()
        }
    };
    let end = total.saturating_sub(page.saturating_sub(1).saturating_mul(*size));
    let left = end.saturating_sub(*size)..end;
    Ok(HistoryPage {
        total,
        pages: total.div_ceil(*size),
        as_of,
        left,
    })
}

/// Reads the next piece of a page, newest first; empty when all has been read. Blocks on disk.
///
/// # Errors
/// The store's.
pub fn read_on(
    store: &Store,
    query: &HistoryQuery,
    page: &mut HistoryPage,
) -> Result<Vec<Message>, ReadError> {
    let mut piece = Vec::new();
    let mut bytes = 0;
    while !page.is_read() && bytes < PIECE_BYTES {
        let start = page
            .left
            .end
            .saturating_sub(READ_MESSAGES)
            .max(page.left.start);
        let read = store.slice(&query.mailbox, query.from.as_ref(), start..page.left.end)?;
        page.left.end = start;
        // Were the domain removed and added again meanwhile, its new messages would be above.
        let read = read
            .into_iter()
            .rev()
            .filter(|message| message.id <= page.as_of);
        for message in read {
            bytes += message.content.len();
            piece.push(message);
        }
    }
    Ok(piece)
}
