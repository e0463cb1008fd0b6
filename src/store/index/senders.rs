//! Who a mailbox has messages from, in three tiers, so that a mailbox pays for the question
//! only as it grows:
//!
//! - the newest messages are looked through in their chunks: their senders stand in the
//!   tables;
//! - of older ones, each [`SUMMARISED`] have a *summary*: their senders, each with the ids
//!   of its messages;
//! - of the oldest, every sender has keys of its own, with chunks of its ids. Summaries go
//!   there together, when there are more than [`SUMMARIES_MAX`].
//!
//! Invariants: a mailbox that has keys has at least one summary behind them; a sender's keys
//! hold the beginning of its messages without a gap, and all that no summary has and is
//! older than the newest summary. So whoever reads summaries, then messages, then keys, and
//! counts of the first two only what is above the last id of the keys, sees everything once,
//! whatever a checkpoint moves meanwhile, or an interrupted one has left there twice.

use std::collections::BTreeMap;

use super::super::body;
use super::chunk::{Checked, Contents, IdCheck, Packed, Packing, pack};
use super::varint;

/// So many messages have a summary together, or fewer if it would be too long.
pub(super) const SUMMARISED: u64 = 256;
/// Most summaries of a mailbox, between checkpoints.
pub(super) const SUMMARIES_MAX: usize = 8;
/// Most ids in a sender's chunk.
pub(super) const IDS_MAX: usize = 128;
/// Most bytes of a summary before compression.
const SUMMARY_BYTES_MAX: usize = 6 << 10;

/// A sender's chunk: in the table the differences of the ids, the first one's to 0.
pub(super) fn pack_ids(ids: &[u64], position: u64) -> Packed {
    let mut table = Vec::with_capacity(ids.len() * 5);
    let mut last = 0;
    for id in ids {
        varint::push(id - last, &mut table);
        last = *id;
    }
    let contents = Contents {
        count: ids.len(),
        position,
        last_id: last,
        table: &table,
        payload: &[],
    };
    pack(&contents, Packing::Fast)
}

/// The ids of a sender's chunk.
pub(super) fn ids(checked: &Checked<'_>) -> Result<Vec<u64>, String> {
    let mut table = checked.table;
    let mut check = IdCheck::default();
    let mut ids = Vec::with_capacity(checked.head.count as usize);
    while !table.is_empty() {
        ids.push(check.take(&mut table)?);
    }
    check.end(&checked.head)?;
    Ok(ids)
}

/// A summary that is being made, of messages in the order of ids.
#[derive(Debug, Default)]
pub(super) struct Summary {
    position: u64,
    count: usize,
    first_id: u64,
    last_id: u64,
    bytes: usize,
    senders: BTreeMap<Vec<u8>, Vec<u64>>,
}

impl Summary {
    /// Of the messages from this position on.
    pub(super) fn at(position: u64) -> Self {
        Self {
            position,
            ..Self::default()
        }
    }

    /// Whether it takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.count as u64 >= SUMMARISED || self.bytes >= SUMMARY_BYTES_MAX
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The position behind its last message.
    pub(super) fn end(&self) -> u64 {
        self.position + self.count as u64
    }

    /// The id of its first message.
    pub(super) fn first_id(&self) -> u64 {
        self.first_id
    }

    /// Adds a message.
    pub(super) fn push(&mut self, id: u64, sender: &[u8]) {
        if self.count == 0 {
            self.first_id = id;
        }
        self.count += 1;
        self.last_id = id;
        // The longest that an id can be here: the differences are to the summary's first one.
        self.bytes += 8;
        match self.senders.get_mut(sender) {
            Some(ids) => ids.push(id),
            None => {
                self.bytes += sender.len() + 3;
                self.senders.insert(sender.to_vec(), vec![id]);
            }
        }
    }

    /// The summary as a chunk. Payload: for each sender, in their order, its id with the
    /// length in a byte before it, how many messages, and the differences of their ids, the
    /// first one's to one below the first id of the summary.
    pub(super) fn pack(&self) -> Packed {
        let mut payload = Vec::with_capacity(self.bytes);
        for (sender, ids) in &self.senders {
            payload.push(sender.len() as u8);
            payload.extend_from_slice(sender);
            varint::push(ids.len() as u64, &mut payload);
            let mut last = self.first_id - 1;
            for id in ids {
                varint::push(id - last, &mut payload);
                last = *id;
            }
        }
        let contents = Contents {
            count: self.count,
            position: self.position,
            last_id: self.last_id,
            table: &[],
            payload: &payload,
        };
        pack(&contents, Packing::Fast)
    }
}

/// Visits the senders of a summary, in their order, with the ids of their messages.
pub(super) fn each(
    checked: &Checked<'_>,
    first_id: u64,
    mut visit: impl FnMut(&[u8], &[u64]),
) -> Result<(), String> {
    let payload = checked.payload(|_| Err("a summary is never in parts".to_owned()))?;
    let mut rest = payload.as_slice();
    let mut ids = Vec::new();
    let mut total: u64 = 0;
    let (mut lowest, mut highest) = (u64::MAX, 0);
    while !rest.is_empty() {
        let (sender, behind) = body::split(rest).ok_or("a summary is cut short")?;
        rest = behind;
        let count = varint::take(&mut rest).filter(|count| *count > 0);
        let count = count.ok_or("a summary is cut short")?;
        let mut last = first_id.saturating_sub(1);
        ids.clear();
        for _ in 0..count {
            let difference = varint::take(&mut rest).filter(|difference| *difference > 0);
            let id = difference.and_then(|difference| last.checked_add(difference));
            last = id.ok_or("the ids of a summary do not rise")?;
            ids.push(last);
        }
        total += count;
        lowest = lowest.min(ids.first().copied().unwrap_or_default());
        highest = highest.max(last);
        visit(&sender[1..], &ids);
    }
    let head = &checked.head;
    if (total, lowest, highest) != (head.count, first_id, head.last_id) {
        return Err("a summary holds other messages than its head says".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::chunk::check;
    use super::*;

    #[test]
    fn golden_chunk_of_ids() {
        let packed = pack_ids(&[3, 300], 258);
        let checked = check(&packed.value).unwrap();
        assert_eq!(checked.table, [3, 0xa9, 2]);
        assert_eq!(ids(&checked).unwrap(), [3, 300]);
        let head = checked.head;
        assert_eq!((head.position, head.end(), head.last_id), (258, 260, 300));
    }

    #[test]
    fn golden_summary() {
        let mut summary = Summary::at(7);
        for (id, sender) in [(1000, &b"b"[..]), (1001, b"a"), (1300, b"b")] {
            summary.push(id, sender);
        }
        let value = summary.pack().value;
        let checked = check(&value).unwrap();
        let payload = checked.payload(|_| Err(String::new())).unwrap();
        assert_eq!(payload, b"\x01a\x01\x02\x01b\x02\x01\xac\x02");
        let head = checked.head;
        assert_eq!((head.position, head.count, head.last_id), (7, 3, 1300));
        let mut seen = Vec::new();
        each(&checked, 1000, |sender, ids| {
            seen.push((sender.to_vec(), ids.to_vec()));
        })
        .unwrap();
        let expected = [
            (b"a".to_vec(), vec![1001]),
            (b"b".to_vec(), vec![1000, 1300]),
        ];
        assert_eq!(seen, expected);
        assert!(each(&checked, 999, |_, _| ()).is_err());
    }

    #[test]
    fn a_summary_always_fits_into_a_value() {
        let mut summary = Summary::at(0);
        let mut id = 1;
        while !summary.is_full() {
            id += (1 << 53) / 300;
            let sender = format!("{id:x}").repeat(12);
            summary.push(id, &sender.as_bytes()[..128]);
        }
        assert!((30..60).contains(&summary.count));
        assert!(summary.pack().in_parts.is_empty());
    }
}
