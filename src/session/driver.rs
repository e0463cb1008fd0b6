//! The task of one session: polls outbox, store, socket and timer in a fixed order, feeds each
//! input to the machine, and carries out its actions.
//!
//! Waits in one place, and reaches the rest of the server only through [`Services`]. Invariant: a
//! pending poll can be dropped without loss.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::machine::{Action, End, Input, Machine, Start};
use super::services::Services;
use crate::hub::{Outbox, Registration};
use crate::protocol::close::CloseReason;
use crate::websocket::Connection;

/// Most inputs handled before yielding to other tasks.
const INPUTS_A_TURN_MAX: usize = 64;

/// Longest time from the first byte of a message to its last.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest wait of a message for memory; not counted towards its own time.
const ROOM_TIMEOUT: Duration = Duration::from_secs(30);

const UNFINISHED: CloseReason = CloseReason::Unfinished {
    seconds: MESSAGE_TIMEOUT.as_secs(),
};

/// Memory that was full for so long does not clear at once.
const NO_ROOM: CloseReason = CloseReason::NoRoom { retry_ms: 5000 };

/// Wakes a session at its next deadline, or earlier.
pub(super) trait Timer: Future<Output = ()> {
    fn wake_in(self: Pin<&mut Self>, time: Duration);
}

impl Timer for Sleep {
    fn wake_in(self: Pin<&mut Self>, time: Duration) {
        let wake_at = Instant::now() + time;
        // Resetting a timer is costly, and input only ever moves the deadline later; firing early
        // is fine.
        if wake_at < self.deadline() || self.is_elapsed() && !time.is_zero() {
            self.reset(wake_at);
        }
    }
}

pub(super) struct Driver<S> {
    services: S,
    registration: Registration,
    outbox: Arc<Outbox>,
    connection: Connection,
    machine: Machine,
    /// Input was left unread, for lack of memory or because the store is behind: the peer counts as
    /// heard.
    deaf: bool,
    /// The number of an incomplete message, whether it waits for memory, and the start of that
    /// state.
    unfinished: Option<((u32, bool), Duration)>,
}

impl<S: Services> Driver<S> {
    pub(super) fn new(
        services: S,
        registration: Registration,
        outbox: Arc<Outbox>,
        connection: Connection,
        start: Start,
    ) -> Self {
        Self {
            services,
            registration,
            outbox,
            connection,
            machine: Machine::new(start),
            deaf: false,
            unfinished: None,
        }
    }

    /// Runs until the session ends, and closes the socket.
    ///
    /// Not an `async fn`: that would reserve space for its arguments twice, in every session.
    #[allow(clippy::manual_async_fn)]
    pub(super) fn run(mut self, stop: CancellationToken) -> impl Future<Output = ()> {
        async move {
            let end = self.drive().await;
            // Before the user goes offline, so that presence knows of this end.
            self.services.ended(&end);
            // The user is offline from here on, however long the peer takes to close.
            drop((self.services, self.registration, self.outbox, self.machine));
            match end {
                End::Close(reason) => {
                    let close = self.connection.close(reason.code(), &reason.text(), stop);
                    close.await;
                }
                End::Answer(code) => self.connection.close(code, "", stop).await,
                End::Gone => {}
            }
        }
    }

    async fn drive(&mut self) -> End {
        // Every poll resets it.
        let mut timer = pin!(sleep(Duration::MAX));
        let mut turn = 0;
        loop {
            if let Some(end) = self.carry_out_all() {
                return end;
            }
            turn += 1;
            let input = if turn % INPUTS_A_TURN_MAX == 0 {
                tokio::task::yield_now().await;
                // A flooding client always has the next input ready and would starve the timer,
                // which is polled last.
                Input::Tick
            } else {
                poll_fn(|cx| self.poll_input(cx, timer.as_mut())).await
            };
            self.take(input);
        }
    }

    pub(super) fn poll_input(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut impl Timer>,
    ) -> Poll<Input> {
        let (machine, connection) = (&self.machine, &mut self.connection);
        // Here, since actions move the deadline as well as inputs.
        timer
            .as_mut()
            .wake_in(machine.poll_timeout(self.services.now()));
        if let Poll::Ready(taken) =
            self.outbox
                .poll_take(cx, !machine.is_writing(), machine.is_live())
        {
            return Poll::Ready(Input::Taken(taken));
        }
        // Before the socket: a flooding client always has the next frame ready.
        if let Poll::Ready(messages) = self.services.poll_read(cx) {
            return Poll::Ready(messages.map_or(Input::ReadFailed, Input::Messages));
        }
        // Not earlier: `poll_take` has registered the waker for the window of sends.
        let may_send = self.outbox.may_send();
        let keeps_up = may_send && self.services.poll_keeps_up(cx).is_ready();
        // Answers that wait only for the peer do not excuse its silence.
        let store_is_behind = !keeps_up && (may_send || self.outbox.awaits_store());
        let queued_bytes_max = self.services.output_bytes_max();
        let reads =
            |connection: &Connection| keeps_up && connection.queued_bytes() < queued_bytes_max;
        let read_before = reads(connection);
        let mut event = connection.poll_event(cx, read_before);
        if event.is_pending() && !read_before && reads(connection) {
            // The write was partial, so no event would follow.
            event = connection.poll_event(cx, true);
        }
        if let Poll::Ready(event) = event {
            return Poll::Ready(Input::Event(event));
        }
        self.deaf = store_is_behind || connection.waits_for_room();
        let reads = reads(connection);
        if let Some((left, end)) = self.message_time_left(store_is_behind, reads) {
            if left.is_zero() {
                return Poll::Ready(Input::Broken(end));
            }
            // Resetting an elapsed timer would move it past the machine's deadline.
            if left < self.machine.poll_timeout(self.services.now()) {
                timer.as_mut().wake_in(left);
            }
        }
        ready!(timer.poll(cx));
        Poll::Ready(Input::Tick)
    }

    /// Time left for an incomplete message, and how the session ends after it. The time restarts
    /// after the store was behind or memory short, since nothing is read then. It keeps running
    /// while the peer does not read its own output; as the peer may have sent the whole message, it
    /// is then told to retry.
    fn message_time_left(
        &mut self,
        store_is_behind: bool,
        reads: bool,
    ) -> Option<(Duration, CloseReason)> {
        let connection = &self.connection;
        let number = connection.unfinished().filter(|_| !store_is_behind);
        let state = number.map(|number| (number, connection.waits_for_room()));
        let now = self.services.now().elapsed;
        self.unfinished = state.map(|state| match self.unfinished {
            Some((same, since)) if same == state => (state, since),
            _ => (state, now),
        });
        let ((_, waits), since) = self.unfinished?;
        let (timeout, end) = match waits {
            true => (ROOM_TIMEOUT, NO_ROOM),
            false if reads => (MESSAGE_TIMEOUT, UNFINISHED),
            false => (MESSAGE_TIMEOUT, NO_ROOM),
        };
        Some(((since + timeout).saturating_sub(now), end))
    }

    /// Feeds an input to the machine, preceded by any sign of life.
    pub(super) fn take(&mut self, input: Input) {
        if self.connection.take_heard() | std::mem::take(&mut self.deaf) {
            self.machine.handle(Input::Heard, self.services.now());
        }
        self.handle(input);
    }

    fn handle(&mut self, input: Input) {
        self.machine.handle(input, self.services.now());
        if let Some(output) = self.machine.poll_output() {
            let queue = self.connection.queue();
            match queue.is_empty() {
                true => *queue = output,
                false => queue.extend_from_slice(&output),
            }
        }
        let unconfirmed = self.machine.unconfirmed();
        self.outbox
            .note_session(unconfirmed, self.connection.queued_bytes());
    }

    /// Carries out all pending actions; `Some` if the last one ended the session.
    pub(super) fn carry_out_all(&mut self) -> Option<End> {
        while let Some(action) = self.machine.poll_action() {
            if let Action::End(end) = action {
                return Some(end);
            }
            self.carry_out(action);
        }
        None
    }

    fn carry_out(&mut self, action: Action) {
        let services = &mut self.services;
        match action {
            Action::Read(after) => services.read(after),
            Action::GoLive(seen) => {
                let live = self.outbox.try_go_live(seen);
                self.handle(Input::Live(live));
            }
            Action::FallBehind => self.outbox.fall_behind(),
            // A replaced session confirms nothing any more: its successor may have started from an
            // earlier id.
            Action::Confirm(id) => self.registration.if_current(|| services.confirm(id)),
            Action::Send(send) => services.send(&self.outbox, send),
            Action::Refuse(error) => {
                let error = services.refuse(error);
                self.handle(Input::Refused(error));
            }
            Action::CheckToken => {
                let validity = services.validity();
                self.handle(Input::Token(validity));
            }
            Action::Refused(code) => services.refused(code),
            Action::End(_) => {}
        }
    }

    #[cfg(test)]
    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    #[cfg(test)]
    pub(super) fn into_connection(self) -> Connection {
        self.connection
    }
}

#[cfg(test)]
mod tests;
