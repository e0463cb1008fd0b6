//! Names: bounded texts without control characters (PROTOCOL.md section 1).

use std::fmt;
use std::sync::Arc;

/// Why a text is not a valid name. `Display` completes the sentence "`field` …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text has no bytes.
    #[error("must not be empty")]
    Empty,
    /// The text exceeds the maximum length in bytes of UTF-8.
    #[error("must be at most {max_bytes} bytes of UTF-8")]
    TooLong {
        /// Maximum length in bytes.
        max_bytes: usize,
    },
    /// The text contains a control character (U+0000–1F, 7F–9F).
    #[error("must not contain control characters")]
    ControlCharacter,
}

/// Checks a text by the rules of PROTOCOL.md section 1.
///
/// # Errors
/// The broken rule.
pub fn check_name(text: &str, max_bytes: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > max_bytes {
        return Err(NameError::TooLong { max_bytes });
    }
    // `char::is_control` is the general category Cc: exactly U+0000–1F and U+007F–9F.
    if text.chars().any(char::is_control) {
        return Err(NameError::ControlCharacter);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $max_bytes:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Maximum length in bytes of UTF-8.
            pub const MAX_BYTES: usize = $max_bytes;

            /// Validates a text by the rules of PROTOCOL.md section 1.
            ///
            /// # Errors
            /// The broken rule.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check_name(text, Self::MAX_BYTES)?;
                Ok(Self(text.into()))
            }

            /// The validated text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// A tenant: one project with its own users and tokens. Nothing crosses domains.
    Domain,
    253
);
name!(
    /// A user's id within its domain.
    UserId,
    128
);
name!(
    /// The display name of a user, as its session gave it.
    UserName,
    256
);
name!(
    /// One device or tab of a user (phone, web, …), as in XMPP.
    Resource,
    64
);
name!(
    /// The sender's own id of a send: asks for an acknowledgement and makes it idempotent.
    ClientMsgId,
    64
);

impl UserId {
    /// The reserved id of the server itself.
    pub const SYSTEM: &'static str = "system";

    /// Whether this is the reserved id `system`.
    pub fn is_system(&self) -> bool {
        self.as_str() == Self::SYSTEM
    }
}

impl UserName {
    /// Whether this is the reserved name of the server itself.
    pub fn is_system(&self) -> bool {
        self.as_str() == UserId::SYSTEM
    }
}

impl Resource {
    /// The resource that the server and backends send from.
    pub fn server() -> Self {
        Self("server".into())
    }
}
