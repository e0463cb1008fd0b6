//! Error codes of refused frames and requests (PROTOCOL.md sections 3 and 7).

use crate::model::ClientMsgId;

/// The `code` of an error, on the socket and over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// Not JSON, or JSON that is not an object.
    InvalidJson,
    /// A field or parameter is missing or invalid.
    InvalidField,
    /// The message type is unknown here, or forbidden to the sender.
    TypeNotAllowed,
    /// The content exceeds its size limit.
    TooLarge,
    /// The sender's rate limit is exceeded.
    RateLimited,
    /// The rate limit of the sender's domain is exceeded: the same to the client, but not its own doing.
    DomainRateLimited,
    /// The store currently accepts nothing.
    StorageUnavailable,
}

impl ErrorCode {
    /// Every error code, in order of declaration.
    pub const ALL: [Self; 7] = [
        Self::InvalidJson,
        Self::InvalidField,
        Self::TypeNotAllowed,
        Self::TooLarge,
        Self::RateLimited,
        Self::DomainRateLimited,
        Self::StorageUnavailable,
    ];

    /// Whether the sender of the frame could have known better.
    pub fn is_own_fault(self) -> bool {
        !matches!(self, Self::DomainRateLimited | Self::StorageUnavailable)
    }

    /// The code as written in the JSON.
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

/// Why a client frame was refused; none of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FrameError {
    /// Machine-readable kind of the refusal.
    pub code: ErrorCode,
    /// The offending field, if there is one.
    pub field: Option<&'static str>,
    /// A sentence for the client that names the field and its expected value.
    pub message: String,
    /// The frame's `clientMsgId`, if it had a valid one.
    pub client_msg_id: Option<ClientMsgId>,
}
