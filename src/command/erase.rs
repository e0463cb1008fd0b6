//! Erasing a mailbox, or its messages below an id.

use crate::model::{Mailbox, MsgId};
use crate::store::{AppendError, Store};

/// Why nothing was erased.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EraseError {
    /// The domain was removed, and all its mailboxes with it.
    #[error("the domain has been removed")]
    DomainRemoved,
    /// The erasure could not be made durable.
    #[error("{0}")]
    NotStored(String),
}

/// Erases a mailbox's messages below `before` (exclusive), or all of them, delivered or not. On
/// return they are gone from history and queues for good. Blocks on disk.
///
/// # Errors
/// Nothing was erased.
/// Nothing was erased.
pub fn erase(store: &Store, mailbox: &Mailbox, before: Option<MsgId>) -> Result<(), EraseError> {
    store.erase(mailbox, before).map_err(|error| match error {
        AppendError::DomainRemoved => EraseError::DomainRemoved,
        error => EraseError::NotStored(error.to_string()),
    })
}
