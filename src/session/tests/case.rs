//! Shared by all of a case: its limits, and how it fails.

use std::sync::Arc;

use proptest::test_runner::TestCaseError;

use crate::model::{MessageType, MsgId};
use crate::protocol::client_frame::FrameRules;
use crate::session::machine::Window;

/// Wall-clock time at the start of a case, in milliseconds.
pub(super) const WALL_MS: u64 = 1_000_000;

/// Most bytes of a message's frame apart from its content.
pub(super) const FRAME_BYTES_MAX: usize = 180;

/// Fewest bytes of a message's frame.
pub(super) const FRAME_BYTES_MIN: usize = 100;

/// Most bytes of a message's content.
pub(super) const CONTENT_BYTES_MAX: usize = 250;

pub(super) type Failure = TestCaseError;
pub(super) type Checked = Result<(), Failure>;

pub(super) fn fail(what: String) -> Failure {
    TestCaseError::fail(what)
}

/// The limits of a case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) window: Window,
    pub(super) chunk_messages: usize,
    pub(super) chunk_bytes: usize,
    pub(super) outbox_bytes_max: usize,
    pub(super) to_client_bytes: usize,
    pub(super) to_server_bytes: usize,
    pub(super) interval_ms: u64,
    /// Reads of the store are answered at once.
    pub(super) store_at_once: bool,
    /// Before the last logins the server is killed; otherwise they replace the existing sessions.
    pub(super) ends_with_restart: bool,
    pub(super) ends_manual: bool,
}

impl Settings {
    /// Most messages per read of the store, and most bytes of their frames.
    pub(super) fn chunk_max(&self) -> (usize, usize) {
        let frames = self.chunk_bytes + CONTENT_BYTES_MAX + self.chunk_messages * FRAME_BYTES_MAX;
        (self.chunk_messages, frames)
    }
}

/// Known facts about a session when it begins.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) device: usize,
    pub(super) manual: bool,
    pub(super) began_ms: u64,
    /// The device's cursor, and the lower bound of deliveries (exclusive).
    pub(super) cursor: MsgId,
    pub(super) after: MsgId,
    /// The newest message certainly there before the login, and the newest possibly there.
    pub(super) published: MsgId,
    pub(super) committed: MsgId,
    pub(super) settings: Settings,
}

pub(super) fn rules() -> Arc<FrameRules> {
    Arc::new(FrameRules {
        content_bytes_max: 1000,
        content_depth_max: 60,
        types: MessageType::BASE.into(),
    })
}
