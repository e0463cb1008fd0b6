//! Idempotency keys: which ids an accepted send was given, and for how long a repeat is known.

use std::time::Duration;

use bincode::{Decode, Encode};

use crate::model::{ClientMsgId, Domain, MsgId, UserId};
use crate::store::age::Ages;

/// A `clientMsgId` with its sender.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SendKey {
    pub(crate) domain: Domain,
    pub(crate) from_id: UserId,
    pub(crate) client_msg_id: ClientMsgId,
}

/// `count` consecutive ids from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SendIds {
    pub(crate) first: MsgId,
    pub(crate) count: u32,
}

impl SendIds {
    /// One id for each recipient, in their order.
    pub(crate) fn ids(self) -> Vec<MsgId> {
        let ids = (self.first.0..).take(self.count as usize);
        ids.map(MsgId).collect()
    }

    pub(crate) fn last(self) -> MsgId {
        MsgId((self.first.0 + u64::from(self.count)).saturating_sub(1))
    }
}

/// How long a repeat is recognised.
const SEND_AGE: Duration = Duration::from_secs(24 * 60 * 60);

impl Ages {
    /// Sends up to this id are forgotten.
    pub(crate) fn newest_forgotten(&self) -> MsgId {
        self.newest_of_age(SEND_AGE)
    }

    /// Sends of earlier days are forgotten.
    pub(crate) fn day_min(&self) -> u64 {
        day(self.newest_forgotten().0.saturating_add(1))
    }
}

const US_PER_DAY: u64 = 24 * 60 * 60 * 1_000_000;

/// The UTC day of an id.
pub(crate) fn day(id: u64) -> u64 {
    id / US_PER_DAY
}
