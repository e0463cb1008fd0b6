//! Deduplication: whether a send was accepted before.
//!
//! Reads memtables first and the index second, like every reader.

use super::shared::Shared;
use crate::store::data::{SendIds, SendKey};
use crate::store::index::IndexError;

impl Shared {
    /// The ids of a send that was accepted in the last 24 hours.
    pub(crate) fn known_send(&self, key: &SendKey) -> Result<Option<SendIds>, IndexError> {
        let low_watermark = self.domains().low_watermark(&key.domain);
        let in_memtables = self.memtables().send(key);
        let found = match in_memtables {
            Some(ids) => Some(ids),
            None => self.with_index(|index| index.send(key))?,
        };
        let gone = low_watermark.max(self.ages().newest_forgotten());
        Ok(found.filter(|ids| ids.first > gone))
    }
}
