//! Plans a repair: what becomes of each segment file, and what is lost.

use std::collections::BTreeMap;

use super::chain;
use super::scan::{Candidate, Loss};
use crate::model::MsgId;
use crate::store::index::{Loaded, Origin};
use crate::store::journal::{SegmentHeader, SegmentName};

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    /// Files to be set aside.
    pub(super) aside: Vec<SegmentName>,
    /// Segments to be written; behind a sealed last one, an empty one to continue with.
    pub(super) made: Vec<Made>,
    pub(super) losses: Vec<Loss>,
}

impl Plan {
    /// Whether no file is touched.
    pub(super) fn is_empty(&self) -> bool {
        self.aside.is_empty() && self.made.is_empty()
    }
}

/// A segment to be made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) name: SegmentName,
    /// One with `rewritten_to` is sealed.
    pub(super) header: SegmentHeader,
    /// The file that its frames come from, if it has any.
    pub(super) source: Option<SegmentName>,
}

/// Plans the repair of the files `names`, of which `candidates` are usable. `index` also says how
/// far the journal reached.
pub(super) fn plan(
    names: &[SegmentName],
    mut candidates: Vec<Candidate>,
    index: Option<&Loaded>,
) -> Plan {
    let journal = mark(&candidates);
    candidates.retain(|candidate| [journal, 0].contains(&candidate.header.journal));
    candidates.sort_by_key(|candidate| (candidate.header.number, candidate.name));
    let chosen = chain::best(&candidates).into_iter();
    let chosen: BTreeMap<u64, &Candidate> = chosen
        .map(|at| (candidates[at].header.number, &candidates[at]))
        .collect();
    let mut planner = Planner {
        names,
        journal,
        kept: Vec::new(),
        reached: 1,
        last_id: 0,
        made: Vec::new(),
        losses: Vec::new(),
    };
    let last = chosen.keys().last().copied().unwrap_or_default();
    for number in 1..=last {
        let next = chosen.range(number + 1..).next().map(|(_, next)| *next);
        match (chosen.get(&number), next) {
            (Some(candidate), next) => planner.take(number, candidate, next),
            (None, Some(next)) => planner.fill(number, next),
            (None, None) => {}
        }
    }
    if names.last().is_some_and(|name| name.number > last) {
        planner.lose(None, None);
    }
    planner.open(last, chosen.get(&last).is_some_and(|last| last.sealed));
    let open_ended = planner.losses.iter().any(|loss| loss.to.is_none());
    if let Some(index) = index.filter(|_| !open_ended) {
        let known = planner.losses.len();
        let state = &index.state;
        planner.lose(Some(state.position.sequence), Some(state.last_id));
        let only_indexed = planner.losses.iter_mut().skip(known);
        only_indexed.for_each(|loss| loss.is_unsure = index.origin == Origin::Unknown);
    }
    let is_kept = |name: &SegmentName| planner.kept.contains(name);
    Plan {
        aside: names
            .iter()
            .copied()
            .filter(|name| !is_kept(name))
            .collect(),
        made: planner.made,
        losses: planner.losses,
    }
}

/// The mark of the journal that most frames belong to; 0 stands for a lost header.
fn mark(candidates: &[Candidate]) -> u32 {
    let mut frames: BTreeMap<u32, u64> = BTreeMap::new();
    for candidate in candidates.iter().filter(|c| c.header.journal != 0) {
        *frames.entry(candidate.header.journal).or_default() += candidate.frames + 1;
    }
    let most = frames.into_iter().max_by_key(|(_, frames)| *frames);
    most.map_or_else(SegmentHeader::random_journal, |(journal, _)| journal)
}

struct Planner<'a> {
    names: &'a [SegmentName],
    /// The journal's mark.
    journal: u32,
    kept: Vec<SegmentName>,
    /// The sequence and the id that the segments reach so far.
    reached: u64,
    last_id: u64,
    made: Vec<Made>,
    losses: Vec<Loss>,
}

impl Planner<'_> {
    fn take(&mut self, number: u64, candidate: &Candidate, next: Option<&Candidate>) {
        let first_behind = next.map(|next| next.header.first_sequence);
        let adjacent = next.is_some_and(|next| next.header.number == number + 1);
        let short = adjacent && first_behind.is_some_and(|first| candidate.end < first);
        let in_place = candidate.name.number == number;
        let end = first_behind.map_or(candidate.end, |first| candidate.end.min(first));
        for gap in &candidate.gaps {
            if first_behind.is_none_or(|first| gap.from < first) {
                let before = gap.before.or(next.map(|next| MsgId(next.header.last_id)));
                self.losses.push(Loss {
                    before,
                    ..gap.clone()
                });
            }
        }
        (self.reached, self.last_id) = (end, candidate.last_id.max(self.last_id));
        if let Some(next) = next.filter(|_| short) {
            self.lose(Some(next.header.first_sequence), Some(next.header.last_id));
        }
        if candidate.whole && in_place && !short {
            return self.kept.push(candidate.name);
        }
        if candidate.torn && next.is_none() {
            self.lose(None, None);
        }
        let rewritten_to = match first_behind {
            Some(first) if adjacent => first,
            _ => end,
        };
        self.reached = rewritten_to;
        let header = &candidate.header;
        let (first, last_id) = (header.first_sequence, header.last_id);
        self.make(
            number,
            first,
            last_id,
            Some(rewritten_to),
            Some(candidate.name),
        );
    }

    /// A journal ends with an open segment.
    fn open(&mut self, last: u64, sealed: bool) {
        let kept = self.kept.last().is_some_and(|kept| kept.number == last);
        if kept && !sealed {
            return;
        }
        if kept {
            // Whatever followed it is lost.
            self.lose(None, None);
        }
        self.make(last + 1, self.reached, self.last_id, None, None);
    }

    /// Plans a segment without frames, so that the numbers have no gap.
    fn fill(&mut self, number: u64, next: &Candidate) {
        let to = next.header.first_sequence;
        self.reached = self.reached.min(to);
        self.lose(Some(to), Some(next.header.last_id));
        let last_id = self.last_id.min(next.header.last_id);
        self.make(number, self.reached, last_id, Some(to), None);
        self.reached = to;
    }

    fn lose(&mut self, to: Option<u64>, before: Option<u64>) {
        if to.is_none_or(|to| self.reached < to) {
            self.losses.push(Loss {
                from: self.reached,
                to,
                after: MsgId(self.last_id),
                before: before.map(MsgId),
                is_unsure: false,
            });
        }
    }

    /// Plans a segment, under the name of the file that has its number now, if any.
    fn make(
        &mut self,
        number: u64,
        first_sequence: u64,
        last_id: u64,
        rewritten_to: Option<u64>,
        source: Option<SegmentName>,
    ) {
        let there = self.names.iter().find(|name| name.number == number);
        let name = there.copied().unwrap_or(SegmentName {
            number,
            first_id: last_id.saturating_add(1),
        });
        let header = SegmentHeader {
            number,
            generation: SegmentHeader::random_generation(),
            first_sequence,
            last_id,
            rewritten_to,
            journal: self.journal,
        };
        self.made.push(Made {
            name,
            header,
            source,
        });
    }
}
