//! Writes frames to the journal, and handles a journal that refuses them.

use std::io;
use std::time::Duration;

use super::batch::Budget;
use super::committer::Committer;
use crate::store::api::AppendError;
use crate::store::journal::{FrameBuffer, Position, Writer};

impl Committer {
    /// Finds out whether the data directory is still this server's own, whether space is kept back,
    /// and whether a journal that could not be written can be again.
    pub(super) fn probe(&mut self) {
        let mut found = self.shared.hold.check();
        if found.is_ok() {
            found = self.shared.reserve.keep();
        }
        if found.is_ok() && self.shared.health.lock().journal.is_some() {
            let before = self.shared.memtables().active.last_id;
            found = self.writer.ready(before.0);
        }
        self.note_journal(found.err().map(|error| error.to_string()));
    }

    fn note_journal(&self, reason: Option<String>) {
        let mut health = self.shared.health.lock();
        match (&health.journal, &reason) {
            (None, Some(reason)) => tracing::error!(reason, "the journal cannot be written"),
            (Some(_), None) => tracing::info!("the journal can be written again"),
            // The first reason says more than "failed a moment ago".
            (Some(_), Some(_)) => return,
            (None, None) => {}
        }
        health.journal = reason;
    }

    /// Marks the end of the journal, if the last frame is at least `age` old.
    pub(super) fn mark_end(&mut self, age: Duration, budget: Budget) {
        let now = self.shared.clock.monotonic();
        if self.writer.is_marked() || now < self.written + age {
            return;
        }
        self.frame.clear();
        if self.write(budget).is_ok() {
            let mut memtables = self.shared.memtables_mut();
            memtables.advance(self.last_id, self.writer.end());
        }
    }

    pub(super) fn write(&mut self, budget: Budget) -> Result<(), AppendError> {
        let before = self.shared.memtables().active.last_id;
        let shared = self.shared.clone();
        let seconds = &shared.options.metrics.store.commit_seconds;
        self.written(budget, |writer, frame| {
            seconds.observe_closure_duration(|| writer.append(frame, before.0))
        })?;
        self.written = self.shared.clock.monotonic();
        Ok(())
    }

    /// Writes into the journal, once more where there is no room and the space that is kept back
    /// may be used.
    pub(super) fn written(
        &mut self,
        budget: Budget,
        mut work: impl FnMut(&mut Writer, &mut FrameBuffer) -> io::Result<Position>,
    ) -> Result<Position, AppendError> {
        let reserve = self.shared.reserve.clone();
        let kept = match budget {
            Budget::Free => reserve.keep(),
            Budget::Kept => Ok(()),
        };
        let mut done = kept.and_then(|()| work(&mut self.writer, &mut self.frame));
        if budget == Budget::Kept {
            done = done.or_else(|error| {
                reserve.retry(error, || {
                    self.writer.hurry();
                    work(&mut self.writer, &mut self.frame)
                })
            });
        }
        let reason = done.as_ref().err().map(ToString::to_string);
        let lack = || reserve.lack().map(|lack| lack.to_string());
        self.note_journal(reason.or_else(lack));
        done.map_err(|error| AppendError::Unavailable(error.to_string()))
    }
}
