//! The retention in force, and a new one that waits.
//!
//! A retention that erases more than the one before takes effect only after a warning in the log
//! and a notice period: time to correct a mistake. So the retention in force is kept in a small
//! file; without one, everything was kept until now.
//!
//! Invariant: the retention in force is never stricter than the one before, unless its notice has
//! passed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::pending_retention::{Next, PendingRetention};
use super::shared::Shared;
use crate::model::{Domain, MsgId, Retention};
use crate::store::api::ReadError;
use crate::store::directory::{FILE, encode};
use crate::store::disk::{Pacer, files};

/// Retry interval of a failed save.
const SAVE_PAUSE: Duration = Duration::from_secs(5);
/// Time limit of the count. A partial count is logged as "at least".
const COUNT_TIME_MAX: Duration = Duration::from_secs(20);
/// Most domains logged individually.
const DOMAINS_TOLD_MAX: usize = 20;

/// What a new retention erases of a domain.
struct Expiring {
    messages: u64,
    /// Everything at or below it.
    upto: MsgId,
}

impl Shared {
    /// As [`crate::store::Store::set_retention`].
    pub(crate) fn set_retention(&self, wanted: Retention) {
        let mut pending_retention = self.pending_retention.lock();
        let in_force = self.retention().clone();
        let now = match self.options.retention_notice {
            Duration::ZERO => wanted.clone(),
            _ => in_force.looser(&wanted),
        };
        let waits = now != wanted;
        if now != in_force {
            self.put_in_force(now);
            pending_retention.unsaved = true;
        }
        match &pending_retention.next {
            Some(next) if next.retention == wanted => {}
            next => {
                if next.is_some() {
                    tracing::info!("the retention that was to come is taken back");
                }
                let due = None;
                let retention = wanted;
                pending_retention.next = waits.then_some(Next { retention, due });
            }
        }
        drop(pending_retention);
        self.changed.notify();
    }

    fn put_in_force(&self, retention: Retention) {
        *self.retention.write() = retention;
    }

    /// Tells of a retention that is new, and puts it in force when it is time. For the thread that
    /// erases.
    pub(crate) fn step_retention(&self) {
        let next = self.pending_retention.lock().next.clone();
        match next {
            Some(Next { retention, due }) => match due {
                None => {
                    self.tell(&retention);
                    self.note_told(&retention);
                    self.note_in_force();
                }
                Some(due) if self.clock.monotonic() >= due => {
                    let mut pending_retention = self.pending_retention.lock();
                    // Another may have come meanwhile.
                    if let Some(next) = pending_retention.next.take_if(|next| next.due == Some(due))
                    {
                        // First, so that it is not new again behind a crash.
                        pending_retention.unsaved = true;
                        self.save(&mut pending_retention, &next.retention);
                        self.put_in_force(next.retention);
                        tracing::info!("the new retention counts from now on");
                    }
                }
                Some(_) => {}
            },
            None => self.note_in_force(),
        }
    }

    /// Notes on disk what is in force, if that is not there yet.
    pub(crate) fn note_in_force(&self) {
        let mut pending_retention = self.pending_retention.lock();
        let now = self.clock.monotonic();
        let is_paused = |at| now < at + SAVE_PAUSE;
        if pending_retention.unsaved && !pending_retention.failed_at.is_some_and(is_paused) {
            let in_force = self.retention().clone();
            self.save(&mut pending_retention, &in_force);
        }
    }

    #[cfg(test)]
    pub(crate) fn waits_since_it_was_told(&self) -> bool {
        let pending_retention = self.pending_retention.lock();
        pending_retention
            .next
            .as_ref()
            .is_some_and(|next| next.due.is_some())
    }

    #[cfg(test)]
    pub(crate) fn has_unsaved_retention(&self) -> bool {
        self.pending_retention.lock().unsaved
    }

    fn note_told(&self, retention: &Retention) {
        let mut pending_retention = self.pending_retention.lock();
        let notice = self.options.retention_notice;
        if let Some(next) = &mut pending_retention.next
            && next.retention == *retention
        {
            next.due = Some(self.clock.monotonic() + notice);
        }
    }

    fn save(&self, pending_retention: &mut PendingRetention, retention: &Retention) {
        let bytes = encode(retention);
        match files::replace(self.files.as_ref(), &self.options.dir, FILE, &bytes) {
            Ok(()) => (pending_retention.unsaved, pending_retention.failed_at) = (false, None),
            Err(error) => {
                if pending_retention.failed_at.is_none() {
                    tracing::warn!(%error, file = FILE, "the retention cannot be noted: at the next start it is new again");
                }
                pending_retention.failed_at = Some(self.clock.monotonic());
            }
        }
    }

    /// Says in the log what a new retention erases.
    fn tell(&self, wanted: &Retention) {
        let notice = humantime::format_duration(self.options.retention_notice);
        let (expiring, whole) = match self.expiring(wanted) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "what the new retention erases cannot be counted");
                (BTreeMap::new(), false)
            }
        };
        let messages: u64 = expiring.values().map(|expiring| expiring.messages).sum();
        let about = if whole { "" } else { "at least " };
        tracing::warn!(
            messages,
            "the retention is new: in {notice} it erases {about}{messages} messages for good; to \
             keep them, mend the setting and reload it (SIGHUP), or stop the server, before"
        );
        for (domain, Expiring { messages, upto }) in expiring.iter().take(DOMAINS_TOLD_MAX) {
            let kept = wanted.of(domain).unwrap_or_default();
            let kept = humantime::format_duration(kept);
            let before = UNIX_EPOCH + Duration::from_micros(upto.0);
            let before = humantime::format_rfc3339_seconds(before);
            tracing::warn!(%domain, messages, "in {notice}, of this domain, what is older than {kept}: everything from before {before}");
        }
        if let Some(more) = expiring.len().checked_sub(DOMAINS_TOLD_MAX + 1) {
            tracing::warn!("and of {} domains more", more + 1);
        }
    }

    /// What a retention erases that the one in force does not, by domain; and whether that is all.
    fn expiring(
        &self,
        wanted: &Retention,
    ) -> Result<(BTreeMap<Domain, Expiring>, bool), ReadError> {
        // What is in memory is young, but the retention may be short.
        self.flush();
        let in_force = self.retention().clone();
        // Where age is held: as it will be.
        let (wall_us, monotonic) = self.clock.read();
        let accepted = self.age().accepted(false);
        let ages = accepted.map_or_else(|| self.ages(), |age| age.ages(wall_us, monotonic));
        // Real time, since it bounds work.
        let (begun, mut pacer) = (Instant::now(), Pacer::new());
        let mut expiring: BTreeMap<Domain, Expiring> = BTreeMap::new();
        let mut last = None;
        while let Some(mailbox) = self.with_index(|index| index.mailbox_after(last.as_ref()))? {
            pacer.step();
            if begun.elapsed() >= COUNT_TIME_MAX || !self.queue.is_open() {
                return Ok((expiring, false));
            }
            if wanted.is_stricter(&in_force, &mailbox.domain) {
                let kept = wanted.of(&mailbox.domain).unwrap_or_default();
                let upto = ages.expired(kept);
                let messages = self.view().list(&mailbox, None)?.rank(upto)?;
                if messages > 0 {
                    let of_domain = expiring.entry(mailbox.domain.clone());
                    let nothing = Expiring { messages: 0, upto };
                    of_domain.or_insert(nothing).messages += messages;
                }
            }
            last = Some(mailbox);
        }
        Ok((expiring, true))
    }
}
