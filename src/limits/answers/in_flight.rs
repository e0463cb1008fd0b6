//! Answers in flight, and which of them to cut off for newcomers.
//!
//! Invariant: an answer that is being read and is not old is never cut off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::requester::Requester;
use crate::model::Domain;

/// Time without a read after which an answer may be cut off.
pub(super) const STALLED_MIN: Duration = Duration::from_secs(5);

/// Age up to which an answer that is being read, however slowly, is safe.
pub(super) const OLD_MIN: Duration = Duration::from_secs(30);

/// Ends the connection that a request came on, whatever it is doing. Requests find it among their
/// extensions.
pub type HangUp = CancellationToken;

/// By number, in order of start.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    next: u64,
    by_number: BTreeMap<u64, Answer>,
}

#[derive(Debug)]
pub(super) struct Answer {
    began: Instant,
    /// When the client last asked for more, having read everything before.
    read: Instant,
    pub(super) domain: Domain,
    pub(super) requester: Option<Requester>,
    pub(super) units: usize,
    hang_up: Option<HangUp>,
}

/// Order in which answers are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Time of the last read.
    Stalled(Instant),
    /// Time of the start.
    Old(Instant),
}

impl Answer {
    /// `None` if safe.
    fn rank(&self) -> Option<Rank> {
        if self.read.elapsed() >= STALLED_MIN {
            return Some(Rank::Stalled(self.read));
        }
        let is_old = self.began.elapsed() >= OLD_MIN;
        is_old.then_some(Rank::Old(self.began))
    }
}

/// An answer's entry in [`InFlight`].
#[derive(Debug)]
pub(super) struct Ticket {
    in_flight: Arc<InFlight>,
    number: u64,
}

impl InFlight {
    pub(super) fn enter(
        self: &Arc<Self>,
        domain: &Domain,
        requester: Option<&Requester>,
        units: usize,
        hang_up: Option<HangUp>,
    ) -> Ticket {
        let mut answers = self.0.lock();
        let number = answers.next;
        answers.next += 1;
        let now = Instant::now();
        let answer = Answer {
            began: now,
            read: now,
            domain: domain.clone(),
            requester: requester.cloned(),
            units,
            hang_up,
        };
        answers.by_number.insert(number, answer);
        Ticket {
            in_flight: Arc::clone(self),
            number,
        }
    }

    /// Hangs up on as many answers as supply what is wanted: stalled ones first, longest stalled
    /// first, then old ones, oldest first. Answers already told to end count towards earlier
    /// newcomers.
    pub(super) fn evict(&self, wanted: usize, supply: impl Fn(&Answer) -> usize) {
        let answers = self.0.lock();
        let candidates = answers.by_number.values().filter_map(|answer| {
            let hang_up = answer.hang_up.as_ref().filter(|end| !end.is_cancelled())?;
            let supplied = supply(answer);
            let rank = answer.rank().filter(|_| supplied > 0)?;
            Some((rank, supplied, hang_up))
        });
        let mut candidates: Vec<_> = candidates.collect();
        candidates.sort_by_key(|(rank, ..)| *rank);
        let mut met = 0;
        for (_, supplied, hang_up) in candidates {
            if met >= wanted {
                break;
            }
            hang_up.cancel();
            met += supplied;
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().by_number.is_empty()
    }
}

impl Ticket {
    fn change(&self, change: impl FnOnce(&mut Answer)) {
        let mut answers = self.in_flight.0.lock();
        if let Some(answer) = answers.by_number.get_mut(&self.number) {
            change(answer);
        }
    }

    /// The client asks for more, having read everything before.
    pub(super) fn progressed(&self) {
        self.change(|answer| answer.read = Instant::now());
    }

    pub(super) fn shrink(&self, units: usize) {
        self.change(|answer| answer.units = units);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.in_flight.0.lock().by_number.remove(&self.number);
    }
}
