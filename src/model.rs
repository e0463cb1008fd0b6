//! The nouns of the protocol, parsed once at the edge and trusted from then on.
//!
//! Holds only types and the rules of PROTOCOL.md section 1; independent of sockets and storage. Names are cheap to
//! clone (`Arc<str>`), because a message passes through many hands between its sender's socket and its recipients'.

mod integer;
mod limit_options;
mod name;
mod nearest;
mod rate;
mod retention;
mod sent;

pub use integer::{at_least, integer, unsigned};
pub use limit_options::{DiskFloor, LimitOptions, Networks, StrangersMax, logged_in_max};
pub use name::{ClientMsgId, Domain, NameError, Resource, UserId, UserName, check_name};
pub use nearest::nearest;
pub use rate::{PerDomain, Rate};
pub use retention::Retention;
pub use sent::MESSAGE_BYTES;

use std::fmt;
use std::sync::Arc;

/// A message's timestamp key: microseconds since the Unix epoch, strictly increasing over the whole server and never
/// reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MsgId(pub u64);

impl MsgId {
    /// Smaller than the id of every message.
    pub const ZERO: Self = Self(0);
    /// The largest id that a JSON number carries exactly: 2^53 − 1.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// Parses an integer in any JSON notation, at most [`MsgId::MAX`].
    pub fn parse(text: &str) -> Option<Self> {
        unsigned(text).map(Self).filter(|id| *id <= Self::MAX)
    }

    /// Parses decimal digits alone, at most [`MsgId::MAX`].
    pub fn parse_digits(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        Self::parse(text).filter(|_| digits)
    }

    /// `sendAt` of the message: milliseconds since the Unix epoch.
    pub fn send_at_ms(self) -> u64 {
        self.0 / 1000
    }
}

impl fmt::Display for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number in a message's `type` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageType(pub u32);

impl MessageType {
    /// `type` 100: reserved for holders of a project token or of the capability `system`.
    pub const SYSTEM: Self = Self(100);
    /// The types known to every server: text, image, voice, audio/video, system.
    pub const BASE: [Self; 5] = [Self(10), Self(20), Self(30), Self(40), Self::SYSTEM];
}

/// A user of a domain, and with it the mailbox of all messages addressed to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mailbox {
    /// The domain, and thus the tenant.
    pub domain: Domain,
    /// Id of the user (`toId`).
    pub user: UserId,
}

/// One resource of a user: the identity of a session, and the owner of a receipt cursor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device {
    /// The user, whose mailbox it reads.
    pub mailbox: Mailbox,
    /// The device or tab.
    pub resource: Resource,
}

/// One recipient of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// `toId`.
    pub user: UserId,
    /// Whether the user had no session at all when the message was sent.
    pub offline: bool,
}

/// A validated message that has not been accepted yet: it has no `msgId`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The tenant of sender and recipients.
    pub domain: Domain,
    /// The users who get a copy; at least one.
    pub recipients: Vec<Recipient>,
    /// Restricts delivery to this resource of each recipient.
    pub to_resource: Option<Resource>,
    /// User id of the sender.
    pub from_id: UserId,
    /// Display name of the sender.
    pub from_name: UserName,
    /// The resource it was sent from.
    pub from_resource: Resource,
    /// The `type` field.
    pub kind: MessageType,
    /// The JSON text of the `content` field, byte for byte as sent.
    pub content: Arc<str>,
    /// Present if the sender asked for an acknowledgement.
    pub client_msg_id: Option<ClientMsgId>,
}

/// An accepted message: durable, and never changed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its identity, order and time.
    pub id: MsgId,
    /// The recipient's mailbox.
    pub mailbox: Mailbox,
    /// Restricts delivery to this resource of the recipient.
    pub to_resource: Option<Resource>,
    /// User id of the sender.
    pub from_id: UserId,
    /// Display name of the sender at the time.
    pub from_name: UserName,
    /// The resource it was sent from.
    pub from_resource: Resource,
    /// The `type` field.
    pub kind: MessageType,
    /// The JSON text of the `content` field, byte for byte as sent.
    pub content: Arc<str>,
    /// Whether the recipient had no session at all when it was sent.
    pub recipient_offline: bool,
}

/// A project token as stored: never the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectToken {
    /// SHA-256 of the token's bytes.
    pub sha256: [u8; 32],
    /// Milliseconds since the Unix epoch at which it expires; `None`: never.
    pub expires_at_ms: Option<u64>,
}

/// A signing key of a domain's user tokens (HS256).
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The HMAC key; never in a log line or an error.
    pub secret: [u8; 32],
    /// Milliseconds since the Unix epoch at which its tokens expire; `None`: never.
    pub expires_at_ms: Option<u64>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("expires_at_ms", &self.expires_at_ms)
            .finish_non_exhaustive()
    }
}

/// A domain as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRecord {
    /// The tenant's name.
    pub domain: Domain,
    /// Milliseconds since the Unix epoch at which it was added.
    pub created_at_ms: u64,
    /// Project tokens, the current one first.
    pub tokens: Vec<ProjectToken>,
    /// Signing keys, the current one first; at least one.
    pub signing_keys: Vec<SigningKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_in_bytes_and_without_control_characters() {
        assert_eq!(UserId::parse(""), Err(NameError::Empty));
        assert!(UserId::parse(&"é".repeat(64)).is_ok());
        assert_eq!(
            UserId::parse(&"é".repeat(65)),
            Err(NameError::TooLong { max_bytes: 128 })
        );
        for control in ['\0', '\u{1f}', '\u{7f}', '\u{9f}'] {
            assert_eq!(
                Domain::parse(&format!("a{control}b")),
                Err(NameError::ControlCharacter)
            );
        }
        assert!(Domain::parse("a/b:c%中文🙂\u{a0}").is_ok());
    }

    #[test]
    fn send_at_is_the_floor_in_milliseconds() {
        assert_eq!(MsgId(1_764_000_000_123_999).send_at_ms(), 1_764_000_000_123);
    }
}
