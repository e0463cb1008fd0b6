//! Age time in a batch: the committer observes the clock and journals how far age time is.

use super::batch::{Budget, StagedBatch};
use super::committer::Committer;
use crate::store::age::{AgeClock, AgeState};
use crate::store::data::record;

impl Committer {
    /// Takes note of what the clocks show, before anything is stamped or given an id by them.
    pub(super) fn keep_age(&mut self) {
        let (wall_us, monotonic) = self.shared.clock.read();
        let (is_step, is_over) = {
            let mut age = self.shared.age_mut();
            let is_step = age.observe(wall_us, monotonic, self.last_id);
            (is_step, age.is_over())
        };
        if is_step {
            self.shared.tell_hold();
        }
        if is_over {
            self.frame.clear();
            let mut batch = StagedBatch::default();
            self.stage_accepted(&mut batch, false);
            // What then expires makes room.
            if self.commit_staged(batch, Budget::Kept) {
                tracing::info!("a day has passed since the clock was stepped: age counts again");
            }
        }
    }

    pub(super) fn note_age_if_due(&mut self) {
        if self.shared.age().is_due() {
            self.note_age(Budget::Free);
        }
    }

    /// So that a start soon after this takes what lies between for a stop and not for a step.
    pub(super) fn keep_age_at_end(&mut self) {
        self.keep_age();
        if self.shared.age().is_due_at_end() {
            self.note_age(Budget::Kept);
        }
    }

    fn note_age(&mut self, budget: Budget) {
        self.frame.clear();
        let mut batch = StagedBatch::default();
        self.stage_age(&mut batch);
        self.commit_staged(batch, budget);
    }

    fn stage_age(&mut self, batch: &mut StagedBatch) {
        let age = self.shared.age().clone();
        self.frame.push(|out| record::encode_age(age.state(), out));
        batch.age = Some(age);
    }

    /// Ids that were given behind a step are not on disk without it. And every segment that is
    /// written on says how far age time is: whoever looks from outside reads no more than that.
    pub(super) fn stage_age_along(&mut self, batch: &mut StagedBatch) {
        let is_due = || self.shared.age().is_due();
        let is_first = self.age_segment != Some(self.writer.end().segment);
        if batch.age.is_none() && (is_first || is_due()) {
            self.stage_age(batch);
        }
    }

    /// Takes the clock for right as it is. Whether it was not before. In a batch of its own.
    pub(super) fn stage_accepted(&mut self, batch: &mut StagedBatch, by_operator: bool) -> bool {
        let accepted = self.shared.age().accepted(by_operator);
        let Some(age) = accepted else {
            return false;
        };
        self.frame.push(|out| record::encode_age(age.state(), out));
        batch.age = Some(age);
        true
    }

    /// It is on disk.
    pub(super) fn noted(&mut self, mut age: AgeClock) -> AgeState {
        age.note();
        self.age_segment = Some(self.writer.end().segment);
        let state = age.state().clone();
        *self.shared.age_mut() = age;
        state
    }
}
