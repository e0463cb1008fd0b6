//! Permits for history answers in flight: a memory budget for all of them, at most half of it per
//! domain, and a few answers per user or per network without a token.
//!
//! - `keyed_semaphore`: the share of each domain and requester;
//! - `in_flight`: which answers to cut off when nothing is free.
//!
//! Never holds an answer itself. Invariants: newcomers wait in turn and for a bounded time; a
//! permit is free again once the last byte was read or the connection has ended; when nothing is
//! free, stalled answers are cut off first, then old ones, so slow readers lock out nobody,
//! themselves included.

mod in_flight;
mod keyed_semaphore;
mod requester;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

pub use in_flight::HangUp;
pub use requester::Requester;

use crate::limits::Limit;
use crate::model::Domain;
use in_flight::{Answer, InFlight, Ticket};
use keyed_semaphore::{KeyedPermit, KeyedSemaphore};

/// Memory budget for all answers.
const TOTAL_BYTES: usize = 64 << 20;

const UNIT_BYTES: usize = 4 << 10;

/// Largest share of one domain.
const DOMAIN_UNITS: usize = TOTAL_BYTES / UNIT_BYTES / 2;

/// Most concurrent answers per requester.
const REQUESTER_ANSWERS: usize = 4;

/// Most concurrent store reads per requester, leaving capacity for others.
const REQUESTER_READS: usize = 1;

/// Most requests queued per requester; each holds its connection while it waits.
const REQUESTER_WAITING: usize = 64;

/// Longest wait for the requester's turn, and again for memory.
const WAIT: Duration = Duration::from_secs(5);

/// Wait before other answers are cut off to make room.
const PATIENCE: Duration = Duration::from_secs(1);

/// The answer permits of one server.
#[derive(Debug)]
pub struct AnswerPermits {
    memory: Arc<Semaphore>,
    domains: Arc<KeyedSemaphore<Domain>>,
    requesters: Arc<KeyedSemaphore<Requester>>,
    reads: Arc<KeyedSemaphore<Requester>>,
    in_flight: Arc<InFlight>,
}

impl Default for AnswerPermits {
    fn default() -> Self {
        let waiting = REQUESTER_ANSWERS + REQUESTER_WAITING;
        Self {
            memory: Arc::new(Semaphore::new(TOTAL_BYTES / UNIT_BYTES)),
            domains: KeyedSemaphore::new(DOMAIN_UNITS, usize::MAX),
            requesters: KeyedSemaphore::new(REQUESTER_ANSWERS, waiting),
            reads: KeyedSemaphore::new(REQUESTER_READS, usize::MAX),
            in_flight: Arc::default(),
        }
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT_BYTES).clamp(1, DOMAIN_UNITS)
}

impl AnswerPermits {
    /// A permit for an answer in this domain that holds at most `bytes_max` at a time. `requester`
    /// is `None` for trusted callers; `hang_up` ends the connection that carries the answer.
    ///
    /// # Errors
    /// The limit that is reached.
    pub async fn acquire(
        &self,
        domain: &Domain,
        requester: Option<&Requester>,
        bytes_max: usize,
        hang_up: Option<HangUp>,
    ) -> Result<AnswerPermit, Limit> {
        let requester_permit = match requester {
            Some(requester) => {
                let entered = self.requesters.enter(requester);
                let permit = entered.ok_or_else(|| requester.limit())?;
                let is_own = |answer: &Answer| answer.requester.as_ref() == Some(requester);
                let evict = || self.in_flight.evict(1, |answer| is_own(answer).into());
                let acquired = in_time(permit.acquired(1), evict).await;
                Some(acquired.ok_or_else(|| requester.limit())?)
            }
            None => None,
        };
        let units = units(bytes_max);
        let permit = self.domains.enter(domain).ok_or(Limit::HistoryAnswers)?;
        let has_of_domain = AtomicBool::new(false);
        let acquired = async {
            let of_domain = permit.acquired(units).await;
            has_of_domain.store(true, Ordering::Relaxed);
            let memory = Arc::clone(&self.memory).acquire_many_owned(units as u32);
            // The semaphore is never closed.
            (of_domain, memory.await.ok())
        };
        let evict = || {
            // Once the domain has its share, answers of any domain count.
            let of_any = has_of_domain.load(Ordering::Relaxed);
            let counts = |answer: &Answer| of_any || answer.domain == *domain;
            let supply = |answer: &Answer| if counts(answer) { answer.units } else { 0 };
            self.in_flight.evict(units, supply);
        };
        let acquired = in_time(acquired, evict).await;
        let (domain_permit, memory_permit) = acquired.ok_or(Limit::HistoryAnswers)?;
        Ok(AnswerPermit {
            memory_permit,
            domain_permit,
            _requester_permit: requester_permit,
            reads: requester.and_then(|requester| self.reads.enter(requester)),
            ticket: self.in_flight.enter(domain, requester, units, hang_up),
        })
    }
}

/// Waits up to the deadline; calls `evict` once patience runs out.
async fn in_time<T>(acquired: impl Future<Output = T>, evict: impl FnOnce()) -> Option<T> {
    let mut acquired = pin!(acquired);
    if let Ok(acquired) = timeout(PATIENCE, &mut acquired).await {
        return Some(acquired);
    }
    evict();
    timeout(WAIT - PATIENCE, acquired).await.ok()
}

/// Permission for one answer to be in flight.
#[derive(Debug)]
pub struct AnswerPermit {
    memory_permit: Option<OwnedSemaphorePermit>,
    domain_permit: KeyedPermit<Domain>,
    _requester_permit: Option<KeyedPermit<Requester>>,
    reads: Option<KeyedPermit<Requester>>,
    ticket: Ticket,
}

impl AnswerPermit {
    /// Waits until no other answer of the same requester reads the store. Returns `None` at once
    /// for trusted callers.
    pub async fn read_permit(&self) -> Option<OwnedSemaphorePermit> {
        let permit = self.reads.as_ref()?.acquire_one().await;
        // This wait was not the client's fault.
        self.ticket.progressed();
        permit
    }

    /// The client has read everything sent so far and is about to get more.
    pub fn progressed(&self) {
        self.ticket.progressed();
    }

    /// The answer is complete at `bytes`; returns the rest of the budget.
    pub fn shrink(&mut self, bytes: usize) {
        let units = units(bytes);
        let permits = [&mut self.memory_permit, &mut self.domain_permit.units];
        for permit in permits.into_iter().flatten() {
            let surplus = permit.num_permits().saturating_sub(units);
            drop(permit.split(surplus));
        }
        let held = self.domain_permit.units.as_ref();
        self.ticket
            .shrink(held.map_or(0, OwnedSemaphorePermit::num_permits));
    }
}

#[cfg(test)]
mod tests;
