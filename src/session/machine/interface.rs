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
use crate::websocket::Event;

/// An event for the machine.
#[derive(Debug)]
pub(crate) enum Input {
    Event(Event),
    /// Answers [`Action::Refuse`].
    Refused(FrameError),
    /// A sign of life.
    Heard,
    /// The client did not complete a message in time.
    Broken(CloseReason),
    Taken(Taken),
    /// Answers [`Action::Read`].
    Messages(Backlog),
    /// Answers [`Action::Read`].
    ReadFailed,
    /// Answers [`Action::GoLive`]: whether the outbox is live.
    Live(bool),
    /// Answers [`Action::CheckToken`].
    Token(Validity),
    /// The deadline of [`super::Machine::poll_timeout`] has come; may be early.
    Tick,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Read messages above this id from the store; answered by [`Input::Messages`].
    Read(MsgId),
    /// Ask the outbox to take deliveries above this id; answered by [`Input::Live`].
    GoLive(MsgId),
    /// Tell the outbox to stop taking deliveries; it confirms with the last ones.
    FallBehind,
    /// Move the receipt cursor up to this id, or renew its last use.
    Confirm(MsgId),
    Send(client_frame::Send),
    /// Count a bad frame against the rates, one of which may replace the error; answered by
    /// [`Input::Refused`].
    Refuse(FrameError),
    Refused(ErrorCode),
    /// Check the token again; answered by [`Input::Token`].
    CheckToken,
    End(End),
}

/// How the session ends at the socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Close(CloseReason),
    /// Echo the close code of the peer.
    Answer(u16),
    Gone,
}

/// The time of an input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Time since the session began; monotonic.
    pub(crate) elapsed: Duration,
    /// Milliseconds since the Unix epoch.
    pub(crate) wall_ms: u64,
}

#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) mailbox: Mailbox,
    pub(crate) resource: Resource,
    pub(crate) rules: Arc<FrameRules>,
    pub(crate) receipts: ReceiptMode,
    pub(crate) cursor: MsgId,
    /// Lower bound of deliveries (exclusive): the cursor, or the client's `after`.
    pub(crate) after: MsgId,
    /// The newest message at the login; later ones are not `offline`.
    pub(crate) newest_at_login: MsgId,
    pub(crate) token_expires_at_ms: Option<u64>,
    /// Silence after which a Ping is sent.
    pub(crate) ping_interval: Duration,
    pub(crate) window: Window,
}

/// Most unconfirmed deliveries before further ones wait; those already in the outbox still leave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) messages_max: usize,
    /// Bytes of frames: the kernel memory that a peer costs when it stops reading.
    pub(crate) bytes_max: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            messages_max: 8192,
            bytes_max: 2 << 20,
        }
    }
}
