//! What a session does, as a pure state machine: inputs and time in, actions out, no I/O.
//!
//! ```text
//! CatchingUp ──(store read to its end, nothing missed)──→ Live
//!     ↑                                                    │
//!     └───────(outbox overflowed or window full: behind)───┘      any ──→ Closed
//! ```
//!
//! Invariants:
//! - within the session, deliveries are written in strictly increasing `msgId`;
//! - the receipt cursor moves by receipts alone, never because something was written;
//! - while output is being written, nothing more is taken or read from the store, and while the
//!   window of unconfirmed deliveries is full, nothing more is delivered: a slow reader costs one
//!   chunk and one outbox, whatever its backlog.

mod held;
mod interface;
mod pings;
mod receipts;
mod strikes;

pub use interface::{Action, Input, Now, Start, Window};

use std::time::Duration;

use crate::auth::Validity;
use crate::hub::{self, Delivery, Taken};
use crate::model::{Mailbox, MsgId};
use crate::protocol::client_frame::{self, ClientFrame, FrameRules};
use crate::protocol::close::CloseReason;
use crate::protocol::error_code::FrameError;
use crate::protocol::server_frame;
use crate::store::Backlog;
use crate::websocket::writer;
use held::Held;
use pings::Pings;
use receipts::{NotDelivered, Receipts};
use strikes::Strikes;

/// Intervals for which Pongs may come that are no receipts while the window is full.
const INTERVALS_UNHEEDED: u32 = 2;

/// How often a session says that its cursor is in use.
const USE_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

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
    /// Up to here everything has been read; `None` while the store may have more. Not the position:
    /// what was erased was never read, and is not to be waited for.
    seen: Option<MsgId>,
    receipts: Receipts,
    pings: Pings,
    strikes: Strikes,
    held: Held,
    /// A read or a go-live is under way.
    asked: bool,
    /// The outbox is to take no more.
    falling: bool,
    /// Output is queued that has not left yet.
    writing: bool,
    /// A Ping is among it.
    ping_waits: bool,
    used_at: Duration,
}

impl Machine {
    /// A session that begins by catching up; carry out what `actions` gets.
    pub fn new(start: Start, actions: &mut Vec<Action>) -> Self {
        let mut machine = Self {
            state: State::CatchingUp,
            position: start.after,
            seen: None,
            receipts: Receipts::new(start.receipts, start.window, start.cursor, start.after),
            pings: Pings::new(start.ping_interval),
            strikes: Strikes::default(),
            held: Held::default(),
            asked: false,
            falling: false,
            writing: false,
            ping_waits: false,
            used_at: Duration::ZERO,
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

    /// How many deliveries are not confirmed yet.
    pub fn unconfirmed(&self) -> usize {
        self.receipts.unconfirmed()
    }

    /// How long until [`Input::Tick`] is due.
    pub fn wake_in(&self, now: Now) -> Duration {
        let until_ping = self
            .pings
            .wake_at(self.receipts.owed())
            .saturating_sub(now.elapsed);
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
            Input::TooLarge { start, bytes } => {
                let error = client_frame::too_large(&start, bytes, rules);
                actions.push(Action::Refuse(error));
            }
            Input::Refused(error) => self.refuse(&error, now, queue, actions),
            Input::Heard => self.pings.heard(now.elapsed),
            Input::Pinged(times) => self.strikes.requested(times, now.elapsed),
            Input::Pong(payload) => {
                self.strikes.pong(now.elapsed);
                let unheeded = self.receipts.pong(&payload, now.elapsed);
                if unheeded >= self.start.ping_interval * INTERVALS_UNHEEDED {
                    self.close(CloseReason::NoReceipts, actions);
                }
            }
            Input::PeerClosed(code) => self.end(Action::AnswerClose(code.unwrap_or(1000)), actions),
            Input::Broken(reason) => self.close(reason, actions),
            Input::Ended => self.end(Action::End, actions),
            // A Ping may have been queued since.
            Input::Flushed if !queue.is_empty() => {}
            Input::Flushed => (self.writing, self.ping_waits) = (false, false),
            Input::Taken(taken) => self.taken(taken, now, queue, actions),
            Input::Messages(messages) => self.messages(&messages, now, queue),
            Input::ReadFailed => self.close(CloseReason::Internal, actions),
            Input::Live(live) => {
                self.asked = false;
                if live {
                    self.state = State::Live;
                }
            }
            Input::Token(Validity::Ended) => self.close(CloseReason::TokenRevoked, actions),
            Input::Token(Validity::Forever) => self.start.token_expires_at_ms = None,
            Input::Token(Validity::Until(at_ms)) => self.start.token_expires_at_ms = Some(at_ms),
            Input::Tick => self.tick(now, actions),
        }
        if self.state == State::Closed {
            return;
        }
        self.settle(now, queue, actions);
        if let Some(reason) = self.strikes.verdict() {
            return self.close(reason, actions);
        }
        self.writing |= queue.len() > queued_before;
        self.read_on(actions);
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
            Ok(ClientFrame::Ping) => {
                self.strikes.requested(1, now.elapsed);
                writer::text(queue, b"pong");
            }
            Ok(ClientFrame::Received(id)) => {
                self.strikes.receipt(now.elapsed);
                self.received(id, actions);
            }
            Ok(ClientFrame::Send(send)) => actions.push(Action::Send(send)),
            Err(error) => actions.push(Action::Refuse(error)),
        }
    }

    fn received(&mut self, id: MsgId, actions: &mut Vec<Action>) {
        // An earlier session of the device may have delivered it: this one is about to.
        let comes_again = self.state == State::CatchingUp
            && self.position < id
            && id <= self.start.newest_at_login;
        if comes_again && id > self.receipts.cursor() {
            self.held.push(id);
        } else {
            self.judge(id, actions);
        }
    }

    fn judge_held(&mut self, actions: &mut Vec<Action>) {
        let all = self.state == State::Live || !self.receipts.has_room(true);
        let upto = if all { MsgId::MAX } else { self.position };
        for id in self.held.take_through(upto) {
            self.judge(id, actions);
        }
    }

    fn judge(&mut self, id: MsgId, actions: &mut Vec<Action>) {
        if let Err(NotDelivered(nearest)) = self.receipts.received(id) {
            actions.push(Action::Refuse(client_frame::not_delivered(nearest)));
        }
    }

    fn refuse(
        &mut self,
        error: &FrameError,
        now: Now,
        queue: &mut Vec<u8>,
        actions: &mut Vec<Action>,
    ) {
        self.strikes.refused(error.code, now.elapsed);
        actions.push(Action::Refused(error.code));
        let Mailbox { domain, user } = &self.start.mailbox;
        let mut json = Vec::new();
        server_frame::error(&mut json, domain, user, error, now.wall_ms);
        writer::text(queue, &json);
    }

    fn taken(&mut self, taken: Taken, now: Now, queue: &mut Vec<u8>, actions: &mut Vec<Action>) {
        if let Some(output) = taken.output {
            self.writing |= !output.frames.is_empty();
            self.deliver(&output.deliveries, output.frames, now, queue);
            self.strikes.requested(output.repeats, now.elapsed);
            for error in &output.errors {
                self.refuse(error, now, queue, actions);
                self.writing = true;
            }
            if output.behind {
                self.state = State::CatchingUp;
                self.seen = None;
                self.falling = false;
            }
        }
        if taken.recheck {
            actions.push(Action::CheckToken);
        }
        if let Some(reason) = taken.close {
            self.close(reason, actions);
        }
    }

    /// Queues what the outbox had, with Pings between the deliveries.
    fn deliver(&mut self, deliveries: &[Delivery], frames: Vec<u8>, now: Now, queue: &mut Vec<u8>) {
        let mut queued = 0;
        for delivery in deliveries {
            self.position = delivery.id;
            if self.delivered(delivery.id, delivery.bytes, now) {
                let end = delivery.end as usize;
                queue.extend_from_slice(&frames[queued..end]);
                queued = end;
                self.ping(now, queue);
            }
        }
        if queue.is_empty() {
            *queue = frames;
        } else {
            queue.extend_from_slice(&frames[queued..]);
        }
    }

    /// Notes a delivery; whether a Ping is to follow it.
    fn delivered(&mut self, id: MsgId, bytes: u32, now: Now) -> bool {
        self.receipts.delivered(id, bytes);
        self.strikes.delivered();
        self.pings.delivery_due(self.receipts.owed(), now.elapsed)
    }

    fn messages(&mut self, backlog: &Backlog, now: Now, queue: &mut Vec<u8>) {
        self.asked = false;
        self.seen = backlog.upto;
        let mut json = Vec::new();
        for message in &backlog.messages {
            self.position = message.id;
            if hub::is_for(message, &self.start.resource) {
                json.clear();
                let offline = message.id <= self.start.newest_at_login;
                server_frame::message(&mut json, message, offline);
                let queued_before = queue.len();
                writer::text(queue, &json);
                let bytes = queue.len() - queued_before;
                if self.delivered(message.id, bytes as u32, now) {
                    self.ping(now, queue);
                }
            }
        }
    }

    /// What follows from any input: receipts that can be judged now, the cursor, Pings, the window.
    fn settle(&mut self, now: Now, queue: &mut Vec<u8>, actions: &mut Vec<Action>) {
        self.judge_held(actions);
        if let Some(cursor) = self.receipts.moved(self.position) {
            self.confirm(cursor, now, actions);
        }
        let owed = self.receipts.owed();
        // Where the window ends, so does the distance to the next Ping.
        let full = owed.unpinged > 0 && !self.has_room();
        if full || self.pings.due(owed, now.elapsed) {
            self.ping(now, queue);
        }
        if self.state == State::Live && !self.falling && !self.has_room() {
            self.falling = true;
            actions.push(Action::FallBehind);
        }
    }

    /// Whether the window takes more deliveries. A receipt that waits must be able to come true:
    /// the session before this one may have gone a little further.
    fn has_room(&self) -> bool {
        self.receipts.has_room(self.held.len() > 0)
    }

    /// The next step of catching up, once all output has left.
    fn read_on(&mut self, actions: &mut Vec<Action>) {
        let free = !self.asked && !self.writing && self.has_room();
        if self.state == State::CatchingUp && free {
            self.asked = true;
            actions.push(match self.seen.take() {
                Some(seen) => Action::GoLive(seen),
                None => Action::Read(self.position),
            });
        }
    }

    fn confirm(&mut self, cursor: MsgId, now: Now, actions: &mut Vec<Action>) {
        self.used_at = now.elapsed;
        actions.push(Action::Confirm(cursor));
    }

    fn ping(&mut self, now: Now, queue: &mut Vec<u8>) {
        self.pings.sent(self.receipts.owed(), now.elapsed);
        // One that has yet to leave will do: they are not to pile up before a peer that takes nothing.
        if !(self.ping_waits && self.receipts.is_asked()) {
            writer::ping(queue, &self.receipts.ping());
            self.strikes.pinged();
            self.ping_waits = true;
        }
    }

    fn tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self
            .start
            .token_expires_at_ms
            .is_some_and(|at_ms| at_ms <= now.wall_ms)
        {
            return self.close(CloseReason::TokenExpired, actions);
        }
        if self.pings.is_dead(now.elapsed) {
            return self.close(CloseReason::PingTimeout, actions);
        }
        if now.elapsed >= self.used_at + USE_PAUSE {
            self.confirm(self.receipts.cursor(), now, actions);
        }
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
mod model;
#[cfg(test)]
mod tests;
