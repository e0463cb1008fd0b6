//! The codes of refused frames and requests (PROTOCOL.md sections 3 and 7).

use crate::model::ClientMsgId;

/// The `code` of an error, on the socket and over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// Not JSON, or JSON that is no object.
    InvalidJson,
    /// A field or parameter is missing or wrong.
    InvalidField,
    /// The message type is unknown here, or the sender may not use it.
    TypeNotAllowed,
    /// The content is over the limit.
    TooLarge,
    /// More sends than the sender may.
    RateLimited,
    /// More sends than the sender's domain may: the same for the client, but not its own doing.
    DomainRateLimited,
    /// The store accepts nothing at the moment.
    StorageUnavailable,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::InvalidJson,
        Self::InvalidField,
        Self::TypeNotAllowed,
        Self::TooLarge,
        Self::RateLimited,
        Self::DomainRateLimited,
        Self::StorageUnavailable,
    ];

    /// Whether the one who sent the frame could have known better.
    pub fn is_own_fault(self) -> bool {
        !matches!(self, Self::DomainRateLimited | Self::StorageUnavailable)
    }

    /// The code as it stands in the JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidField => "invalid_field",
            Self::TypeNotAllowed => "type_not_allowed",
            Self::TooLarge => "too_large",
            Self::RateLimited | Self::DomainRateLimited => "rate_limited",
            Self::StorageUnavailable => "storage_unavailable",
        }
    }
}

/// Why a client frame was refused; nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FrameError {
    /// What kind of refusal it is.
    pub code: ErrorCode,
    /// The field that is to blame, where one is.
    pub field: Option<&'static str>,
    /// A sentence for the client that names the field and what was expected.
    pub message: String,
    /// The frame's `clientMsgId`, where it had a valid one.
    pub client_msg_id: Option<ClientMsgId>,
}
