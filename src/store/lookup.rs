//! What the committer has to know before it accepts a send: was it accepted before, and
//! are the devices it is for known.

use std::collections::HashSet;

use super::index::{IndexError, day, guarded};
use super::shared::Shared;
use super::tail::{CursorValue, SendIds, SendKey};
use crate::model::{Device, Draft, Mailbox, MsgId};

/// For how long a repeated send is known.
const SEND_AGE_US: u64 = 24 * 60 * 60 * 1_000_000;

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
                let index = self.index()?;
                guarded(|| index.send(key, days))?
            }
        };
        let counts = |ids: &SendIds| ids.first > floor && ids.first.0 + SEND_AGE_US > now_us;
        Ok(found.filter(counts))
    }

    /// The devices that this draft makes known, with their cursors.
    pub(super) fn unknown_devices(
        &self,
        made_known: &HashSet<Device>,
        draft: &Draft,
    ) -> Result<Vec<(Device, CursorValue)>, IndexError> {
        let Some(resource) = &draft.to_resource else {
            return Ok(Vec::new());
        };
        let mut unknown = Vec::new();
        for recipient in &draft.recipients {
            let device = Device {
                mailbox: Mailbox {
                    domain: draft.domain.clone(),
                    user: recipient.user.clone(),
                },
                resource: resource.clone(),
            };
            if made_known.contains(&device) || self.cursor(&device)?.is_some() {
                continue;
            }
            let floor = self.domains().floor(&draft.domain);
            let highest = self.highest_cursor(&device.mailbox)?;
            let value = CursorValue {
                id: highest.unwrap_or_default().max(floor),
                at_ms: self.clock.now_ms(),
            };
            unknown.push((device, value));
        }
        Ok(unknown)
    }
}
