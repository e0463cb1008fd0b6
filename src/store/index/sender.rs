//! Reads which messages of a mailbox are from one sender: see [`super::senders`].

use std::ops::Range;

use super::database::Index;
use super::error::IndexError;
use super::{key, messages, search, senders};
use crate::model::{Mailbox, UserId};

/// A sender's messages in a mailbox at one moment. Stays valid while flushes move ids between the
/// tiers.
pub(super) struct SenderIds {
    /// The prefix of its keys.
    prefix: Vec<u8>,
    /// Messages under its keys.
    keyed: u64,
    /// Ids of later messages.
    later: Vec<u64>,
}

impl Index {
    /// Reads the tiers in the order that misses nothing.
    pub(super) fn sender_ids(
        &self,
        mailbox: &Mailbox,
        from: &UserId,
    ) -> Result<SenderIds, IndexError> {
        let from = from.as_str().as_bytes();
        let mailbox = key::prefix(mailbox);
        let mut later = Vec::new();
        let mut summarised = 0;
        for found in search::upwards(&self.summaries, &mailbox, 0) {
            let found = found?;
            summarised = found.head.last_id;
            senders::find(&self.opened(&found)?, found.first_id, from, &mut later)?;
        }
        for found in search::above(&self.messages, &mailbox, summarised)? {
            let found = found?;
            messages::each(&self.opened(&found)?, |row| {
                if row.sender() == from && row.id > summarised {
                    later.push(row.id);
                }
            })?;
        }
        let prefix = key::with_sender(&mailbox, from);
        let last = search::at_or_below(&self.senders, &prefix, u64::MAX)?;
        let (keyed, last_id) = last.map_or((0, 0), |last| (last.head.end(), last.head.last_id));
        later.drain(..later.partition_point(|id| *id <= last_id));
        Ok(SenderIds {
            prefix,
            keyed,
            later,
        })
    }

    /// The number of messages with an id of at most `upto`.
    pub(super) fn rank_from(&self, sender: &SenderIds, upto: u64) -> Result<u64, IndexError> {
        if sender.later.first().is_some_and(|first| *first <= upto) {
            let later = sender.later.partition_point(|id| *id <= upto);
            return Ok(sender.keyed + later as u64);
        }
        let Some(found) = search::at_or_below(&self.senders, &sender.prefix, upto)? else {
            return Ok(0);
        };
        if found.head.last_id <= upto {
            return Ok(found.head.end());
        }
        let ids = senders::ids(&self.opened(&found)?)?;
        Ok(found.head.position + ids.partition_point(|id| *id <= upto) as u64)
    }

    pub(super) fn ids_from(
        &self,
        sender: &SenderIds,
        positions: Range<u64>,
    ) -> Result<Vec<u64>, IndexError> {
        let mut ids = Vec::new();
        let keyed = positions.start..positions.end.min(sender.keyed);
        if !keyed.is_empty() {
            let first = search::holding(&self.senders, &sender.prefix, keyed.start)?;
            let first = first.ok_or("a sender's ids are missing")?;
            for found in search::upwards(&self.senders, &sender.prefix, first.first_id) {
                let found = found?;
                if found.head.position >= keyed.end {
                    break;
                }
                let these = senders::ids(&self.opened(&found)?)?;
                let these = (found.head.position..).zip(these);
                let wanted = these.filter(|(position, _)| keyed.contains(position));
                ids.extend(wanted.map(|(_, id)| id));
            }
        }
        let later = (sender.keyed..).zip(&sender.later);
        let later = later.filter(|(position, _)| positions.contains(position));
        ids.extend(later.map(|(_, id)| *id));
        Ok(ids)
    }
}
