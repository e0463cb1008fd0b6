//! What goes into the machine, and what comes out of it.

use std::time::Duration;

use crate::auth::Validity;
use crate::hub::Taken;
use crate::model::{Mailbox, MsgId, Resource};
use crate::protocol::client_frame;
use crate::protocol::close::CloseReason;
use crate::protocol::error_code::{ErrorCode, FrameError};
use crate::protocol::login::ReceiptMode;
use crate::store::Backlog;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// A text message came from the client.
    Text(String),
    /// A message of more bytes than one may have came, of which only the start was kept.
    TooLarge {
        /// Its start.
        start: Vec<u8>,
        /// How many bytes it had.
        bytes: usize,
    },
    /// The answer to [`Action::Refuse`]: with what the frame is refused.
    Refused(FrameError),
    /// Something came in: a sign of life.
    Heard,
    /// So many Pings came, and are answered.
    Pinged(u32),
    /// A Pong came, with this payload.
    Pong(Vec<u8>),
    /// The client closed, with this code.
    PeerClosed(Option<u16>),
    /// What the client sends ends its session for this reason: it breaks the rules of RFC 6455, or is never complete.
    Broken(CloseReason),
    /// The stream ended without a Close.
    Ended,
    /// Everything queued has left through the socket.
    Flushed,
    /// The outbox had something.
    Taken(Taken),
    /// The store answered [`Action::Read`].
    Messages(Backlog),
    /// The store could not.
    ReadFailed,
    /// The outbox answered [`Action::GoLive`].
    Live(bool),
    /// The answer to [`Action::CheckToken`].
    Token(Validity),
    /// The deadline of [`super::Machine::wake_in`] has come, or time passed otherwise.
    Tick,
}

/// What is to be done, in this order. Output is appended to the queue directly.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Read messages above this id from the store; answered by [`Input::Messages`].
    Read(MsgId),
    /// Ask the outbox to take deliveries above this id; answered by [`Input::Live`].
    GoLive(MsgId),
    /// Have the outbox take no more deliveries; it says so with the last ones that it took.
    FallBehind,
    /// Move the receipt cursor up to here, or say again that it is in use.
    Confirm(MsgId),
    /// Carry out a send.
    Send(client_frame::Send),
    /// Refuse a frame with this error, unless a rate says more; answered by [`Input::Refused`].
    Refuse(FrameError),
    /// Note that a frame was refused with this code.
    Refused(ErrorCode),
    /// Look at the token again; answered by [`Input::Token`].
    CheckToken,
    /// Send a Close with this reason, and end.
    Close(CloseReason),
    /// Answer the client's Close with this code, and end.
    AnswerClose(u16),
    /// End at once: there is nobody to talk to.
    End,
}

/// What the clocks show at an input.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Since the session began; never goes back.
    pub elapsed: Duration,
    /// The time of day, in milliseconds since the Unix epoch.
    pub wall_ms: u64,
}

/// What a session starts from.
#[derive(Debug)]
pub struct Start {
    /// The user.
    pub mailbox: Mailbox,
    /// Its device.
    pub resource: Resource,
    /// Who confirms deliveries.
    pub receipts: ReceiptMode,
    /// The device's receipt cursor.
    pub cursor: MsgId,
    /// Everything above this is delivered: the cursor, or what the client has asked for.
    pub after: MsgId,
    /// The newest message at the login: what is above it is not `offline`.
    pub newest_at_login: MsgId,
    /// When the token ends, in milliseconds since the Unix epoch.
    pub token_expires_at_ms: Option<u64>,
    /// Time without any input after which a Ping is sent.
    pub ping_interval: Duration,
    /// How much is delivered ahead of its receipts.
    pub window: Window,
}

/// Most unconfirmed deliveries of a session before further ones wait; what is under way then still
/// comes.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Most messages.
    pub messages_max: usize,
    /// Most bytes of their frames: what a peer that stopped reading may cost the kernel.
    pub bytes_max: usize,
}

impl Window {
    /// What every session of a server has.
    pub const DEFAULT: Self = Self {
        messages_max: 8192,
        bytes_max: 2 << 20,
    };
}
