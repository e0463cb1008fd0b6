//! A mailbox's history: pages, cursors and conversations (PROTOCOL.md section 5).
//!
//! Messages are found by position, at a cost that does not depend on how deep they lie. From then
//! on only ids count, since positions change when messages are erased or expire.
//!
//! Invariants:
//! - positions are used only within the view of the store that they come from;
//! - an answer is bounded by ids before any of it is read: messages sent meanwhile are never in it,
//!   and those removed meanwhile make it shorter;
//! - of a page of large messages, only one piece is in memory.

mod lists;
mod query;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::model::{Message, MsgId};
use crate::store::{ReadError, Store};
use lists::{Lists, len};

pub use lists::PIECE_BYTES;
pub use query::{HistoryQuery, Order, Place, Senders};

/// An answer that was found; its messages are read piece by piece.
#[derive(Debug)]
pub struct HistoryPage {
    /// Number of matching messages, wherever the cursors stand.
    pub total: u64,
    /// Number of pages of the requested size that these fill.
    pub pages: u64,
    /// The newest message counted. Passing it with the next request keeps pages from shifting.
    pub as_of: MsgId,
    /// The last message listed, if more lie beyond it.
    pub next: Option<MsgId>,
    rest: Rest,
}

/// The unread part of an answer: above `low` and up to `high`, at most `left` messages.
#[derive(Debug, Default)]
struct Rest {
    low: MsgId,
    high: MsgId,
    left: u64,
}

impl HistoryPage {
    /// Whether the whole answer has been read.
    pub fn is_read(&self) -> bool {
        self.rest.left == 0
    }
}

/// Finds an answer and reads its first piece. The cost depends neither on how deep it lies nor on
/// how rare its sender is. Blocks on disk.
///
/// # Errors
/// Those of the store.
pub fn find(store: &Store, query: &HistoryQuery) -> Result<(HistoryPage, Vec<Message>), ReadError> {
    let view = store.view();
    let lists = Lists::of(&view, query)?;
    let (order, last) = (query.order(), view.last_id());
    // An id that the clock has not reached yet would pin nothing.
    let as_of = query.as_of.filter(|as_of| *as_of <= last);
    let high = as_of.unwrap_or(last).min(query.high());
    let ends = lists.ranks(high)?;
    let starts = lists.ranks(query.low())?;
    let matching = spans(&starts, &ends);
    let total = len(&matching);
    let mut listed = matching.clone();
    match query.place {
        Place::Page(number, _) => {
            let skipped = number.saturating_sub(1).saturating_mul(query.size);
            listed.iter_mut().for_each(|span| order.skip(span, skipped));
        }
        Place::Cursor { before, after } => {
            if let Some(before) = before {
                let below = MsgId(before.0.saturating_sub(1)).min(high);
                listed = spans(&starts, &lists.ranks(below)?);
            }
            if let Some(after) = after {
                let ends: Vec<u64> = listed.iter().map(|span| span.end).collect();
                let above = lists.ranks(after.max(query.low()))?;
                listed = spans(&above, &ends);
            }
        }
    }
    let count = len(&listed).min(query.size);
    let piece = lists.take(&mut listed.clone(), order, count)?;
    let as_of = match (as_of, piece.first()) {
        _ if total == 0 => MsgId::ZERO,
        (Some(as_of), _) => as_of,
        (None, Some(newest)) if listed == matching && order == Order::Descending => newest.id,
        (None, _) => lists.nth(&matching, Order::Descending, 0)?,
    };
    let end = match piece.last() {
        None => MsgId::ZERO,
        Some(last) if piece.len() as u64 == count => last.id,
        Some(_) => lists.nth(&listed, order, count - 1)?,
    };
    let mut rest = match order {
        Order::Ascending => Rest::new(MsgId::ZERO, end, count),
        Order::Descending => Rest::new(MsgId(end.0.saturating_sub(1)), high, count),
    };
    rest.go_on(order, &piece);
    let page = HistoryPage {
        total,
        pages: total.div_ceil(query.size.max(1)),
        as_of,
        next: (len(&listed) > count).then_some(end),
        rest,
    };
    Ok((page, piece))
}

/// Reads the next piece; empty once everything has been read. Blocks on disk.
///
/// # Errors
/// Those of the store.
pub fn read_on(
    store: &Store,
    query: &HistoryQuery,
    page: &mut HistoryPage,
) -> Result<Vec<Message>, ReadError> {
    if page.is_read() {
        return Ok(Vec::new());
    }
    let view = store.view();
    let lists = Lists::of(&view, query)?;
    let Rest { low, high, left } = page.rest;
    let mut spans = spans(&lists.ranks(low)?, &lists.ranks(high)?);
    let piece = lists.take(&mut spans, query.order(), left)?;
    page.rest.go_on(query.order(), &piece);
    Ok(piece)
}

/// The span from each start to its end; empty if they have crossed.
fn spans(starts: &[u64], ends: &[u64]) -> Vec<Range<u64>> {
    let pairs = starts.iter().zip(ends);
    pairs.map(|(start, end)| *start.min(end)..*end).collect()
}

impl Rest {
    fn new(low: MsgId, high: MsgId, left: u64) -> Self {
        Self { low, high, left }
    }

    /// Moves past a piece that was read.
    fn go_on(&mut self, order: Order, piece: &[Message]) {
        let Some(last) = piece.last() else {
            // The rest was removed.
            self.left = 0;
            return;
        };
        match order {
            Order::Ascending => self.low = last.id,
            Order::Descending => self.high = MsgId(last.id.0 - 1),
        }
        self.left = self.left.saturating_sub(piece.len() as u64);
    }
}
