//! Reads the whole index after an unclean stop and holds it against its state.

use sled::Tree;

use super::chunk;
use super::search::Found;
use super::{Index, IndexError, IndexState, guarded, key};

impl Index {
    /// Checks every chunk, all positions and all counts; answers the highest id found.
    /// An interrupted checkpoint leaves more in the small trees than `state` says: from now
    /// on it says so, or their loss would go unnoticed.
    pub(in crate::store) fn verify(&self, state: &mut IndexState) -> Result<u64, IndexError> {
        guarded(|| {
            let highest = self.verify_tree(&self.messages, false, state)?;
            self.verify_tree(&self.senders, true, state)?;
            self.verify_small(state)?;
            Ok(highest)
        })
    }

    fn verify_tree(
        &self,
        tree: &Tree,
        senders: bool,
        state: &IndexState,
    ) -> Result<u64, IndexError> {
        let mut prefix = Vec::new();
        let mut position = 0;
        let mut last_id = 0;
        let mut highest = 0;
        let mut known = 0;
        for entry in tree {
            let found = Found::parse(entry?)?;
            let split = key::split(&found.key);
            let (this, _) = split.ok_or_else(|| IndexError::damaged("a key is cut short"))?;
            if this != prefix.as_slice() {
                prefix = this.to_vec();
                (position, last_id) = (0, 0);
            }
            let (head, raw) = self.unpack(&found)?;
            let ids = if senders {
                chunk::decode_ids(&head, &raw).map_err(IndexError::Damaged)?
            } else {
                let mailbox = key::mailbox(this).ok_or_else(|| IndexError::damaged("a key"))?;
                let messages = chunk::decode_messages(&mailbox, &head, &raw);
                let messages = messages.map_err(IndexError::Damaged)?;
                messages.iter().map(|message| message.id.0).collect()
            };
            let first = ids.first().copied().unwrap_or_default();
            if head.position != position || first != found.first_id || first <= last_id {
                return Err(IndexError::damaged(
                    "the chunks of a mailbox do not fit together",
                ));
            }
            position = head.end();
            last_id = head.last_id;
            highest = highest.max(last_id);
            known += ids.partition_point(|id| *id <= state.last_id) as u64;
        }
        if known != state.messages {
            let what = format!("it holds {known} messages instead of {}", state.messages);
            return Err(IndexError::Damaged(what));
        }
        Ok(highest)
    }
}
