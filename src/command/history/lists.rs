//! The store's lists behind a query, addressed by position: a mailbox, one sender's messages in it,
//! or the two directions of a conversation merged into one.
//!
//! Never holds a position itself; `spans` are positions within each list, and the caller makes sure
//! that they are still valid.

use std::ops::Range;

use super::query::{HistoryQuery, Order, Senders};
use crate::model::{Mailbox, Message, MsgId, UserId};
use crate::store::{Portion, ReadError, Store};

/// A piece takes no further message once it has this many bytes of content.
pub const PIECE_BYTES: usize = 64 << 10;

/// Messages read from a list at once: the default size of an answer.
const READ_MESSAGES: u64 = 10;

struct List {
    mailbox: Mailbox,
    from: Option<UserId>,
}

/// One list, or two to be merged.
pub(super) struct Lists(Vec<List>);

/// Total number of positions.
pub(super) fn len(spans: &[Range<u64>]) -> u64 {
    spans.iter().map(|span| span.end - span.start).sum()
}

impl Order {
    /// Drops the first `count` positions.
    pub(super) fn skip(self, span: &mut Range<u64>, count: u64) {
        match self {
            Self::Ascending => span.start = span.start.saturating_add(count).min(span.end),
            Self::Descending => span.end = span.end.saturating_sub(count).max(span.start),
        }
    }

    /// The first `count` positions.
    fn first(self, span: &Range<u64>, count: u64) -> Range<u64> {
        let mut rest = span.clone();
        self.skip(&mut rest, count);
        match self {
            Self::Ascending => span.start..rest.start,
            Self::Descending => rest.end..span.end,
        }
    }

    fn is_before(self, one: MsgId, other: MsgId) -> bool {
        match self {
            Self::Ascending => one < other,
            Self::Descending => one > other,
        }
    }
}

impl Lists {
    pub(super) fn of(query: &HistoryQuery) -> Self {
        let list = |mailbox: &Mailbox, from: Option<&UserId>| List {
            mailbox: mailbox.clone(),
            from: from.cloned(),
        };
        let Mailbox { domain, user } = &query.mailbox;
        Self(match &query.senders {
            Senders::All => vec![list(&query.mailbox, None)],
            Senders::From(from) => vec![list(&query.mailbox, Some(from))],
            // Notes to oneself are in one mailbox, not two.
            Senders::With(with) if with == user => vec![list(&query.mailbox, Some(user))],
            Senders::With(with) => {
                let theirs = Mailbox {
                    domain: domain.clone(),
                    user: with.clone(),
                };
                vec![list(&query.mailbox, Some(with)), list(&theirs, Some(user))]
            }
        })
    }

    /// Low watermark of each list: no message has an id at or below it.
    pub(super) fn low_watermarks(&self, store: &Store) -> Vec<MsgId> {
        let of = |list: &List| store.low_watermark(&list.mailbox);
        self.0.iter().map(of).collect()
    }

    /// For each list, the number of messages with an id of at most `upto`.
    pub(super) fn ranks(&self, store: &Store, upto: MsgId) -> Result<Vec<u64>, ReadError> {
        let rank = |list: &List| store.rank(&list.mailbox, list.from.as_ref(), upto);
        self.0.iter().map(rank).collect()
    }

    /// Whether positions found under these low watermarks are still valid, since nothing was removed.
    pub(super) fn still_count(
        &self,
        store: &Store,
        low_watermarks: &[MsgId],
        upto: MsgId,
        ranks: &[u64],
    ) -> Result<bool, ReadError> {
        // A retention's low watermark rises with the clock, mostly without a message below it.
        Ok(self.low_watermarks(store) == low_watermarks || self.ranks(store, upto)? == ranks)
    }

    /// Reads the first messages, up to `count_max` or about [`PIECE_BYTES`]; `spans` keeps the
    /// rest.
    pub(super) fn take(
        &self,
        store: &Store,
        spans: &mut [Range<u64>],
        order: Order,
        count_max: u64,
    ) -> Result<Vec<Message>, ReadError> {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        while (piece.len() as u64) < count_max && bytes < PIECE_BYTES {
            let count = READ_MESSAGES.min(count_max - piece.len() as u64);
            let portion = Portion {
                newest_first: order == Order::Descending,
                bytes_max: PIECE_BYTES - bytes,
            };
            let (mut read, mut ends) = (Vec::new(), Vec::new());
            for ((at, list), span) in self.0.iter().enumerate().zip(&*spans) {
                let first = order.first(span, count);
                let wanted = first.end - first.start;
                let messages = store.slice(&list.mailbox, list.from.as_ref(), first, portion)?;
                if (messages.len() as u64) < wanted {
                    ends.extend(messages.last().map(|message| message.id));
                }
                read.extend(messages.into_iter().map(|message| (at, message)));
            }
            // Where one list was cut short, its next message comes before what the other has beyond
            // that point.
            read.retain(|(_, message)| !ends.iter().any(|end| order.is_before(*end, message.id)));
            read.sort_unstable_by_key(|(_, message)| message.id);
            if order == Order::Descending {
                read.reverse();
            }
            read.truncate(count as usize);
            if read.is_empty() {
                break;
            }
            for (at, message) in read {
                if bytes >= PIECE_BYTES {
                    break;
                }
                order.skip(&mut spans[at], 1);
                bytes += message.content.len();
                piece.push(message);
            }
        }
        Ok(piece)
    }

    /// The id of the message with `number` others before it; `None` if there is none.
    pub(super) fn nth(
        &self,
        store: &Store,
        spans: &[Range<u64>],
        order: Order,
        number: u64,
    ) -> Result<Option<MsgId>, ReadError> {
        let id = |list: usize, number: u64| self.id(store, list, &spans[list], order, number);
        let [one, other] = spans else {
            return id(0, number);
        };
        // Binary search for how many of the first `count` messages come from the first list: more
        // than `middle` if its message `middle` comes before message `count - middle - 1` of the
        // other list.
        let count = number + 1;
        let mut low = count.saturating_sub(len(std::slice::from_ref(other)));
        let mut high = count.min(len(std::slice::from_ref(one)));
        while low < high {
            let middle = low + (high - low) / 2;
            match (id(0, middle)?, id(1, count - middle - 1)?) {
                (Some(one), Some(other)) if order.is_before(one, other) => low = middle + 1,
                (Some(_), Some(_)) => high = middle,
                _ => return Ok(None),
            }
        }
        let last = |list: usize, count: u64| match count {
            0 => Ok(None),
            count => id(list, count - 1),
        };
        Ok(match (last(0, low)?, last(1, count - low)?) {
            (Some(one), Some(other)) if order.is_before(one, other) => Some(other),
            (one, other) => one.or(other),
        })
    }

    fn id(
        &self,
        store: &Store,
        list: usize,
        span: &Range<u64>,
        order: Order,
        number: u64,
    ) -> Result<Option<MsgId>, ReadError> {
        let mut span = span.clone();
        order.skip(&mut span, number);
        let List { mailbox, from } = &self.0[list];
        let one = order.first(&span, 1);
        let read = store.slice(mailbox, from.as_ref(), one, Portion::ALL)?;
        Ok(read.first().map(|message| message.id))
    }
}
