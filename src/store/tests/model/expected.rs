//! What the store must hold.

use std::collections::{BTreeMap, BTreeSet};

use super::cursors::Cursors;
use crate::model::MsgId;
use crate::store::api::Accepted;

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

    /// A send to these recipients was acknowledged.
    pub(super) fn accepted(&mut self, to: &[&str], content: &str, accepted: &Accepted) {
        assert!(!accepted.duplicate);
        assert_eq!(accepted.ids.len(), to.len());
        for (to, id) in to.iter().zip(&accepted.ids) {
            assert!(*id > self.last);
            self.last = *id;
            self.cursors.accepted(*id);
            self.newest.insert((*to).to_owned(), *id);
            let mailbox = self.mailboxes.entry((*to).to_owned()).or_default();
            mailbox.insert(*id, content.to_owned());
        }
    }

    /// A send to these recipients was not.
    pub(super) fn refused(&mut self, to: &[&str], content: &str) {
        let all = to.iter().map(|to| ((*to).to_owned(), content.to_owned()));
        self.doubtful.extend(all);
    }
}
