//! The store that has been in use for years: where it is, and who is in it.

use std::path::PathBuf;
use std::time::Duration;

use relaybox::model::{Domain, Mailbox, UserId};
use relaybox::store::StoreOptions;

use crate::options;
use crate::settings::base;
use crate::traffic::DOMAIN;

/// The large mailbox; a tenth of all messages.
pub const READER: &str = "reader";
/// Sends one in a thousand of the reader's messages.
pub const RARE: &str = "rare";
/// Sends a quarter of them.
pub const FREQUENT: &str = "frequent";
/// How long it has been in use.
pub const AGE: Duration = Duration::from_secs(3 * 365 * 24 * 60 * 60);

/// Where it is.
pub fn dir() -> PathBuf {
    base().join("years")
}

/// Its options: a server's defaults, but for the minute that a new retention waits.
pub fn options() -> StoreOptions {
    let mut options = options::options(&dir());
    // What expires here is meant to.
    options.retention_notice = Duration::ZERO;
    options
}

/// The large mailbox.
pub fn reader() -> Mailbox {
    Mailbox {
        domain: Domain::parse(DOMAIN).unwrap(),
        user: UserId::parse(READER).unwrap(),
    }
}
