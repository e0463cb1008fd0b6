//! Who is allowed only a few answers at a time.

use crate::limits::{Limit, Network};
use crate::model::Mailbox;

/// Whoever holds a project token is trusted, and is none of these.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Requester {
    /// A user, by user tokens.
    User(Mailbox),
    /// A request without a token, by its network.
    Address(Network),
}

impl Requester {
    pub(super) fn limit(&self) -> Limit {
        match self {
            Self::User(_) => Limit::HistoryAnswersPerUser,
            Self::Address(_) => Limit::HistoryAnswersPerAddress,
        }
    }
}
