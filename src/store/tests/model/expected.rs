//! What the store must hold.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Accepted;
use super::cursors::Cursors;
use crate::model::MsgId;

/// What is known of it, and what is not.
#[derive(Default)]
pub(super) struct Model {
    /// By recipient: id → content.
    pub(super) mailboxes: BTreeMap<String, BTreeMap<MsgId, String>>,
    /// Contents whose sends were not acknowledged since the last open, by recipient.
    pub(super) doubtful: BTreeSet<(String, String)>,
    /// Own ids of acknowledged sends.
    pub(super) own_ids: BTreeMap<String, (String, Vec<MsgId>)>,
    /// Erasures that failed since the last open: recipient, and the first id to stay.
    pub(super) doubtful_erasures: Vec<(String, MsgId)>,
    /// By recipient: the newest that it ever had.
    pub(super) newest: BTreeMap<String, MsgId>,
    pub(super) cursors: Cursors,
    pub(super) domain: bool,
    pub(super) domain_doubtful: bool,
    pub(super) last: MsgId,
    pub(super) sent: u32,
}

impl Model {
    /// What the removal of the domain does.
    pub(super) fn forget(&mut self) {
        self.mailboxes.clear();
        self.own_ids.clear();
        self.cursors.forget();
    }

    /// A send to one recipient was acknowledged.
    pub(super) fn accepted(&mut self, to: String, content: String, accepted: &Accepted) {
        let id = accepted.ids[0];
        assert!(!accepted.duplicate);
        assert!(id > self.last);
        self.last = id;
        self.cursors.accepted(id);
        self.newest.insert(to.clone(), id);
        self.mailboxes.entry(to).or_default().insert(id, content);
    }
}
