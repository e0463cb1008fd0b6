//! What a session does, as a pure state machine: inputs and time in, actions out, no I/O.
//!
//! ```text
//! CatchingUp ──(store read to its end, nothing missed)──→ Live
//!     ↑                                                    │
//!     └────────────(outbox overflowed: behind)─────────────┘      any ──→ Closed
//! ```
//!
//! Invariants:
//! - within the session, deliveries are written in strictly increasing `msgId`;
//! - the receipt cursor never moves above what has left through the socket;
//! - while output is being written, nothing more is taken or read from the store, so a slow
//!   reader costs one chunk and one outbox, whatever its backlog.

use std::time::Duration;

use crate::hub::{self, Taken};
use crate::model::{Mailbox, Message, MsgId, Resource};
use crate::protocol::client_frame::{self, ClientFrame, FrameRules};
use crate::protocol::close::CloseReason;
use crate::protocol::error_code::FrameError;
use crate::protocol::server_frame;
use crate::websocket::{Violation, writer};

/// Pings without any sign of life after which the peer counts as dead.
const UNANSWERED_PINGS_MAX: u32 = 2;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// A text message came from the client.
    Text(String),
    /// Something came in: a sign of life.
    Heard,
    /// The client closed, with this code.
    PeerClosed(Option<u16>),
    /// The client broke the rules of RFC 6455.
    Violation(Violation),
    /// The stream ended without a Close.
    Ended,
    /// Everything queued has left through the socket.
    Flushed,
    /// The outbox had something.
    Taken(Taken),
    /// The store answered [`Action::Read`].
    Messages(Vec<Message>),
    /// The store could not.
    ReadFailed,
    /// The outbox answered [`Action::GoLive`].
    Live(bool),
    /// The token was looked at again: revoked, or valid until then (ms since the epoch).
    Token(Option<Option<u64>>),
    /// The deadline of [`Machine::wake_in`] has come, or time passed otherwise.
    Tick,
}

/// What is to be done, in this order. Output is appended to the queue directly.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Read messages above this id from the store; answered by [`Input::Messages`].
    Read(MsgId),
    /// Ask the outbox to take deliveries above this id; answered by [`Input::Live`].
    GoLive(MsgId),
    /// Move the receipt cursor.
    Confirm(MsgId),
    /// Carry out a send.
    Send(client_frame::Send),
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
    /// The device's receipt cursor: everything above it is delivered.
    pub cursor: MsgId,
    /// The newest message at the login: what is above it is not `offline`.
    pub newest_at_login: MsgId,
    /// When the token ends, in milliseconds since the Unix epoch.
    pub token_expires_at_ms: Option<u64>,
    /// Time without any input after which a Ping is sent.
    pub ping_interval: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    CatchingUp,
    Live,
    Closed,
}

/// The state of one session.
#[derive(Debug)]
pub struct Machine {
    start: Start,
    state: State,
    /// The highest id that was queued for the socket, or passed over as another device's.
    position: MsgId,
    confirmed: MsgId,
    /// A read or a go-live is under way.
    asked: bool,
    /// Output is queued that has not left yet.
    writing: bool,
    heard_at: Duration,
    pings_unanswered: u32,
}

impl Machine {
    /// A session that begins by catching up; carry out what `actions` gets.
    pub fn new(start: Start, actions: &mut Vec<Action>) -> Self {
        let mut machine = Self {
            state: State::CatchingUp,
            position: start.cursor,
            confirmed: start.cursor,
            asked: false,
            writing: false,
            heard_at: Duration::ZERO,
            pings_unanswered: 0,
            start,
        };
        machine.read_on(actions);
        machine
    }

    /// Whether output is being written; nothing is then taken from the outbox.
    pub fn is_writing(&self) -> bool {
        self.writing
    }

    /// Whether the session believes that the outbox gets every delivery.
    pub fn is_live(&self) -> bool {
        self.state == State::Live
    }

    /// How long until [`Input::Tick`] is due.
    pub fn wake_in(&self, now: Now) -> Duration {
        let ping_at = self.heard_at + self.start.ping_interval * (self.pings_unanswered + 1);
        let until_ping = ping_at.saturating_sub(now.elapsed);
        match self.start.token_expires_at_ms {
            None => until_ping,
            Some(at_ms) => until_ping.min(Duration::from_millis(at_ms.saturating_sub(now.wall_ms))),
        }
    }

    /// Takes one input: appends output to `queue` and what is to be done to `actions`.
    pub fn handle(
        &mut self,
        input: Input,
        now: Now,
        rules: &FrameRules,
        queue: &mut Vec<u8>,
        actions: &mut Vec<Action>,
    ) {
        if self.state == State::Closed {
            return;
        }
        let queued_before = queue.len();
        match input {
            Input::Text(text) => self.text(&text, now, rules, queue, actions),
            Input::Heard => {
                self.heard_at = now.elapsed;
                self.pings_unanswered = 0;
            }
            Input::PeerClosed(code) => self.end(Action::AnswerClose(code.unwrap_or(1000)), actions),
            Input::Violation(Violation { code, reason }) => {
                self.close(CloseReason::Violation { code, reason }, actions);
            }
            Input::Ended => self.end(Action::End, actions),
            Input::Flushed => self.flushed(actions),
            Input::Taken(taken) => self.taken(taken, now, queue, actions),
            Input::Messages(messages) => self.messages(&messages, queue, actions),
            Input::ReadFailed => self.close(CloseReason::Internal, actions),
            Input::Live(true) => {
                self.asked = false;
                self.state = State::Live;
            }
            Input::Live(false) => {
                self.asked = false;
                self.read_on(actions);
            }
            Input::Token(None) => self.close(CloseReason::TokenRevoked, actions),
            Input::Token(Some(expires_at_ms)) => self.start.token_expires_at_ms = expires_at_ms,
            Input::Tick => self.tick(now, queue, actions),
        }
        self.writing |= queue.len() > queued_before;
    }

    fn text(
        &mut self,
        text: &str,
        now: Now,
        rules: &FrameRules,
        queue: &mut Vec<u8>,
        actions: &mut Vec<Action>,
    ) {
        match client_frame::parse(text, rules) {
            Ok(ClientFrame::Ping) => writer::text(queue, b"pong"),
            Ok(ClientFrame::Send(send)) => actions.push(Action::Send(send)),
            Err(error) => self.refuse(&error, now, queue),
        }
    }

    fn refuse(&self, error: &FrameError, now: Now, queue: &mut Vec<u8>) {
        let Mailbox { domain, user } = &self.start.mailbox;
        let mut json = Vec::new();
        server_frame::error(&mut json, domain, user, error, now.wall_ms);
        writer::text(queue, &json);
    }

    fn taken(&mut self, taken: Taken, now: Now, queue: &mut Vec<u8>, actions: &mut Vec<Action>) {
        if let Some(output) = taken.output {
            self.writing |= !output.frames.is_empty();
            if queue.is_empty() {
                *queue = output.frames;
            } else {
                queue.extend_from_slice(&output.frames);
            }
            for error in &output.errors {
                self.refuse(error, now, queue);
                self.writing = true;
            }
            self.position = self.position.max(output.passed);
            if output.behind {
                self.state = State::CatchingUp;
                self.read_on(actions);
            }
        }
        if taken.recheck {
            actions.push(Action::CheckToken);
        }
        if let Some(reason) = taken.close {
            self.close(reason, actions);
        }
    }

    fn messages(&mut self, messages: &[Message], queue: &mut Vec<u8>, actions: &mut Vec<Action>) {
        self.asked = false;
        let Some(last) = messages.last() else {
            self.asked = true;
            return actions.push(Action::GoLive(self.position));
        };
        let mut json = Vec::new();
        for message in messages {
            if hub::is_for(message, &self.start.resource) {
                json.clear();
                let offline = message.id <= self.start.newest_at_login;
                server_frame::message(&mut json, message, offline);
                writer::text(queue, &json);
                self.writing = true;
            }
        }
        self.position = last.id;
        self.read_on(actions);
    }

    /// The next step of catching up, once all output has left.
    fn read_on(&mut self, actions: &mut Vec<Action>) {
        if self.state == State::CatchingUp && !self.asked && !self.writing {
            self.confirm(actions);
            self.asked = true;
            actions.push(Action::Read(self.position));
        }
    }

    fn flushed(&mut self, actions: &mut Vec<Action>) {
        self.writing = false;
        self.confirm(actions);
        self.read_on(actions);
    }

    fn confirm(&mut self, actions: &mut Vec<Action>) {
        if self.position > self.confirmed {
            self.confirmed = self.position;
            actions.push(Action::Confirm(self.position));
        }
    }

    fn tick(&mut self, now: Now, queue: &mut Vec<u8>, actions: &mut Vec<Action>) {
        if self
            .start
            .token_expires_at_ms
            .is_some_and(|at_ms| at_ms <= now.wall_ms)
        {
            return self.close(CloseReason::TokenExpired, actions);
        }
        let silent = now.elapsed.saturating_sub(self.heard_at);
        if silent < self.start.ping_interval * (self.pings_unanswered + 1) {
            return;
        }
        if self.pings_unanswered >= UNANSWERED_PINGS_MAX {
            return self.close(CloseReason::PingTimeout, actions);
        }
        self.pings_unanswered += 1;
        writer::ping(queue, b"");
    }

    fn close(&mut self, reason: CloseReason, actions: &mut Vec<Action>) {
        self.end(Action::Close(reason), actions);
    }

    fn end(&mut self, action: Action, actions: &mut Vec<Action>) {
        self.state = State::Closed;
        actions.push(action);
    }
}

#[cfg(test)]
mod tests;
