//! The protocol of a session as a pure state machine: inputs and time go in through
//! [`Machine::handle`]; actions, frames and the next deadline are polled. No I/O.
//!
//! ```text
//! CatchingUp ──(store read to its end, nothing missed)──→ Live
//!     ↑                                                    │
//!     └───────(outbox overflowed or window full: behind)───┘      any ──→ Closed
//! ```
//!
//! Invariants:
//! - within a session, deliveries are written in strictly increasing order of `msgId`;
//! - only receipts move the receipt cursor, never a write;
//! - while output is being written, nothing more is taken or read from the store, and while the window of unconfirmed
//!   deliveries is full, nothing more is delivered: a slow reader costs one chunk and one outbox, whatever its backlog.

mod held;
mod interface;
mod pings;
mod receipts;
mod strikes;

pub(crate) use interface::{Action, End, Input, Now, Start, Window};

use std::collections::VecDeque;
use std::time::Duration;

use crate::auth::Validity;
use crate::hub::{self, Delivery, Taken};
use crate::model::{Mailbox, MsgId};
use crate::protocol::client_frame::{self, ClientFrame};
use crate::protocol::close::CloseReason;
use crate::protocol::error_code::FrameError;
use crate::protocol::server_frame;
use crate::store::Backlog;
use crate::websocket::{Event, Violation, writer};
use held::Held;
use pings::Pings;
use receipts::{NotDelivered, Receipts};
use strikes::Strikes;

/// Ping intervals of a full window and Pongs that are no receipts, until the session ends.
const INTERVALS_UNHEEDED: u32 = 2;

/// Interval at which a session renews the last use of its cursor.
const USE_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    CatchingUp,
    Live,
    Closed,
}

#[derive(Debug)]
pub(crate) struct Machine {
    start: Start,
    state: State,
    /// The highest id queued for the socket, or skipped as another device's.
    position: MsgId,
    /// `Some(id)`: everything up to `id` has been read. Differs from `position` by erased messages.
    seen: Option<MsgId>,
    receipts: Receipts,
    pings: Pings,
    strikes: Strikes,
    held: Held,
    /// A read or a go-live is in progress.
    asked: bool,
    /// The outbox was told to stop taking deliveries.
    falling: bool,
    /// Queued output has not been flushed yet.
    writing: bool,
    /// That output contains a Ping.
    ping_waits: bool,
    used_at: Duration,
    actions: VecDeque<Action>,
    output: Vec<u8>,
}

impl Machine {
    /// A session that starts by catching up.
    pub(crate) fn new(start: Start) -> Self {
        let mut machine = Self {
            state: State::CatchingUp,
            position: start.after,
            seen: None,
            receipts: Receipts::new(start.receipts, start.window, start.cursor, start.after),
            pings: Pings::new(start.ping_interval),
            strikes: Strikes::new(),
            held: Held::default(),
            asked: false,
            falling: false,
            writing: false,
            ping_waits: false,
            used_at: Duration::ZERO,
            actions: VecDeque::new(),
            output: Vec::new(),
            start,
        };
        machine.read_on();
        machine
    }

    /// Whether output is being written; if so, nothing is taken from the outbox.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing
    }

    /// Whether the machine considers the outbox live.
    pub(crate) fn is_live(&self) -> bool {
        self.state == State::Live
    }

    pub(crate) fn unconfirmed(&self) -> usize {
        self.receipts.unconfirmed()
    }

    /// Time until [`Input::Tick`] is due.
    pub(crate) fn poll_timeout(&self, now: Now) -> Duration {
        let wake_at = self.pings.wake_at(self.receipts.owed());
        let until_ping = wake_at.saturating_sub(now.elapsed);
        match self.start.token_expires_at_ms {
            None => until_ping,
            Some(at_ms) => until_ping.min(Duration::from_millis(at_ms.saturating_sub(now.wall_ms))),
        }
    }

    /// The next action, to be carried out before the one after it.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() {
            // An idle session holds no memory here.
            self.actions = VecDeque::new();
        }
        action
    }

    /// Encoded frames, to be written after all earlier ones.
    pub(crate) fn poll_output(&mut self) -> Option<Vec<u8>> {
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    pub(crate) fn handle(&mut self, input: Input, now: Now) {
        if self.state == State::Closed {
            return;
        }
        match input {
            Input::Event(event) => self.event(event, now),
            Input::Refused(error) => self.refuse(&error, now),
            Input::Heard => self.pings.heard(now.elapsed),
            Input::Broken(reason) => self.close(reason),
            Input::Taken(taken) => self.taken(taken, now),
            Input::Messages(messages) => self.messages(&messages, now),
            Input::ReadFailed => self.close(CloseReason::Internal),
            Input::Live(live) => {
                self.asked = false;
                if live {
                    self.state = State::Live;
                }
            }
            Input::Token(Validity::Ended) => self.close(CloseReason::TokenRevoked),
            Input::Token(Validity::Forever) => self.start.token_expires_at_ms = None,
            Input::Token(Validity::Until(at_ms)) => self.start.token_expires_at_ms = Some(at_ms),
            Input::Tick => self.tick(now),
        }
        if self.state == State::Closed {
            return;
        }
        self.settle(now);
        if let Some(reason) = self.strikes.verdict() {
            return self.close(reason);
        }
        self.writing |= !self.output.is_empty();
        self.read_on();
    }

    fn event(&mut self, event: Event, now: Now) {
        match event {
            Event::Text(text) => self.text(&text, now),
            Event::TooLarge { start, bytes } => {
                let error = client_frame::too_large(&start, bytes, &self.start.rules);
                self.act(Action::Refuse(error));
            }
            // The connection refuses them.
            Event::Binary(_) => {}
            Event::Pinged(times) => self.strikes.requested(times, now.elapsed),
            Event::Pong(payload) => {
                self.strikes.pong(now.elapsed);
                let unheeded = self.receipts.pong(&payload, now.elapsed);
                if unheeded >= self.start.ping_interval * INTERVALS_UNHEEDED {
                    self.close(CloseReason::NoReceipts);
                }
            }
            Event::Close { code } => self.end(End::Answer(code.unwrap_or(1000))),
            Event::Violation(Violation { code, reason }) => {
                self.close(CloseReason::Violation { code, reason });
            }
            Event::Ended => self.end(End::Gone),
            // Output may be here that the connection has not been given: the driver does not poll between `Heard`
            // and the input behind it.
            Event::Flushed if !self.output.is_empty() => {}
            Event::Flushed => (self.writing, self.ping_waits) = (false, false),
        }
    }

    fn text(&mut self, text: &str, now: Now) {
        match client_frame::parse(text, &self.start.rules) {
            Ok(ClientFrame::Ping) => {
                self.strikes.requested(1, now.elapsed);
                writer::text(&mut self.output, b"pong");
            }
            Ok(ClientFrame::Received(id)) => {
                self.strikes.receipt(now.elapsed);
                self.received(id);
            }
            Ok(ClientFrame::Send(send)) => self.act(Action::Send(send)),
            Err(error) => self.act(Action::Refuse(error)),
        }
    }

    fn received(&mut self, id: MsgId) {
        // An earlier session of the device may have delivered it, and this one is about to.
        let comes_again = self.state == State::CatchingUp
            && self.position < id
            && id <= self.start.newest_at_login;
        if comes_again && id > self.receipts.cursor() {
            self.held.push(id);
        } else {
            self.judge(id);
        }
    }

    fn judge_held(&mut self) {
        let all = self.state == State::Live || !self.receipts.has_room(true);
        let upto = if all { MsgId::MAX } else { self.position };
        for id in self.held.take_through(upto) {
            self.judge(id);
        }
    }

    fn judge(&mut self, id: MsgId) {
        if let Err(NotDelivered(nearest)) = self.receipts.received(id) {
            self.act(Action::Refuse(client_frame::not_delivered(nearest)));
        }
    }

    fn refuse(&mut self, error: &FrameError, now: Now) {
        self.strikes.refused(error.code, now.elapsed);
        self.act(Action::Refused(error.code));
        let Mailbox { domain, user } = &self.start.mailbox;
        let mut json = Vec::new();
        server_frame::error(&mut json, domain, user, error, now.wall_ms);
        writer::text(&mut self.output, &json);
    }

    fn taken(&mut self, taken: Taken, now: Now) {
        if let Some(output) = taken.output {
            self.deliver(&output.deliveries, output.frames, now);
            self.strikes.requested(output.repeats, now.elapsed);
            for error in &output.errors {
                self.refuse(error, now);
            }
            if output.behind {
                self.state = State::CatchingUp;
                self.seen = None;
                self.falling = false;
            }
        }
        if taken.recheck {
            self.act(Action::CheckToken);
        }
        if let Some(reason) = taken.close {
            self.close(reason);
        }
    }

    /// Queues frames from the outbox, with Pings between the deliveries.
    fn deliver(&mut self, deliveries: &[Delivery], frames: Vec<u8>, now: Now) {
        let mut queued = 0;
        for delivery in deliveries {
            self.position = delivery.id;
            if self.delivered(delivery.id, delivery.bytes, now) {
                let end = delivery.end as usize;
                self.output.extend_from_slice(&frames[queued..end]);
                queued = end;
                self.ping(now);
            }
        }
        if self.output.is_empty() {
            self.output = frames;
        } else {
            self.output.extend_from_slice(&frames[queued..]);
        }
    }

    /// Records a delivery. Returns whether a Ping must follow it.
    fn delivered(&mut self, id: MsgId, bytes: u32, now: Now) -> bool {
        self.receipts.delivered(id, bytes);
        self.strikes.delivered();
        self.pings.delivery_due(self.receipts.owed(), now.elapsed)
    }

    fn messages(&mut self, backlog: &Backlog, now: Now) {
        self.asked = false;
        self.seen = backlog.upto;
        let mut json = Vec::new();
        for message in &backlog.messages {
            self.position = message.id;
            if hub::is_for(message, &self.start.resource) {
                json.clear();
                let offline = message.id <= self.start.newest_at_login;
                server_frame::message(&mut json, message, offline);
                let queued_before = self.output.len();
                writer::text(&mut self.output, &json);
                let bytes = self.output.len() - queued_before;
                if self.delivered(message.id, bytes as u32, now) {
                    self.ping(now);
                }
            }
        }
    }

    /// What follows from any input: held receipts, the cursor, Pings, the window.
    fn settle(&mut self, now: Now) {
        self.judge_held();
        if let Some(cursor) = self.receipts.moved(self.position) {
            self.confirm(cursor, now);
        }
        let owed = self.receipts.owed();
        // A full window also ends the distance to the next Ping.
        let full = owed.unpinged > 0 && !self.has_room();
        if full || self.pings.due(owed, now.elapsed) {
            self.ping(now);
        }
        if self.state == State::Live && !self.falling && !self.has_room() {
            self.falling = true;
            self.act(Action::FallBehind);
        }
    }

    /// Whether the window has room for more deliveries. A held receipt stretches the window, since
    /// the session before this one may have delivered a little further.
    fn has_room(&self) -> bool {
        self.receipts.has_room(self.held.len() > 0)
    }

    /// The next step of catching up, once all output is flushed.
    fn read_on(&mut self) {
        let free = !self.asked && !self.writing && self.has_room();
        if self.state == State::CatchingUp && free {
            self.asked = true;
            let read = Action::Read(self.position);
            let action = self.seen.take().map_or(read, Action::GoLive);
            self.act(action);
        }
    }

    fn confirm(&mut self, cursor: MsgId, now: Now) {
        self.used_at = now.elapsed;
        self.act(Action::Confirm(cursor));
    }

    fn ping(&mut self, now: Now) {
        self.pings.sent(self.receipts.owed(), now.elapsed);
        // A queued Ping will do: Pings must not pile up for a peer that reads nothing.
        if !(self.ping_waits && self.receipts.is_asked()) {
            writer::ping(&mut self.output, &self.receipts.ping());
            self.strikes.pinged();
            self.ping_waits = true;
        }
    }

    fn tick(&mut self, now: Now) {
        let expires_at_ms = self.start.token_expires_at_ms;
        if expires_at_ms.is_some_and(|at_ms| at_ms <= now.wall_ms) {
            return self.close(CloseReason::TokenExpired);
        }
        if self.pings.is_dead(now.elapsed) {
            return self.close(CloseReason::PingTimeout);
        }
        if now.elapsed >= self.used_at + USE_PAUSE {
            self.confirm(self.receipts.cursor(), now);
        }
    }

    fn close(&mut self, reason: CloseReason) {
        self.end(End::Close(reason));
    }

    fn end(&mut self, end: End) {
        self.state = State::Closed;
        self.act(Action::End(end));
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }
}

#[cfg(test)]
mod tests;
