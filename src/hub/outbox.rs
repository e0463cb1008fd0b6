//! Output waiting to be written to one session, bounded in bytes.
//!
//! The hub and the committer's answers append encoded frames; the session's task takes them all at
//! once, so that many frames leave in one write. Nothing here waits.
//!
//! Invariants:
//! - deliveries leave in the order of `msgId`, none twice: `passed` is the highest id that left
//!   through here or that catch-up has completely read up to, and nothing at or below it is
//!   appended;
//! - a delivery that finds no room is not appended, nor is any after it, until the session has
//!   caught up from the store and calls [`Outbox::try_go_live`];
//! - answers to sends (acknowledgements, refusals) are bounded: once waiting answers or sends in
//!   flight reach `bytes_max` bytes, no further send may be read.

use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::model::MsgId;
use crate::protocol::close::CloseReason;
use crate::protocol::error_code::FrameError;

/// Estimated size of a refusal until it is taken: about that of its frame.
const REFUSAL_BYTES: usize = 512;

/// The outbox of one session.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes_max: usize,
    /// For observers: unconfirmed deliveries of the session, and bytes taken from here or the store
    /// that the socket has not taken yet.
    unconfirmed: AtomicU32,
    taken_bytes: AtomicU32,
    state: Mutex<State>,
}

/// Backlog of one session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Whether the session is behind and reads the store.
    pub catching_up: bool,
    /// Bytes waiting to be written.
    pub bytes: usize,
    /// Unconfirmed deliveries.
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
    /// Bytes of answers to sends, in `frames` and `errors`.
    answer_bytes: usize,
    recheck: bool,
    close: Option<CloseReason>,
    waker: Option<Waker>,
}

/// A delivery within the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// `msgId` of the message.
    pub id: MsgId,
    /// Size of its frame in bytes.
    pub bytes: u32,
    /// Offset of its end within the frames.
    pub end: u32,
}

/// Contents of an outbox, as taken by the session's task.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Output to write; `None` if it was not asked for.
    pub output: Option<Output>,
    /// Whether the session must check its token again.
    pub recheck: bool,
    /// Why the session must end, if so.
    pub close: Option<CloseReason>,
}

/// Output waiting for the socket.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Encoded frames, to be written before any later output.
    pub frames: Vec<u8>,
    /// The deliveries within the frames, in order.
    pub deliveries: Vec<Delivery>,
    /// Refused sends that need an answer.
    pub errors: Vec<FrameError>,
    /// Number of frames that acknowledge repeats of accepted sends.
    pub repeats: u32,
    /// Whether messages wait in the store that did not pass through here.
    pub behind: bool,
}

impl Outbox {
    /// An empty outbox for at most `bytes_max` bytes of deliveries; not live yet.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            ..Self::default()
        }
    }

    /// Appends the encoded frame of message `id`, or marks the session as behind. Returns whether
    /// the frame was appended.
    pub fn deliver(&self, id: MsgId, frame: &[u8]) -> bool {
        let mut state = self.state.lock();
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
        // A session that is already behind calls `try_go_live` once it has caught up.
        if std::mem::take(&mut state.live) {
            state.wake();
        }
        false
    }

    /// Counts the bytes of a send in flight.
    pub fn send_started(&self, bytes: usize) {
        self.state.lock().sending_bytes += bytes;
    }

    /// Records the outcome of a send: an encoded acknowledgement, nothing, or a refusal.
    pub fn send_finished(&self, bytes: usize, outcome: Result<Option<&[u8]>, FrameError>) {
        let mut state = self.state.lock();
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

    /// Marks the next acknowledgement as one for a repeat.
    pub fn send_is_repeat(&self) {
        self.state.lock().repeats += 1;
    }

    /// Whether another send may be read from the socket.
    pub fn may_send(&self) -> bool {
        self.state.lock().may_send(self.bytes_max)
    }

    /// Whether a send is waiting for the store.
    pub fn awaits_store(&self) -> bool {
        self.state.lock().sending_bytes > 0
    }

    /// Tells the session to end; the first reason stands.
    pub fn close(&self, reason: CloseReason) {
        let mut state = self.state.lock();
        state.close.get_or_insert(reason);
        state.wake();
    }

    /// Makes the session check its token again.
    pub fn recheck(&self) {
        let mut state = self.state.lock();
        state.recheck = true;
        state.wake();
    }

    /// Takes deliveries above `seen`, up to which the session has read everything in the store.
    /// `false` if one above was missed: the session must read on.
    pub fn try_go_live(&self, seen: MsgId) -> bool {
        let mut state = self.state.lock();
        state.passed = state.passed.max(seen);
        state.live = state.missed <= state.passed;
        state.live
    }

    /// Stops taking deliveries; [`Output::behind`] comes with the last ones.
    pub fn fall_behind(&self) {
        let mut state = self.state.lock();
        state.live = false;
        state.wake();
    }

    /// Records the session's unconfirmed deliveries and the output bytes waiting for its socket.
    pub fn note_session(&self, unconfirmed: usize, bytes: usize) {
        for (place, number) in [(&self.unconfirmed, unconfirmed), (&self.taken_bytes, bytes)] {
            place.store(u32::try_from(number).unwrap_or(u32::MAX), Ordering::Relaxed);
        }
    }

    /// Bytes waiting to be taken.
    #[cfg(test)]
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.state.lock().frames.len()
    }

    /// Current backlog of the session.
    pub fn load(&self) -> Load {
        let state = self.state.lock();
        Load {
            catching_up: !state.live,
            bytes: state.frames.len() + self.taken_bytes.load(Ordering::Relaxed) as usize,
            unconfirmed: self.unconfirmed.load(Ordering::Relaxed),
        }
    }

    /// Takes everything there is; pending if there is nothing. With `frames` false (the socket is
    /// busy), frames, errors and the news of being behind stay. `live` is the session's own view:
    /// falling behind is news only if that is true. Cancel-safe.
    pub fn poll_take(&self, cx: &mut Context<'_>, frames: bool, live: bool) -> Poll<Taken> {
        let mut state = self.state.lock();
        let urgent = state.close.is_some() || state.recheck;
        let behind = live && !state.live;
        let output = !state.frames.is_empty() || !state.errors.is_empty() || behind;
        if !(urgent || frames && output) {
            // Clones only a waker that would wake another task.
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => state.waker = Some(cx.waker().clone()),
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
