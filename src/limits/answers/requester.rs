//! Identity whose concurrent answers are limited.

use ipnet::IpNet;

use crate::limits::Limit;
use crate::model::Mailbox;

/// The identity behind a history request. Holders of a project token are trusted and have none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Requester {
    /// A user, authenticated by a user token.
    User(Mailbox),
    /// The network of a request without a token.
    Address(IpNet),
}

impl Requester {
    pub(super) fn limit(&self) -> Limit {
        match self {
            Self::User(_) => Limit::HistoryAnswersPerUser,
            Self::Address(_) => Limit::HistoryAnswersPerAddress,
        }
    }
}
