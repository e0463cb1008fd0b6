//! What is waiting to be written to one session, bounded in bytes.
//!
//! The hub and the committer's answers append encoded frames; the session's task takes
//! them all at once, so that many frames leave in one write. Nobody waits here.
//!
//! Invariants:
//! - deliveries leave in the order of `msgId`, none twice: `passed` is the highest id that has
//!   left through here, or up to which catch-up has read everything that there is, and nothing at
//!   or below it is appended;
//! - a delivery that finds no room is not appended, and none after it is, until the session
//!   has caught up from the store and says so with [`Outbox::try_go_live`];
//! - answers to sends (acknowledgements, refusals) are bounded: while they wait, or their sends
//!   are under way, for `bytes_max` bytes, no further send is to be read.

use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};

use crate::model::MsgId;
use crate::protocol::close::CloseReason;
use crate::protocol::error_code::FrameError;

/// What a refusal weighs until it is taken: about its frame.
const REFUSAL_BYTES: usize = 512;

/// The outbox of one session.
#[derive(Debug)]
pub struct Outbox {
    bytes_max: usize,
    /// For whoever looks on: deliveries of the session that are not confirmed yet, and bytes that it
    /// has taken from here or from the store and that its socket has not.
    unconfirmed: AtomicU32,
    taken_bytes: AtomicU32,
    state: Mutex<State>,
}

/// What waits in an outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Whether the session reads the store because it is behind.
    pub catching_up: bool,
    /// Bytes that wait to be written.
    pub bytes: usize,
    /// Deliveries that are not confirmed yet.
    pub unconfirmed: u32,
}

#[derive(Debug, Default)]
struct State {
    frames: Vec<u8>,
    deliveries: Vec<Delivery>,
    errors: Vec<FrameError>,
    repeats: u32,
    live: bool,
    passed: MsgId,
    missed: MsgId,
    sending_bytes: usize,
    /// What of `frames` and `errors` answers sends.
    answer_bytes: usize,
    recheck: bool,
    close: Option<CloseReason>,
    waker: Option<Waker>,
}

/// A delivery among the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The message.
    pub id: MsgId,
    /// Bytes of its frame.
    pub bytes: u32,
    /// Bytes of all frames up to its end.
    pub end: u32,
}

/// What the session's task found in its outbox.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// What is to be written; `None` where it was not asked for.
    pub output: Option<Output>,
    /// The session's token must be looked at again.
    pub recheck: bool,
    /// The session must end.
    pub close: Option<CloseReason>,
}

/// What waits for the socket.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Encoded frames, to be written before anything that comes later.
    pub frames: Vec<u8>,
    /// The deliveries among them, in their order.
    pub deliveries: Vec<Delivery>,
    /// Refused sends, to be answered.
    pub errors: Vec<FrameError>,
    /// How many of the frames acknowledge sends that had been accepted before.
    pub repeats: u32,
    /// Whether messages wait in the store that did not come through here.
    pub behind: bool,
}

impl Outbox {
    /// An empty outbox that holds at most `bytes_max` bytes of deliveries; it is not live.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            unconfirmed: AtomicU32::new(0),
            taken_bytes: AtomicU32::new(0),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Appends the encoded frame of message `id`, or remembers that the session is behind; answers
    /// whether it has appended it.
    pub fn deliver(&self, id: MsgId, frame: &[u8]) -> bool {
        let mut state = self.state();
        if id <= state.passed {
            return false;
        }
        if state.live && state.frames.len() + frame.len() <= self.bytes_max {
            state.frames.extend_from_slice(frame);
            let (bytes, end) = (frame.len() as u32, state.frames.len() as u32);
            state.deliveries.push(Delivery { id, bytes, end });
            state.passed = id;
            state.wake();
            return true;
        }
        state.missed = id;
        // Who is behind already asks with `try_go_live` once it has caught up.
        if std::mem::take(&mut state.live) {
            state.wake();
        }
        false
    }

    /// Counts the bytes of a send whose outcome is not known yet.
    pub fn send_started(&self, bytes: usize) {
        self.state().sending_bytes += bytes;
    }

    /// Reports the outcome of a send: an encoded acknowledgement, nothing, or a refusal.
    pub fn send_finished(&self, bytes: usize, outcome: Result<Option<&[u8]>, FrameError>) {
        let mut state = self.state();
        let could_send = state.may_send(self.bytes_max);
        state.sending_bytes = state.sending_bytes.saturating_sub(bytes);
        match outcome {
            Ok(None) if could_send => return,
            Ok(None) => {}
            Ok(Some(ack)) => {
                state.answer_bytes += ack.len();
                state.frames.extend_from_slice(ack);
            }
            Err(error) => {
                state.answer_bytes += REFUSAL_BYTES;
                state.errors.push(error);
            }
        }
        state.wake();
    }

    /// The acknowledgement that comes next is for a send that had been accepted before.
    pub fn send_is_repeat(&self) {
        self.state().repeats += 1;
    }

    /// Whether further sends may be read from the socket.
    pub fn may_send(&self) -> bool {
        self.state().may_send(self.bytes_max)
    }

    /// Whether the store has yet to answer a send.
    pub fn awaits_store(&self) -> bool {
        self.state().sending_bytes > 0
    }

    /// Ends the session; the first reason stands.
    pub fn close(&self, reason: CloseReason) {
        let mut state = self.state();
        state.close.get_or_insert(reason);
        state.wake();
    }

    /// Has the session look at its token again.
    pub fn recheck(&self) {
        let mut state = self.state();
        state.recheck = true;
        state.wake();
    }

    /// From now on takes deliveries above `seen`: up to there the session has read everything that
    /// the store has. `false` where it has missed one above: it must read on.
    pub fn try_go_live(&self, seen: MsgId) -> bool {
        let mut state = self.state();
        state.passed = state.passed.max(seen);
        state.live = state.missed <= state.passed;
        state.live
    }

    /// From now on takes no more deliveries; [`Output::behind`] comes with the last ones.
    pub fn fall_behind(&self) {
        let mut state = self.state();
        state.live = false;
        state.wake();
    }

    /// The session says how many of its deliveries are not confirmed yet, and how many bytes of
    /// output wait for its socket.
    pub fn note_session(&self, unconfirmed: usize, bytes: usize) {
        for (place, number) in [(&self.unconfirmed, unconfirmed), (&self.taken_bytes, bytes)] {
            place.store(u32::try_from(number).unwrap_or(u32::MAX), Ordering::Relaxed);
        }
    }

    /// Bytes that wait to be taken.
    #[cfg(test)]
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.state().frames.len()
    }

    /// What waits for the session.
    pub fn load(&self) -> Load {
        let state = self.state();
        Load {
            catching_up: !state.live,
            bytes: state.frames.len() + self.taken_bytes.load(Ordering::Relaxed) as usize,
            unconfirmed: self.unconfirmed.load(Ordering::Relaxed),
        }
    }

    /// Takes what there is; pending while there is nothing. With `frames` false, frames,
    /// errors and the news of being behind stay (the socket is busy). `live` is what the
    /// session believes: only then is falling behind news. Cancel-safe.
    pub fn poll_take(&self, cx: &mut Context<'_>, frames: bool, live: bool) -> Poll<Taken> {
        let mut state = self.state();
        let urgent = state.close.is_some() || state.recheck;
        let behind = live && !state.live;
        let output = !state.frames.is_empty() || !state.errors.is_empty() || behind;
        if !(urgent || frames && output) {
            if !state
                .waker
                .as_ref()
                .is_some_and(|waker| waker.will_wake(cx.waker()))
            {
                state.waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let output = frames.then(|| {
            state.answer_bytes = 0;
            Output {
                frames: std::mem::take(&mut state.frames),
                deliveries: std::mem::take(&mut state.deliveries),
                errors: std::mem::take(&mut state.errors),
                repeats: std::mem::take(&mut state.repeats),
                behind,
            }
        });
        let recheck = std::mem::take(&mut state.recheck);
        Poll::Ready(Taken {
            output,
            recheck,
            close: state.close.take(),
        })
    }
}

impl State {
    fn may_send(&self, bytes_max: usize) -> bool {
        self.sending_bytes + self.answer_bytes < bytes_max
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;
