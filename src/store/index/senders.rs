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
//! whatever a flush moves meanwhile, or an interrupted one has left there twice.

use std::ops::Range;

use super::chunk::{Contents, IdCheck, Opened, pack};
use super::error::IndexError;
use super::packing::Packing;
use super::varint;
use crate::store::data::body;

/// Messages in a summary.
pub(super) const SUMMARISED: u64 = 128;
/// Most summaries of a mailbox, between flushes.
pub(super) const SUMMARIES_MAX: usize = 16;
/// Most ids in a sender's chunk.
pub(super) const IDS_MAX: usize = 128;

/// Encodes a sender's chunk: the table holds the differences of the ids, the first one to 0.
pub(super) fn pack_ids(ids: &[u64], position: u64) -> std::io::Result<Vec<u8>> {
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
        table,
        payload: Vec::new(),
    };
    pack(&contents, Packing::None, None)
}

pub(super) fn ids(opened: &Opened<'_>) -> Result<Vec<u64>, IndexError> {
    let mut table = opened.table();
    let mut check = IdCheck::default();
    let mut ids = Vec::with_capacity(opened.head.count as usize);
    while !table.is_empty() {
        ids.push(check.take(&mut table)?);
    }
    check.end(&opened.head)?;
    Ok(ids)
}

/// Ids with their senders, in two buffers: no allocation a message.
#[derive(Debug, Default)]
pub(super) struct BySender {
    names: Vec<u8>,
    /// The sender's bytes in `names`, and the id.
    rows: Vec<(Range<usize>, u64)>,
}

impl BySender {
    pub(super) fn push(&mut self, sender: &[u8], id: u64) {
        let start = self.names.len();
        self.names.extend_from_slice(sender);
        self.rows.push((start..self.names.len(), id));
    }

    /// Sorted by sender, then id.
    pub(super) fn sorted(&self) -> Vec<(&[u8], u64)> {
        let rows = self.rows.iter();
        let mut rows: Vec<_> = rows
            .map(|(name, id)| (&self.names[name.clone()], *id))
            .collect();
        rows.sort_unstable();
        rows
    }
}

/// Whether two rows are of one sender.
pub(super) fn are_of_one(one: &(&[u8], u64), other: &(&[u8], u64)) -> bool {
    one.0 == other.0
}

/// A summary being filled, in id order.
#[derive(Debug, Default)]
pub(super) struct Summary {
    position: u64,
    pub(super) count: usize,
    pub(super) first_id: u64,
    last_id: u64,
    pub(super) senders: BySender,
}

impl Summary {
    pub(super) fn at(position: u64) -> Self {
        Self {
            position,
            ..Self::default()
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.count as u64 >= SUMMARISED
    }

    pub(super) fn end(&self) -> u64 {
        self.position + self.count as u64
    }

    pub(super) fn push(&mut self, id: u64, sender: &[u8]) {
        if self.count == 0 {
            self.first_id = id;
        }
        self.count += 1;
        self.last_id = id;
        self.senders.push(sender, id);
    }

    /// What it is made of.
    ///
    /// The payload has for each sender, in their order, two bytes that say where its entry is
    /// behind all of these; then the entries: the sender's id with its length in a byte
    /// before it, how many messages, and the differences of their ids, the first one's to
    /// one below the first id of the summary. The table has the number of senders.
    pub(super) fn contents(&self) -> Contents {
        let (mut places, mut entries) = (Vec::new(), Vec::new());
        for group in self.senders.sorted().chunk_by(are_of_one) {
            let sender = group[0].0;
            places.extend_from_slice(&(entries.len() as u16).to_le_bytes());
            entries.push(sender.len() as u8);
            entries.extend_from_slice(sender);
            varint::push(group.len() as u64, &mut entries);
            let mut last = self.first_id - 1;
            for (_, id) in group {
                varint::push(id - last, &mut entries);
                last = *id;
            }
        }
        let mut table = Vec::new();
        varint::push((places.len() / 2) as u64, &mut table);
        places.append(&mut entries);
        Contents {
            count: self.count,
            position: self.position,
            last_id: self.last_id,
            table,
            payload: places,
        }
    }
}

/// Splits a payload into places and entries.
fn entries<'a>(opened: &Opened<'_>, payload: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), IndexError> {
    let count = varint::take(&mut opened.table());
    let count = count.and_then(|count| usize::try_from(count).ok()?.checked_mul(2));
    let split = count.and_then(|bytes| payload.split_at_checked(bytes));
    split.ok_or_else(|| "a summary is cut short".into())
}

/// The sender of an entry, and the bytes behind it.
fn entry<'a>(place: &[u8], entries: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = usize::from(u16::from_le_bytes(place.try_into().ok()?));
    let (sender, rest) = body::split(entries.get(place..)?)?;
    Some((&sender[1..], rest))
}

fn push_ids(rest: &mut &[u8], first_id: u64, ids: &mut Vec<u64>) -> Option<()> {
    let count = varint::take(rest).filter(|count| *count > 0)?;
    let mut last = first_id.saturating_sub(1);
    for _ in 0..count {
        let difference = varint::take(rest).filter(|difference| *difference > 0)?;
        last = last.checked_add(difference)?;
        ids.push(last);
    }
    Some(())
}

/// Appends the ids of one sender's messages in a summary.
pub(super) fn find(
    opened: &Opened<'_>,
    first_id: u64,
    from: &[u8],
    ids: &mut Vec<u64>,
) -> Result<(), IndexError> {
    let payload = opened.payload()?;
    let (places, entries) = entries(opened, &payload)?;
    let (mut low, mut high) = (0, places.len() / 2);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = entry(&places[middle * 2..middle * 2 + 2], entries);
        let (sender, mut rest) = found.ok_or("a summary is cut short")?;
        match sender.cmp(from) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => {
                let pushed = push_ids(&mut rest, first_id, ids);
                return pushed.ok_or_else(|| "the ids of a summary do not rise".into());
            }
        }
    }
    Ok(())
}

/// Visits the senders of a summary, in their order, with the ids of their messages.
pub(super) fn each(
    opened: &Opened<'_>,
    first_id: u64,
    mut visit: impl FnMut(&[u8], &[u64]),
) -> Result<(), IndexError> {
    let payload = opened.payload()?;
    let (places, entries) = entries(opened, &payload)?;
    let mut ids = Vec::new();
    let mut total: u64 = 0;
    for place in places.chunks(2) {
        let (sender, mut rest) = entry(place, entries).ok_or("a summary is cut short")?;
        ids.clear();
        push_ids(&mut rest, first_id, &mut ids).ok_or("the ids of a summary do not rise")?;
        total += ids.len() as u64;
        visit(sender, &ids);
    }
    if total != opened.head.count {
        return Err("a summary holds other messages than its head says".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::chunk::Chunk;
    use super::*;

    fn opened(value: &[u8]) -> Opened<'_> {
        let chunk = Chunk::check(value).unwrap();
        chunk.open(|_| Err("none".into())).unwrap()
    }

    #[test]
    fn golden_chunk_of_ids() {
        let value = pack_ids(&[3, 300], 258).unwrap();
        let opened = opened(&value);
        assert_eq!(opened.table(), [3, 0xa9, 2]);
        assert_eq!(ids(&opened).unwrap(), [3, 300]);
        let head = opened.head;
        assert_eq!((head.position, head.end(), head.last_id), (258, 260, 300));
    }

    #[test]
    fn golden_summary() {
        let mut summary = Summary::at(7);
        for (id, sender) in [(1000, &b"b"[..]), (1001, b"a"), (1300, b"b"), (1301, b"ca")] {
            summary.push(id, sender);
        }
        let contents = summary.contents();
        let golden = b"\0\0\x04\0\x0a\0\x01a\x01\x02\x01b\x02\x01\xac\x02\x02ca\x01\xae\x02";
        assert_eq!(contents.payload, golden);
        let value = pack(&contents, Packing::None, None).unwrap();
        let opened = opened(&value);
        assert_eq!(opened.table(), [3]);
        let head = opened.head;
        assert_eq!((head.position, head.count, head.last_id), (7, 4, 1301));
        let mut seen = Vec::new();
        let visit = |sender: &[u8], ids: &[u64]| seen.push((sender.to_vec(), ids.to_vec()));
        each(&opened, 1000, visit).unwrap();
        let expected = [
            (b"a".to_vec(), vec![1001]),
            (b"b".to_vec(), vec![1000, 1300]),
            (b"ca".to_vec(), vec![1301]),
        ];
        assert_eq!(seen, expected);
        for (sender, ids) in &expected {
            let mut found = Vec::new();
            find(&opened, 1000, sender, &mut found).unwrap();
            assert_eq!(found, *ids);
        }
        for sender in [&b""[..], b"B", b"aa", b"c", b"cb"] {
            let mut found = Vec::new();
            find(&opened, 1000, sender, &mut found).unwrap();
            assert_eq!(found, [0_u64; 0]);
        }
    }

    #[test]
    fn the_longest_summary_has_places_for_all() {
        let mut summary = Summary::at(0);
        for n in 0..SUMMARISED {
            let sender = format!("{n:0>128}");
            summary.push(1 + n * ((1 << 53) / SUMMARISED), sender.as_bytes());
        }
        assert!(summary.is_full());
        assert!(summary.contents().payload.len() < usize::from(u16::MAX));
    }
}
