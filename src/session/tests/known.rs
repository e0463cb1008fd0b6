//! A client's knowledge across all sessions of its device.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::desk::Shared;
use crate::model::MsgId;

/// Above every id of a case, and even.
pub(super) const FUTURE: u64 = 1 << 40;

#[derive(Default)]
pub(super) struct Known {
    pub(super) received: BTreeSet<MsgId>,
    /// Ids that it claimed to have without having received them.
    waived: BTreeSet<MsgId>,
    /// Everything above this id is due.
    pub(super) base: Option<MsgId>,
}

impl Known {
    pub(super) fn has(&self, id: MsgId) -> bool {
        self.received.contains(&id) || self.waived.contains(&id)
    }

    /// The client claims to have everything up to `upto`.
    pub(super) fn waive(&mut self, device: usize, upto: MsgId, shared: &Rc<RefCell<Shared>>) {
        let store = &shared.borrow().store;
        let said = store
            .due(device, store.cursor(device))
            .take_while(|message| message.id <= upto);
        self.waived.extend(said.map(|message| message.id));
    }
}
