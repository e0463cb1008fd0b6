//! Application receipts for messages that have yet to be delivered again.

use crate::model::MsgId;

/// Most receipts held for their message; beyond that, a higher one covers the lowest.
pub(super) const HELD_MAX: usize = 32;

/// Held receipts, lowest first.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<MsgId>);

impl Held {
    /// Holds a receipt. Each is kept separately, so that a wrong one does not take a right one with
    /// it.
    pub(super) fn push(&mut self, id: MsgId) {
        let at = self.0.partition_point(|held| *held <= id);
        self.0.insert(at, id);
        if self.0.len() > HELD_MAX {
            self.0.remove(0);
        }
    }

    /// Removes and returns those up to `upto`.
    pub(super) fn take_through(&mut self, upto: MsgId) -> Vec<MsgId> {
        let later = self.0.partition_point(|id| *id <= upto);
        if later == 0 {
            return Vec::new();
        }
        let later = self.0.split_off(later);
        std::mem::replace(&mut self.0, later)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
