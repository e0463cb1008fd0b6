//! Answers on their way, and which of them end so that there is room.
//!
//! Invariant: none ends that has not gone on for long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{Asker, lock};
use crate::limits::HangUp;
use crate::model::Domain;

/// For so long an answer may go on whoever waits.
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
    domain: Domain,
    asker: Option<Asker>,
    units: usize,
    hang_up: Option<HangUp>,
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
        let begun = Begun {
            at: Instant::now(),
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

    /// Ends the connections of the oldest answers that have gone on for long, as many as give back what is
    /// wanted. Those that are ending already are on account of others who wait.
    pub(super) fn end_oldest(&self, wanted: Wanted<'_>) {
        let all = lock(&self.0);
        let is_long = |begun: &&Begun| begun.at.elapsed() >= GOING_MIN;
        let mut given = 0;
        for begun in all.begun.values().take_while(is_long) {
            if given >= wanted.amount() {
                break;
            }
            let by_this = wanted.given_by(begun);
            if by_this > 0
                && let Some(hang_up) = begun.hang_up.as_ref().filter(|end| !end.is_said())
            {
                hang_up.now();
                given += by_this;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).begun.is_empty()
    }
}

impl Turn {
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
