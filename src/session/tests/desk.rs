//! The server as a session under test sees it: a manual clock and timer, and a store whose answers
//! come when the case says so.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::case::{Settings, WALL_MS};
use super::store::Store;
use crate::auth::Validity;
use crate::hub::Outbox;
use crate::model::MsgId;
use crate::protocol::client_frame;
use crate::protocol::error_code::{ErrorCode, FrameError};
use crate::session::driver::Timer;
use crate::session::machine::{End, Now};
use crate::session::services::Services;
use crate::store::Backlog;

/// State shared by all sessions.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) now_ms: u64,
    pub(super) store: Store,
    /// The store is behind.
    pub(super) busy: bool,
    /// Waiting for the store to catch up.
    pub(super) busy_wakers: Vec<Waker>,
}

/// A read of the store.
#[derive(Default)]
struct Read {
    asked: Option<MsgId>,
    /// The result when the read was carried out.
    found: Option<Backlog>,
    /// The answer to the session; `Some(None)` if the read failed.
    answer: Option<Option<Backlog>>,
    waker: Option<Waker>,
}

/// One session's part of the server.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) shared: Rc<RefCell<Shared>>,
    pub(super) settings: Settings,
    pub(super) device: usize,
    pub(super) began_ms: u64,
    /// As [`Services::validity`].
    pub(super) validity: Rc<RefCell<Validity>>,
    read: Rc<RefCell<Read>>,
    /// Ids that the session confirmed since the last check.
    pub(super) confirmed: Rc<RefCell<Vec<MsgId>>>,
}

impl Desk {
    pub(super) fn new(shared: Rc<RefCell<Shared>>, settings: Settings, device: usize) -> Self {
        let began_ms = shared.borrow().now_ms;
        Self {
            shared,
            settings,
            device,
            began_ms,
            validity: Rc::new(RefCell::new(Validity::Forever)),
            read: Rc::default(),
            confirmed: Rc::default(),
        }
    }

    /// Whether a read is unanswered.
    pub(super) fn is_asked(&self) -> bool {
        self.read.borrow().asked.is_some()
    }

    /// Carries out the pending read, and keeps its answer back.
    pub(super) fn look(&self) {
        let mut read = self.read.borrow_mut();
        if let (Some(after), None) = (read.asked, &read.found) {
            let Settings {
                chunk_messages,
                chunk_bytes,
                ..
            } = self.settings;
            let store = &self.shared.borrow().store;
            read.found =
                Some(store.messages_after(self.device, after, chunk_messages, chunk_bytes));
        }
    }

    /// Answers the pending read.
    pub(super) fn answer(&self) {
        self.look();
        let mut read = self.read.borrow_mut();
        if read.asked.take().is_some() {
            read.answer = Some(read.found.take());
            read.waker.take().iter().for_each(Waker::wake_by_ref);
        }
    }

    /// Makes the pending read fail; `true` if there was one.
    pub(super) fn fail(&self) -> bool {
        let mut read = self.read.borrow_mut();
        let asked = read.asked.take().is_some();
        if asked {
            read.found = None;
            read.answer = Some(None);
            read.waker.take().iter().for_each(Waker::wake_by_ref);
        }
        asked
    }
}

impl Services for Desk {
    fn now(&self) -> Now {
        let now_ms = self.shared.borrow().now_ms;
        Now {
            elapsed: Duration::from_millis(now_ms - self.began_ms),
            wall_ms: WALL_MS + now_ms,
        }
    }

    fn output_bytes_max(&self) -> usize {
        self.settings.outbox_bytes_max
    }

    fn poll_keeps_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.shared.borrow_mut();
        if shared.busy {
            shared.busy_wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn read(&mut self, after: MsgId) {
        *self.read.borrow_mut() = Read {
            asked: Some(after),
            ..Read::default()
        };
        if self.settings.store_at_once {
            self.answer();
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Backlog>> {
        let mut read = self.read.borrow_mut();
        match read.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                read.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn confirm(&self, id: MsgId) {
        self.shared.borrow_mut().store.confirm(self.device, id);
        self.confirmed.borrow_mut().push(id);
    }

    fn send(&self, _: &Arc<Outbox>, send: client_frame::Send) {
        panic!("no client of these sends: {send:?}");
    }

    fn refuse(&self, error: FrameError) -> FrameError {
        error
    }

    fn refused(&self, _code: ErrorCode) {}

    fn validity(&self) -> Validity {
        *self.validity.borrow()
    }

    fn ended(&self, _: &End) {}
}

/// Like a task's timer: may be moved to an earlier time, or to a later one once it has elapsed.
pub(super) struct ManualTimer<'a> {
    pub(super) now_ms: u64,
    pub(super) timer_ms: &'a mut u64,
}

impl Future for ManualTimer<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.now_ms >= *self.timer_ms {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Timer for ManualTimer<'_> {
    fn wake_in(mut self: Pin<&mut Self>, time: Duration) {
        let at_ms = self.now_ms.saturating_add(millis(time));
        let over = self.now_ms >= *self.timer_ms && !time.is_zero();
        if at_ms < *self.timer_ms || over {
            *self.timer_ms = at_ms;
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u64::MAX / 2)
}
