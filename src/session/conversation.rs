//! What a session's task does with its machine: polls in a fixed order for what may happen, tells the
//! machine, and carries out its actions.
//!
//! Never waits itself, never spawns, and reaches the server only through [`Services`]. Invariant:
//! dropping a pending poll loses nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::auth::Validity;
use crate::hub::{Outbox, Registration};
use crate::model::MsgId;
use crate::protocol::client_frame::{self, FrameRules};
use crate::protocol::close::CloseReason;
use crate::protocol::error_code::{ErrorCode, FrameError};
use crate::session::machine::{Action, Input, Machine, Now, Start};
use crate::store::Backlog;
use crate::websocket::{Connection, Event, Violation};

/// How long a message may take from its first byte to its last.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long it may wait for room, which is no part of that.
const ROOM_TIMEOUT: Duration = Duration::from_secs(30);

/// When it is worth to come back then: room that was full for so long is not empty at once.
const ROOM_RETRY: Duration = Duration::from_secs(5);

/// What a session needs of its server.
pub(super) trait Services {
    /// What the clocks show.
    fn now(&self) -> Now;

    /// What frames may hold.
    fn rules(&self) -> &FrameRules;

    /// Most bytes waiting to be written; while there are more, nothing is read from the socket.
    fn output_bytes_max(&self) -> usize;

    /// Ready while the store keeps up: senders that are faster are slowed down, not refused.
    fn poll_keeps_up(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Begins to read messages above `after` from the store, in place of any read before.
    fn read(&mut self, after: MsgId);

    /// The answer to the read that is under way, `None` where it failed. Pending where there is none.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Backlog>>;

    /// Moves the device's receipt cursor.
    fn confirm(&self, id: MsgId);

    /// Carries out a send; `outbox` gets its outcome.
    fn send(&self, outbox: &Arc<Outbox>, send: client_frame::Send);

    /// Counts a bad frame as a send: what it is refused with.
    fn refuse(&self, error: FrameError) -> FrameError;

    /// A frame of the client was refused with this code.
    fn refused(&self, code: ErrorCode);

    /// As [`Input::Token`].
    fn validity(&self) -> Validity;
}

/// Wakes a session when time alone makes something happen. May be ready too early.
pub(super) trait Timer: Future<Output = ()> {
    /// From now on is ready once `time` has passed.
    fn wake_in(self: Pin<&mut Self>, time: Duration);
}

/// How a session ends on its socket.
#[derive(Debug)]
pub(super) enum End {
    /// With this reason.
    Close(CloseReason),
    /// The peer closes with this code, and is answered.
    Answer(u16),
    /// There is nobody to talk to.
    Gone,
}

/// A session that has been admitted; its place in the hub goes when this is dropped.
pub(super) struct Conversation<S> {
    services: S,
    registration: Registration,
    outbox: Arc<Outbox>,
    machine: Machine,
    /// What the machine wants done next.
    actions: Vec<Action>,
    /// Nothing was read because the store is behind, or memory short: what the peer said is not known.
    deaf: bool,
    /// The message that has come in part, whether it waits for room, and since when both are so.
    unfinished: Option<((u32, bool), Duration)>,
}

impl<S: Services> Conversation<S> {
    pub(super) fn new(
        services: S,
        registration: Registration,
        outbox: Arc<Outbox>,
        start: Start,
    ) -> Self {
        let mut actions = Vec::new();
        let machine = Machine::new(start, &mut actions);
        Self {
            services,
            registration,
            outbox,
            machine,
            actions,
            deaf: false,
            unfinished: None,
        }
    }

    /// What it reaches the server by.
    pub(super) fn services(&self) -> &S {
        &self.services
    }

    /// The next input.
    pub(super) fn poll_input(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
        mut timer: Pin<&mut impl Timer>,
    ) -> Poll<Input> {
        let machine = &self.machine;
        // Here, as it is not only inputs that may have made it earlier: their actions may, too.
        timer.as_mut().wake_in(machine.wake_in(self.services.now()));
        if let Poll::Ready(taken) =
            self.outbox
                .poll_take(cx, !machine.is_writing(), machine.is_live())
        {
            return Poll::Ready(Input::Taken(taken));
        }
        // Before the socket: a client that floods always has the next frame ready.
        if let Poll::Ready(messages) = self.services.poll_read(cx) {
            return Poll::Ready(messages.map_or(Input::ReadFailed, Input::Messages));
        }
        // Only now: the outbox knows whom to wake when the window of sends opens.
        let may_send = self.outbox.may_send();
        let keeps_up = may_send && self.services.poll_keeps_up(cx).is_ready();
        // Answers that only wait for the peer to take them are no excuse for its silence.
        let store_is_behind = !keeps_up && (may_send || self.outbox.awaits_store());
        let queued_bytes_max = self.services.output_bytes_max();
        let reads =
            |connection: &Connection| keeps_up && connection.queued_bytes() < queued_bytes_max;
        let read_before = reads(connection);
        let mut event = connection.poll_event(cx, read_before);
        if event.is_pending() && !read_before && reads(connection) {
            // Some was written, not all: nothing else would say that there is room for input now.
            event = connection.poll_event(cx, true);
        }
        if let Poll::Ready(event) = event {
            return Poll::Ready(input(event));
        }
        self.deaf = store_is_behind || connection.waits_for_room();
        if let Some((left, end)) =
            self.message_time_left(connection, store_is_behind, reads(connection))
        {
            if left.is_zero() {
                return Poll::Ready(Input::Broken(end));
            }
            // A timer that is over may be moved: not where the machine waits for it.
            if left < self.machine.wake_in(self.services.now()) {
                timer.as_mut().wake_in(left);
            }
        }
        ready!(timer.poll(cx));
        Poll::Ready(Input::Tick)
    }

    /// How much of its time is left to a message that has come in part, and how it ends the session then. It has all of
    /// it anew where the store was behind or room was waited for: nothing is read then. Where nothing is read because
    /// the peer does not take its output, the time goes on, as that is its own doing; but all of the message may have
    /// been sent, so that it may come again.
    fn message_time_left(
        &mut self,
        connection: &Connection,
        store_is_behind: bool,
        reads: bool,
    ) -> Option<(Duration, CloseReason)> {
        let number = connection.unfinished().filter(|_| !store_is_behind);
        let state = number.map(|number| (number, connection.waits_for_room()));
        let now = self.services.now().elapsed;
        self.unfinished = state.map(|state| match self.unfinished {
            Some((same, since)) if same == state => (state, since),
            _ => (state, now),
        });
        let ((_, waits), since) = self.unfinished?;
        let (timeout, end) = match waits {
            true => (ROOM_TIMEOUT, no_room()),
            false if reads => (MESSAGE_TIMEOUT, unfinished()),
            false => (MESSAGE_TIMEOUT, no_room()),
        };
        Some(((since + timeout).saturating_sub(now), end))
    }

    /// Tells the machine what has happened.
    pub(super) fn take(&mut self, input: Input, connection: &mut Connection) {
        if connection.take_heard() | std::mem::take(&mut self.deaf) {
            self.handle(Input::Heard, connection);
        }
        self.handle(input, connection);
    }

    fn handle(&mut self, input: Input, connection: &mut Connection) {
        let (now, rules) = (self.services.now(), self.services.rules());
        self.machine
            .handle(input, now, rules, connection.queue(), &mut self.actions);
        let unconfirmed = self.machine.unconfirmed();
        self.outbox
            .note_session(unconfirmed, connection.queued_bytes());
    }

    /// Carries out what the machine wants, also what it wants in answer to that.
    pub(super) fn carry_out_all(&mut self, connection: &mut Connection) -> Option<End> {
        while !self.actions.is_empty() {
            for action in std::mem::take(&mut self.actions) {
                if let Some(end) = self.carry_out(action, connection) {
                    return Some(end);
                }
            }
        }
        None
    }

    fn carry_out(&mut self, action: Action, connection: &mut Connection) -> Option<End> {
        let services = &mut self.services;
        match action {
            Action::Read(after) => services.read(after),
            Action::GoLive(seen) => {
                let live = self.outbox.try_go_live(seen);
                self.handle(Input::Live(live), connection);
            }
            Action::FallBehind => self.outbox.fall_behind(),
            // A session that was replaced confirms nothing any more: its successor may have gone back.
            Action::Confirm(id) => self.registration.if_current(|| services.confirm(id)),
            Action::Send(send) => services.send(&self.outbox, send),
            Action::Refuse(error) => {
                let error = services.refuse(error);
                self.handle(Input::Refused(error), connection);
            }
            Action::CheckToken => {
                let validity = services.validity();
                self.handle(Input::Token(validity), connection);
            }
            Action::Refused(code) => services.refused(code),
            Action::Close(reason) => return Some(End::Close(reason)),
            Action::AnswerClose(code) => return Some(End::Answer(code)),
            Action::End => return Some(End::Gone),
        }
        None
    }
}

fn unfinished() -> CloseReason {
    let seconds = MESSAGE_TIMEOUT.as_secs();
    CloseReason::Unfinished { seconds }
}

fn no_room() -> CloseReason {
    let retry_ms = ROOM_RETRY.as_millis() as u64;
    CloseReason::NoRoom { retry_ms }
}

fn input(event: Event) -> Input {
    match event {
        Event::Text(text) => Input::Text(text),
        Event::TooLarge { start, bytes } => Input::TooLarge { start, bytes },
        Event::Pinged(times) => Input::Pinged(times),
        Event::Pong(payload) => Input::Pong(payload),
        // Binary messages are violations here, so none arrives.
        Event::Binary(_) => Input::Heard,
        Event::Close { code } => Input::PeerClosed(code),
        Event::Violation(Violation { code, reason }) => {
            Input::Broken(CloseReason::Violation { code, reason })
        }
        Event::Ended => Input::Ended,
        Event::Flushed => Input::Flushed,
    }
}

#[cfg(test)]
mod tests;
