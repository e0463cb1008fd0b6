//! What the committer has to know before it accepts a send: was it accepted before.
//!
//! Reads the tail first and the index second, as all who read do; changes nothing.

use super::shared::Shared;
use crate::store::data::{SendIds, SendKey};
use crate::store::index::IndexError;

impl Shared {
    /// The ids of a send that was accepted in the last 24 hours.
    pub(crate) fn known_send(&self, key: &SendKey) -> Result<Option<SendIds>, IndexError> {
        let floor = self.domains().floor(&key.domain);
        let in_tail = self.tail().send(key);
        let found = match in_tail {
            Some(ids) => Some(ids),
            None => self.with_index(|index| index.send(key))?,
        };
        let gone = floor.max(self.ages().newest_forgotten());
        Ok(found.filter(|ids| ids.first > gone))
    }
}
