//! Plans a repair: what becomes of each segment file, and what is lost.

use std::collections::BTreeMap;

use super::chain;
use super::scan::Candidate;
use crate::model::MsgId;
use crate::store::index::{Loaded, Origin};
use crate::store::journal::{SegmentHeader, SegmentName};

/// Group commits that are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The first frame.
    pub from: u64,
    /// The frame behind the last, if that can be known.
    pub to: Option<u64>,
    /// Their messages have higher ids than this,
    pub after: MsgId,
    /// and, if that can be known, none that is higher than this.
    pub before: Option<MsgId>,
    /// Only the index knows of them, which in a copy may be later than the journal; and nothing
    /// tells whether this is one.
    pub is_unsure: bool,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Files that are moved aside.
    pub(super) aside: Vec<SegmentName>,
    /// Segments that are rewritten.
    pub(super) made: Vec<Made>,
    /// An empty one to be written on behind them, where the last of them is sealed.
    pub(super) open: Option<(SegmentName, SegmentHeader)>,
    pub(super) losses: Vec<Loss>,
}

impl Plan {
    /// Whether no file is touched.
    pub(super) fn is_empty(&self) -> bool {
        self.aside.is_empty() && self.made.is_empty() && self.open.is_none()
    }
}

/// A segment that is rewritten.
#[derive(Debug)]
pub(super) struct Made {
    /// Its name.
    pub(super) name: SegmentName,
    pub(super) header: SegmentHeader,
    /// The file that its frames come from; `None`: it gets none.
    pub(super) source: Option<SegmentName>,
}

/// What is to be done about these files, of which `candidates` can be used. `index`: what else says
/// how far the journal reached.
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
        plan: Plan::default(),
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
    let open_ended = planner.plan.losses.iter().any(|loss| loss.to.is_none());
    if let Some(index) = index.filter(|_| !open_ended) {
        let known = planner.plan.losses.len();
        let state = &index.state;
        planner.lose(Some(state.position.sequence), Some(state.last_id));
        let only_indexed = planner.plan.losses.iter_mut().skip(known);
        only_indexed.for_each(|loss| loss.is_unsure = index.origin == Origin::Unknown);
    }
    let kept = planner.kept;
    let mut plan = planner.plan;
    plan.aside = names
        .iter()
        .copied()
        .filter(|n| !kept.contains(n))
        .collect();
    plan
}

/// The mark of the journal that most frames are of; 0 is that of a header which was lost.
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
    /// The sequence and the id that the segments so far reach up to.
    reached: u64,
    last_id: u64,
    plan: Plan,
}

impl Planner<'_> {
    fn take(&mut self, number: u64, candidate: &Candidate, next: Option<&Candidate>) {
        let first_behind = next.map(|next| next.header.first_sequence);
        let adjacent = next.is_some_and(|next| next.header.number == number + 1);
        let short = adjacent && first_behind.is_some_and(|first| candidate.end < first);
        let in_place = candidate.name.number == number;
        let end = first_behind.map_or(candidate.end, |first| candidate.end.min(first));
        for gap in &candidate.gaps {
            let counts = first_behind.is_none_or(|first| gap.from < first);
            if counts {
                self.plan.losses.push(Loss {
                    from: gap.from,
                    to: Some(gap.to),
                    after: MsgId(gap.after),
                    before: gap
                        .before
                        .or(next.map(|next| next.header.last_id))
                        .map(MsgId),
                    is_unsure: false,
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
        self.plan.made.push(Made {
            name: self.name(number, candidate.header.last_id),
            header: SegmentHeader {
                number,
                generation: SegmentHeader::random_generation(),
                first_sequence: candidate.header.first_sequence,
                last_id: candidate.header.last_id,
                rewritten_to: Some(rewritten_to),
                journal: self.journal,
            },
            source: Some(candidate.name),
        });
    }

    /// A journal ends with a segment that is written on.
    fn open(&mut self, last: u64, sealed: bool) {
        let kept = self.kept.last().is_some_and(|kept| kept.number == last);
        if kept && !sealed {
            return;
        }
        if kept {
            // What stood behind it, if anything did, is not there.
            self.lose(None, None);
        }
        let name = self.name(last + 1, self.last_id);
        let header = SegmentHeader {
            number: name.number,
            generation: SegmentHeader::random_generation(),
            first_sequence: self.reached,
            last_id: self.last_id,
            rewritten_to: None,
            journal: self.journal,
        };
        self.plan.open = Some((name, header));
    }

    /// A segment without frames, so that the numbers have no gap.
    fn fill(&mut self, number: u64, next: &Candidate) {
        let to = next.header.first_sequence;
        let from = self.reached.min(to);
        self.reached = from;
        self.lose(Some(to), Some(next.header.last_id));
        let last_id = self.last_id.min(next.header.last_id);
        self.plan.made.push(Made {
            name: self.name(number, last_id),
            header: SegmentHeader {
                number,
                generation: SegmentHeader::random_generation(),
                first_sequence: from,
                last_id,
                rewritten_to: Some(to),
                journal: self.journal,
            },
            source: None,
        });
        self.reached = to;
    }

    fn lose(&mut self, to: Option<u64>, before: Option<u64>) {
        if to.is_none_or(|to| self.reached < to) {
            self.plan.losses.push(Loss {
                from: self.reached,
                to,
                after: MsgId(self.last_id),
                before: before.map(MsgId),
                is_unsure: false,
            });
        }
    }

    /// The name of the file that has the number now, or one for it.
    fn name(&self, number: u64, last_id: u64) -> SegmentName {
        let there = self.names.iter().find(|name| name.number == number);
        there.copied().unwrap_or(SegmentName {
            number,
            first_id: last_id.saturating_add(1),
        })
    }
}
