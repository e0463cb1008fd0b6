//! Close codes (PROTOCOL.md section 2): the one table from reasons to codes and texts.

use std::borrow::Cow;

/// Why the server ends a session or refuses a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// A login parameter is missing, empty, too long, repeated or malformed; the sentence names it.
    BadLogin(String),
    /// Token or domain unknown.
    Unauthorized,
    /// The token is past its expiry.
    TokenExpired,
    /// The token was rotated out or its domain removed, during a session.
    TokenRevoked,
    /// A valid user token, but of another user or domain.
    Forbidden(&'static str),
    /// A page whose origin may not log in.
    OriginRefused,
    /// A newer login of the same resource.
    Replaced,
    /// The user has reached the limit on sessions.
    TooManySessions {
        /// Sessions allowed per user.
        max: usize,
    },
    /// A limit on logins, connections or sends is exceeded, for now.
    OverLimit {
        /// The exceeded limit, as a sentence.
        sentence: String,
        /// Suggested wait before a retry, in milliseconds.
        retry_ms: u64,
    },
    /// More concurrent logins than the server takes, for now.
    Busy {
        /// Suggested wait before a retry, in milliseconds.
        retry_ms: u64,
    },
    /// The store is not open yet.
    Starting {
        /// Suggested wait before a retry, in milliseconds.
        retry_ms: u64,
    },
    /// The operator ended the session.
    Kicked,
    /// The server is shutting down.
    ShuttingDown,
    /// The server has reached its limit on sessions.
    AtCapacity,
    /// The store currently accepts nothing.
    StorageUnavailable,
    /// The client broke RFC 6455 or a limit; the code and sentence say how.
    Violation {
        /// 1002, 1003, 1007 or 1009.
        code: u16,
        /// The violation, as a sentence.
        reason: String,
    },
    /// A message was not completed in time.
    Unfinished {
        /// The time allowed for a message.
        seconds: u64,
    },
    /// The memory budget had no room for a long message, for now.
    NoRoom {
        /// Suggested wait before a retry, in milliseconds.
        retry_ms: u64,
    },
    /// The peer answered no ping for too long.
    PingTimeout,
    /// The window is full, and the Pongs received are no receipts: the client's library does not echo the payload.
    NoReceipts,
    /// An internal error of the server.
    Internal,
}

impl CloseReason {
    /// Names of the reasons for which a login may be refused.
    pub const OF_LOGINS: [&str; 13] = [
        "bad_parameter",
        "unauthorized",
        "token_expired",
        "token_revoked",
        "forbidden",
        "origin",
        "sessions_per_user",
        "over_limit",
        "busy",
        "sessions",
        "starting",
        "storage_unavailable",
        "internal",
    ];

    /// The code of the Close frame.
    pub fn code(&self) -> u16 {
        match self {
            Self::BadLogin(_) => 4400,
            Self::Unauthorized | Self::TokenExpired | Self::TokenRevoked => 4401,
            Self::Forbidden(_) | Self::OriginRefused => 4403,
            Self::NoReceipts => 4408,
            Self::Replaced => 4409,
            Self::Kicked => 4410,
            Self::TooManySessions { .. } | Self::OverLimit { .. } => 4529,
            Self::ShuttingDown => 1001,
            Self::AtCapacity
            | Self::Busy { .. }
            | Self::Starting { .. }
            | Self::StorageUnavailable
            | Self::NoRoom { .. } => 1013,
            Self::Unfinished { .. } => 1009,
            Self::Violation { code, .. } => *code,
            Self::PingTimeout | Self::Internal => 1011,
        }
    }

    /// The reason text of the Close frame.
    pub fn text(&self) -> Cow<'static, str> {
        let retry = |ms: &u64, why: &str| format!("retry in {ms} ms: {why}").into();
        match self {
            Self::BadLogin(sentence) => sentence.clone().into(),
            Self::Unauthorized => "the token or the domain is unknown".into(),
            Self::TokenExpired => "the token has expired".into(),
            Self::TokenRevoked => "the token has been revoked".into(),
            Self::Forbidden(sentence) => (*sentence).into(),
            Self::OriginRefused => {
                "pages of this `Origin` may not log in: the setting `ws_origins` does not list it"
                    .into()
            }
            Self::Replaced => "replaced by a newer login of the same resource".into(),
            Self::TooManySessions { max } => {
                format!("this user has {max} sessions already, the most it may have").into()
            }
            Self::OverLimit { sentence, retry_ms } => retry(retry_ms, sentence),
            Self::Busy { retry_ms } => retry(retry_ms, "too many logins at once"),
            Self::Starting { retry_ms } => retry(retry_ms, "the server is starting"),
            Self::Kicked => "ended by the operator".into(),
            Self::ShuttingDown => "the server is shutting down".into(),
            Self::AtCapacity => "the server is at its limit of sessions".into(),
            Self::StorageUnavailable => "the server's storage cannot be written".into(),
            Self::Violation { reason, .. } => reason.clone().into(),
            Self::Unfinished { seconds } => {
                format!("message not complete within {seconds} s: send a smaller one").into()
            }
            Self::NoRoom { retry_ms } => retry(retry_ms, "too many long messages at once"),
            Self::PingTimeout => "no answer to a ping".into(),
            Self::NoReceipts => {
                "Pongs without the Ping's payload confirm nothing: log in with receipts=manual"
                    .into()
            }
            Self::Internal => "internal error".into(),
        }
    }

    /// A short name for metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BadLogin(_) => "bad_parameter",
            Self::Unauthorized => "unauthorized",
            Self::TokenExpired => "token_expired",
            Self::TokenRevoked => "token_revoked",
            Self::Forbidden(_) => "forbidden",
            Self::OriginRefused => "origin",
            Self::Replaced => "replaced",
            Self::TooManySessions { .. } => "sessions_per_user",
            Self::OverLimit { .. } => "over_limit",
            Self::Busy { .. } => "busy",
            Self::Starting { .. } => "starting",
            Self::Kicked => "kicked",
            Self::ShuttingDown => "shutting_down",
            Self::AtCapacity => "sessions",
            Self::StorageUnavailable => "storage_unavailable",
            Self::Violation { .. } => "violation",
            Self::Unfinished { .. } => "unfinished",
            Self::NoRoom { .. } => "no_room",
            Self::PingTimeout => "ping_timeout",
            Self::NoReceipts => "no_receipts",
            Self::Internal => "internal",
        }
    }
}
