//! Inputs and actions of the machine.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::Validity;
use crate::hub::Taken;
use crate::model::{Mailbox, MsgId, Resource};
use crate::protocol::client_frame::{self, FrameRules};
use crate::protocol::close::CloseReason;
use crate::protocol::error_code::{ErrorCode, FrameError};
use crate::protocol::login::ReceiptMode;
use crate::store::Backlog;

/// An event for the machine.
#[derive(Debug)]
pub(crate) enum Input {
    /// A text message.
    Text(String),
    /// A message above the limit: its start, and its length.
    TooLarge {
        start: Vec<u8>,
        bytes: usize,
    },
    /// Answers [`Action::Refuse`].
    Refused(FrameError),
    /// A sign of life.
    Heard,
    /// So many Pings, already answered.
    Pinged(u32),
    Pong(Vec<u8>),
    /// The client closed, with this code.
    PeerClosed(Option<u16>),
    /// The client violates RFC 6455, or never completes a message.
    Broken(CloseReason),
    /// The stream ended without a Close.
    Ended,
    /// Everything queued has left through the socket.
    Flushed,
    Taken(Taken),
    /// Answers [`Action::Read`].
    Messages(Backlog),
    /// Answers [`Action::Read`].
    ReadFailed,
    /// Answers [`Action::GoLive`]: whether the outbox is live.
    Live(bool),
    /// Answers [`Action::CheckToken`].
    Token(Validity),
    /// The deadline of [`super::Machine::poll_timeout`], or any time before.
    Tick,
}

/// Work for the driver.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Read messages above this id from the store; answered by [`Input::Messages`].
    Read(MsgId),
    /// Ask the outbox to take deliveries above this id; answered by [`Input::Live`].
    GoLive(MsgId),
    /// Have the outbox take no more deliveries; it confirms with the last ones.
    FallBehind,
    /// Move the receipt cursor up to here, or renew its last use.
    Confirm(MsgId),
    Send(client_frame::Send),
    /// Count a bad frame against the rates, one of which may refuse it instead; answered by
    /// [`Input::Refused`].
    Refuse(FrameError),
    /// Count a refused frame.
    Refused(ErrorCode),
    /// Check the token again; answered by [`Input::Token`].
    CheckToken,
    /// The last action.
    End(End),
}

/// How a session ends on its socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Close(CloseReason),
    /// The peer closes with this code, which is echoed.
    Answer(u16),
    /// The stream has ended.
    Gone,
}

/// The time of an input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Since the session began; never goes back.
    pub(crate) elapsed: Duration,
    /// Milliseconds since the Unix epoch.
    pub(crate) wall_ms: u64,
}

/// The parameters of a session.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) mailbox: Mailbox,
    pub(crate) resource: Resource,
    pub(crate) rules: Arc<FrameRules>,
    pub(crate) receipts: ReceiptMode,
    /// The device's receipt cursor.
    pub(crate) cursor: MsgId,
    /// Deliveries begin above this: the cursor, or the client's `after`.
    pub(crate) after: MsgId,
    /// The newest message at the login; those above it are not `offline`.
    pub(crate) newest_at_login: MsgId,
    pub(crate) token_expires_at_ms: Option<u64>,
    /// Silence after which a Ping is sent.
    pub(crate) ping_interval: Duration,
    pub(crate) window: Window,
}

/// Most unconfirmed deliveries of a session before further ones wait; those already in the outbox still
/// leave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) messages_max: usize,
    /// Bytes of frames: the cost to the kernel of a peer that stopped reading.
    pub(crate) bytes_max: usize,
}

impl Window {
    pub(crate) const DEFAULT: Self = Self {
        messages_max: 8192,
        bytes_max: 2 << 20,
    };
}
