//! Answers on their way, and which of them end so that there is room.
//!
//! Invariant: none ends whose client takes of it and that has not gone on for long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{Asker, lock};
use crate::limits::HangUp;
use crate::model::Domain;

/// For so long an answer may go on of which nothing is taken, whoever waits.
pub(super) const UNTAKEN_MIN: Duration = Duration::from_secs(5);

/// For so long one may go on that is taken, however slowly.
pub(super) const GOING_MIN: Duration = Duration::from_secs(30);

/// Answers on their way, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Going(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    next: u64,
    begun: BTreeMap<u64, Begun>,
}

#[derive(Debug)]
struct Begun {
    at: Instant,
    /// When text of it was last handed out, which is when the client had taken what was before.
    taken: Instant,
    domain: Domain,
    asker: Option<Asker>,
    units: usize,
    hang_up: Option<HangUp>,
}

/// Which of the answers that may end does so first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Nothing was taken since then.
    Untaken(Instant),
    /// It is taken, and began then.
    Old(Instant),
}

impl Begun {
    /// `None` where it goes on.
    fn rank(&self) -> Option<Rank> {
        if self.taken.elapsed() >= UNTAKEN_MIN {
            return Some(Rank::Untaken(self.taken));
        }
        let is_old = self.at.elapsed() >= GOING_MIN;
        is_old.then_some(Rank::Old(self.at))
    }
}

/// An answer's place among them.
#[derive(Debug)]
pub(super) struct Turn {
    going: Arc<Going>,
    number: u64,
}

/// Whose answers are to end, and how much of what is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// One answer of this asker.
    Answer(&'a Asker),
    /// So many units of this domain's.
    OfDomain(&'a Domain, usize),
    /// So many units of anybody's.
    Units(usize),
}

impl Wanted<'_> {
    /// How much of it an answer gives back.
    fn given_by(&self, begun: &Begun) -> usize {
        match self {
            Self::Answer(asker) => usize::from(begun.asker.as_ref() == Some(*asker)),
            Self::OfDomain(domain, _) if begun.domain != **domain => 0,
            Self::OfDomain(..) | Self::Units(_) => begun.units,
        }
    }

    fn amount(&self) -> usize {
        match self {
            Self::Answer(_) => 1,
            Self::OfDomain(_, units) | Self::Units(units) => *units,
        }
    }
}

impl Going {
    pub(super) fn enter(
        going: &Arc<Self>,
        domain: &Domain,
        asker: Option<&Asker>,
        units: usize,
        hang_up: Option<HangUp>,
    ) -> Turn {
        let mut all = lock(&going.0);
        let number = all.next;
        all.next += 1;
        let now = Instant::now();
        let begun = Begun {
            at: now,
            taken: now,
            domain: domain.clone(),
            asker: asker.cloned(),
            units,
            hang_up,
        };
        all.begun.insert(number, begun);
        Turn {
            going: Arc::clone(going),
            number,
        }
    }

    /// Ends the connections of as many answers as give back what is wanted: first those of which nothing
    /// is taken, for the longest time first, then the oldest. Those that are ending already are on account
    /// of others who wait.
    pub(super) fn make_room(&self, wanted: Wanted<'_>) {
        let all = lock(&self.0);
        let may_end = all.begun.values().filter_map(|begun| {
            let hang_up = begun.hang_up.as_ref().filter(|end| !end.is_said())?;
            let gives = wanted.given_by(begun);
            let rank = begun.rank().filter(|_| gives > 0)?;
            Some((rank, gives, hang_up))
        });
        let mut may_end: Vec<_> = may_end.collect();
        may_end.sort_by_key(|(rank, ..)| *rank);
        let mut given = 0;
        for (_, gives, hang_up) in may_end {
            if given >= wanted.amount() {
                break;
            }
            hang_up.now();
            given += gives;
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).begun.is_empty()
    }
}

impl Turn {
    /// The client asks for more, so it has taken what it had.
    pub(super) fn taken(&self) {
        if let Some(begun) = lock(&self.going.0).begun.get_mut(&self.number) {
            begun.taken = Instant::now();
        }
    }

    /// The answer holds so much from here on.
    pub(super) fn shrink(&self, units: usize) {
        if let Some(begun) = lock(&self.going.0).begun.get_mut(&self.number) {
            begun.units = units;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.going.0).begun.remove(&self.number);
    }
}
