//! The lists of a store's view behind a query, addressed by position: a mailbox, one sender's
//! messages in it, or the two directions of a conversation merged into one.
//!
//! `spans` are positions within each list.

use std::ops::Range;

use super::query::{HistoryQuery, Order, Senders};
use crate::model::{Mailbox, Message, MsgId, UserId};
use crate::store::{List, Portion, ReadError, View};

/// A piece takes no further message once it has this many bytes of content.
pub const PIECE_BYTES: usize = 64 << 10;

/// Messages read from a list at once: the default size of an answer.
const READ_MESSAGES: u64 = 10;

/// One list, or two to be merged.
pub(super) struct Lists<'v>(Vec<List<'v>>);

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

impl<'v> Lists<'v> {
    pub(super) fn of(view: &'v View<'v>, query: &HistoryQuery) -> Result<Self, ReadError> {
        let list = |mailbox: &Mailbox, from: Option<&UserId>| view.list(mailbox, from);
        let Mailbox { domain, user } = &query.mailbox;
        Ok(Self(match &query.senders {
            Senders::All => vec![list(&query.mailbox, None)?],
            Senders::From(from) => vec![list(&query.mailbox, Some(from))?],
            // Notes to oneself are in one mailbox, not two.
            Senders::With(with) if with == user => vec![list(&query.mailbox, Some(user))?],
            Senders::With(with) => {
                let theirs = Mailbox {
                    domain: domain.clone(),
                    user: with.clone(),
                };
                vec![
                    list(&query.mailbox, Some(with))?,
                    list(&theirs, Some(user))?,
                ]
            }
        }))
    }

    /// For each list, the number of messages with an id of at most `upto`.
    pub(super) fn ranks(&self, upto: MsgId) -> Result<Vec<u64>, ReadError> {
        self.0.iter().map(|list| list.rank(upto)).collect()
    }

    /// Reads the first messages, up to `count_max` or about [`PIECE_BYTES`]; `spans` keeps the
    /// rest.
    pub(super) fn take(
        &self,
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
                let messages = list.slice(first, portion)?;
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

    /// The id of the message with `number` others before it; there is one.
    pub(super) fn nth(
        &self,
        spans: &[Range<u64>],
        order: Order,
        number: u64,
    ) -> Result<MsgId, ReadError> {
        let id = |list: usize, number: u64| self.id(list, &spans[list], order, number);
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
            match order.is_before(id(0, middle)?, id(1, count - middle - 1)?) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        match (low, count - low) {
            (0, others) => id(1, others - 1),
            (ones, 0) => id(0, ones - 1),
            (ones, others) => {
                let (one, other) = (id(0, ones - 1)?, id(1, others - 1)?);
                Ok(match order.is_before(one, other) {
                    true => other,
                    false => one,
                })
            }
        }
    }

    fn id(
        &self,
        list: usize,
        span: &Range<u64>,
        order: Order,
        number: u64,
    ) -> Result<MsgId, ReadError> {
        let mut span = span.clone();
        order.skip(&mut span, number);
        let read = self.0[list].slice(order.first(&span, 1), Portion::ALL)?;
        let missing = || ReadError::Damaged("a message is missing".to_owned());
        Ok(read.first().ok_or_else(missing)?.id)
    }
}
