//! The application's receipts for something that has yet to be delivered again.

use crate::model::MsgId;

/// Receipts that may wait for their message; of more, a higher one covers the lowest.
pub(super) const HELD_MAX: usize = 32;

/// Receipts that wait, lowest first.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<MsgId>);

impl Held {
    /// Keeps one. Each waits by itself: a wrong one must not take a right one with it.
    pub(super) fn push(&mut self, id: MsgId) {
        let at = self.0.partition_point(|held| *held <= id);
        self.0.insert(at, id);
        if self.0.len() > HELD_MAX {
            self.0.remove(0);
        }
    }

    /// Takes those up to `upto`.
    pub(super) fn take_through(&mut self, upto: MsgId) -> Vec<MsgId> {
        let later = self.0.partition_point(|id| *id <= upto);
        if later == 0 {
            return Vec::new();
        }
        let later = self.0.split_off(later);
        std::mem::replace(&mut self.0, later)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
