//! One batch of the committer, staged until its frame is durable.

use std::collections::HashMap;

use super::cursors::StagedCursors;
use crate::model::{Mailbox, Message, MsgId};
use crate::store::age::AgeClock;
use crate::store::api::{Accepted, AppendError, Done};
use crate::store::data::{Record, SendIds, SendKey};

/// What a batch will be once its frame is durable.
#[derive(Default)]
pub(super) struct StagedBatch {
    pub(super) messages: Vec<Message>,
    pub(super) sends: Vec<(SendKey, SendIds)>,
    pub(super) repeats: HashMap<SendKey, SendIds>,
    pub(super) cursors: StagedCursors,
    pub(super) domain: Option<Record>,
    pub(super) erased: Option<(Mailbox, MsgId)>,
    pub(super) age: Option<AgeClock>,
    pub(super) sealed: bool,
    pub(super) appends: Vec<(Done, Result<Accepted, AppendError>)>,
}

/// Which room a frame may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Budget {
    /// While none is kept back, none.
    Free,
    /// Also what is kept back.
    Kept,
}
