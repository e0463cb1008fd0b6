//! Erasing a mailbox, or the older part of it.

use crate::model::{Mailbox, MsgId};
use crate::store::{AppendError, Store};

/// Why nothing was erased.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EraseError {
    /// The domain has been removed, and everything with it.
    #[error("the domain has been removed")]
    DomainRemoved,
    /// It could not be made durable.
    #[error("{0}")]
    NotStored(String),
}

/// Erases the messages of a mailbox below `before` (exclusive), or all of them, delivered or not. When this
/// returns they are gone from history and queues for good. Blocks on disk.
///
/// # Errors
/// Nothing was erased.
pub fn erase(store: &Store, mailbox: &Mailbox, before: Option<MsgId>) -> Result<(), EraseError> {
    store.erase(mailbox, before).map_err(|error| match error {
        AppendError::DomainRemoved => EraseError::DomainRemoved,
        error => EraseError::NotStored(error.to_string()),
    })
}
