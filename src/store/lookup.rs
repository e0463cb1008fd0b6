//! What the committer has to know before it accepts a send: was it accepted before.
//!
//! Reads the tail first and the index second, as all who read do; changes nothing.

use super::index::{IndexError, day};
use super::shared::Shared;
use super::tail::{SendIds, SendKey};
use crate::model::MsgId;

/// For how long a repeated send is known.
pub(super) const SEND_AGE_US: u64 = 24 * 60 * 60 * 1_000_000;

impl Shared {
    /// The ids of a send that was accepted in the last 24 hours.
    pub(super) fn known_send(
        &self,
        key: &SendKey,
        last_id: MsgId,
    ) -> Result<Option<SendIds>, IndexError> {
        let now_us = self.now_us(last_id);
        let floor = self.domains().floor(&key.domain);
        let in_tail = self.tail().send(key);
        let found = match in_tail {
            Some(ids) => Some(ids),
            None => {
                let days = [day(now_us), day(now_us).saturating_sub(1)];
                self.with_index(|index| index.send(key, days))?
            }
        };
        let counts = |ids: &SendIds| ids.first > floor && ids.first.0 + SEND_AGE_US > now_us;
        Ok(found.filter(counts))
    }
}
