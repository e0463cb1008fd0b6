//! What the committer has to know before it accepts a send: was it accepted before.
//!
//! Reads the tail first and the index second, as all who read do; changes nothing.

use std::time::Duration;

use super::age::Ages;
use super::index::{IndexError, day};
use super::shared::Shared;
use super::tail::{SendIds, SendKey};
use crate::model::MsgId;

/// For how long a repeated send is known.
const SEND_AGE: Duration = Duration::from_secs(24 * 60 * 60);

impl Ages {
    /// The newest send that is not known any more.
    pub(super) fn newest_forgotten(&self) -> MsgId {
        self.newest_of_age(SEND_AGE)
    }

    /// All sends of the days before are not known any more.
    pub(super) fn day_min(&self) -> u64 {
        day(self.newest_forgotten().0.saturating_add(1))
    }
}

impl Shared {
    /// The ids of a send that was accepted in the last 24 hours.
    pub(super) fn known_send(&self, key: &SendKey) -> Result<Option<SendIds>, IndexError> {
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
