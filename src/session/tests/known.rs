//! What a device's client knows over all its sessions.

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
    /// What it said that it had, without having received it.
    waived: BTreeSet<MsgId>,
    /// Everything above this is due.
    pub(super) base: Option<MsgId>,
}

impl Known {
    pub(super) fn has(&self, id: MsgId) -> bool {
        self.received.contains(&id) || self.waived.contains(&id)
    }

    /// The client says that it has everything up to `upto`.
    pub(super) fn waive(&mut self, device: usize, upto: MsgId, shared: &Rc<RefCell<Shared>>) {
        let store = &shared.borrow().store;
        let said = store
            .due(device, store.cursor(device))
            .take_while(|message| message.id <= upto);
        self.waived.extend(said.map(|message| message.id));
    }
}
