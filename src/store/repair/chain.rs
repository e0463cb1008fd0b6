//! Selects the segments that belong together.
//!
//! A file of another directory, or an older copy, may have a valid header too; its sequences and
//! ids then do not fit between those of the others.

use super::scan::Candidate;

/// The chain of candidates that fit together and hold the most, as indices. `candidates` are in the
/// order of their numbers.
pub(super) fn best(candidates: &[Candidate]) -> Vec<usize> {
    // For each: the weight of the best chain that ends with it, and its predecessor there.
    let mut chains: Vec<(u64, Option<usize>)> = Vec::with_capacity(candidates.len());
    for (at, candidate) in candidates.iter().enumerate() {
        let before = (0..at).filter(|before| fits(&candidates[*before], candidate));
        let before = before.max_by_key(|before| chains[*before].0);
        let weight = before.map_or(0, |before| chains[before].0);
        chains.push((weight + weigh(candidate), before));
    }
    let mut chain = Vec::new();
    let mut at = (0..chains.len()).max_by_key(|at| chains[*at].0);
    while let Some(found) = at {
        chain.push(found);
        at = chains[found].1;
    }
    chain.reverse();
    chain
}

/// More frames weigh more; of equals, the one under its own name.
fn weigh(candidate: &Candidate) -> u64 {
    let name = candidate.name;
    let own = name.number == candidate.header.number
        && name.first_id == candidate.header.last_id.saturating_add(1);
    2 * (candidate.frames + 1) + u64::from(own)
}

fn fits(one: &Candidate, next: &Candidate) -> bool {
    let first = next.header.first_sequence;
    let last_id = next.header.last_id;
    // One frame of a failed write may be left at the end, with its ids.
    one.header.number < next.header.number
        && one.header.first_sequence <= first
        && one.header.last_id <= last_id
        && one.end <= first.saturating_add(1)
        && (one.end > first || one.last_id <= last_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::SegmentHeader;
    use crate::store::journal::SegmentName;

    fn candidate(number: u64, first: u64, end: u64, ids: (u64, u64)) -> Candidate {
        Candidate {
            name: SegmentName {
                number,
                first_id: ids.0 + 1,
            },
            header: SegmentHeader {
                number,
                generation: number,
                first_sequence: first,
                last_id: ids.0,
                rewritten_to: None,
                journal: 7,
            },
            whole: true,
            sealed: false,
            torn: false,
            frames: end - first,
            end,
            last_id: ids.1,
            gaps: Vec::new(),
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let right = || {
            vec![
                candidate(1, 1, 10, (0, 100)),
                candidate(2, 10, 21, (100, 200)),
                // One frame of a failed write is behind the one before.
                candidate(3, 20, 30, (190, 300)),
            ]
        };
        assert_eq!(best(&right()), [0, 1, 2]);
        assert_eq!(best(&[]), [] as [usize; 0]);
        // Another directory's: more frames than fit, ids of another time, or both.
        for stranger in [
            candidate(2, 10, 15, (5000, 6000)),
            candidate(2, 500, 506, (100, 200)),
            candidate(2, 1, 6, (0, 90)),
        ] {
            let mut candidates = right();
            candidates[1] = stranger;
            assert_eq!(best(&candidates), [0, 2]);
        }
        let mut candidates = right();
        candidates.insert(1, candidate(1, 1, 9, (0, 90)));
        assert_eq!(best(&candidates), [0, 2, 3]);
    }
}
