//! Finds the chunk that holds a position, by interpolation over ids and positions.
//!
//! Ids are times and positions are counts, so a guess is mostly near; every second step bisects
//! instead, so that a lopsided mailbox costs a logarithm too.

use super::chunk::Head;
use super::engine::{Bytes, Tree};
use super::error::IndexError;
use super::key;

/// Chunks to walk from a guess just below its goal.
const WALK_CHUNKS_MAX: usize = 4;

/// A chunk in a tree. Only its head is decoded.
#[derive(Debug, Clone)]
pub(super) struct FoundChunk {
    pub(super) key: Bytes,
    pub(super) first_id: u64,
    pub(super) head: Head,
    pub(super) value: Bytes,
}

impl FoundChunk {
    pub(super) fn parse((key, value): (Bytes, Bytes)) -> Result<Self, IndexError> {
        let split = key::split(&key);
        let (_, first_id) = split.ok_or("a key is cut short")?;
        let head = Head::decode(&value)?;
        Ok(Self {
            first_id,
            head,
            value,
            key,
        })
    }
}

/// The last chunk under `prefix` whose first id is at most `id`.
pub(super) fn at_or_below(
    tree: &Tree,
    prefix: &[u8],
    id: u64,
) -> Result<Option<FoundChunk>, IndexError> {
    downwards(tree, prefix, id).next().transpose()
}

/// The chunks under `prefix` whose first id is at least `id`, upwards.
pub(super) fn upwards(
    tree: &Tree,
    prefix: &[u8],
    id: u64,
) -> impl Iterator<Item = Result<FoundChunk, IndexError>> {
    let range = key::with_id(prefix, id)..=key::with_id(prefix, u64::MAX);
    tree.range(range).map(|entry| FoundChunk::parse(entry?))
}

/// The chunks under `prefix` whose first id is at most `id`, downwards.
pub(super) fn downwards(
    tree: &Tree,
    prefix: &[u8],
    id: u64,
) -> impl Iterator<Item = Result<FoundChunk, IndexError>> {
    let range = key::with_id(prefix, 0)..=key::with_id(prefix, id);
    let entries = tree.range(range).rev();
    entries.map(|entry| FoundChunk::parse(entry?))
}

/// The chunks under `prefix` that have messages above `id`, upwards.
pub(super) fn above(
    tree: &Tree,
    prefix: &[u8],
    id: u64,
) -> Result<impl Iterator<Item = Result<FoundChunk, IndexError>>, IndexError> {
    let holder = at_or_below(tree, prefix, id)?;
    let holder = holder.filter(|found| found.head.last_id > id);
    let begin = holder.map_or(id.saturating_add(1), |found| found.first_id);
    Ok(upwards(tree, prefix, begin))
}

/// The chunk under `prefix` that holds this position; `None` beyond the end.
pub(super) fn holding(
    tree: &Tree,
    prefix: &[u8],
    position: u64,
) -> Result<Option<FoundChunk>, IndexError> {
    let Some(last) = at_or_below(tree, prefix, u64::MAX)? else {
        return Ok(None);
    };
    if position >= last.head.end() {
        return Ok(None);
    }
    if position >= last.head.position {
        return Ok(Some(last));
    }
    let Some(first) = upwards(tree, prefix, 0).next().transpose()? else {
        return Ok(None);
    };
    if position < first.head.end() {
        return Ok(Some(first));
    }
    // The chunk begins above `low` and below `high.first_id`; `low` is at least
    // `below.first_id`, and no chunk begins between the two.
    let mut below = first;
    let mut low = below.first_id;
    let mut high = last;
    let mut interpolate = true;
    while high.first_id.saturating_sub(low) > 1 {
        let guess = if interpolate {
            guess(&below, &high, position)
        } else {
            low + (high.first_id - low) / 2
        };
        interpolate = !interpolate;
        let guess = guess.clamp(low + 1, high.first_id - 1);
        let Some(found) = at_or_below(tree, prefix, guess)? else {
            break;
        };
        if found.head.position > position {
            high = found;
            continue;
        }
        low = guess;
        below = found;
        for walked in upwards(tree, prefix, below.first_id).take(WALK_CHUNKS_MAX) {
            let walked = walked?;
            if walked.head.position > position {
                break;
            }
            if position < walked.head.end() {
                return Ok(Some(walked));
            }
            low = low.max(walked.first_id);
            below = walked;
        }
    }
    Err("the positions of a mailbox have a gap".into())
}

fn guess(below: &FoundChunk, high: &FoundChunk, position: u64) -> u64 {
    let ids = u128::from(high.first_id.saturating_sub(below.head.last_id));
    let positions = u128::from(high.head.position.saturating_sub(below.head.end())).max(1);
    let wanted = u128::from(position.saturating_sub(below.head.end()));
    let ahead = (ids * wanted / positions).min(u128::from(u64::MAX));
    below.head.last_id.saturating_add(ahead as u64)
}
