//! A session under test: its driver with a connection over a stream in memory, and the client at
//! the other end. It runs when told to, and only as far as it has been woken.

use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use proptest::{prop_assert, prop_assert_eq};
use tokio_util::sync::CancellationToken;

use super::case::{Checked, Facts, Settings, rules};
use super::causes::Causes;
use super::client::{Amount, Client};
use super::desk::{Desk, ManualTimer};
use super::frames::check_message;
use super::watch::Watch;
use crate::auth::Validity;
use crate::hub::{Outbox, Registration, Taken};
use crate::model::MsgId;
use crate::protocol::login::ReceiptMode;
use crate::session::driver::Driver;
use crate::session::machine::{End, Input, Start};
use crate::websocket::{Connection, Event};

/// Most inputs per run; a session that takes more never rests.
const INPUTS_MAX: usize = 3000;

/// Time limit of an orderly close.
const CLOSE_MS: u64 = 10_000;

/// Most bytes of an answer to a client's text.
const ANSWER_BYTES_MAX: usize = 400;

/// Most bytes of Pings that a blocked stream can leave behind: a session that gets none out ends.
const PINGS_BYTES_MAX: usize = 1000;

enum Stage {
    Entering(Box<Login>),
    Open(Box<Driver<Desk>>),
    Closing(Pin<Box<dyn Future<Output = ()>>>, u64),
    Gone,
}

/// A login registered in the hub that waits for its cursor.
pub(super) struct Login {
    pub(super) connection: Connection,
    pub(super) registration: Registration,
    pub(super) outbox: Arc<Outbox>,
    pub(super) after: Option<MsgId>,
    pub(super) facts: Facts,
}

/// Set when the session's task is woken.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) struct Session {
    pub(super) desk: Desk,
    pub(super) client: Client,
    pub(super) watch: Watch,
    pub(super) causes: Causes,
    outbox: Arc<Outbox>,
    stage: Stage,
    timer_ms: u64,
    woken: Arc<Woken>,
    waker: Waker,
    /// The store was behind, so anything from the peer may have counted as life.
    deaf: bool,
}

impl Session {
    pub(super) fn new(desk: Desk, client: Client, login: Login) -> Self {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        Self {
            desk,
            client,
            watch: Watch::new(login.facts.clone()),
            causes: Causes::default(),
            outbox: Arc::clone(&login.outbox),
            stage: Stage::Entering(Box::new(login)),
            timer_ms: 0,
            waker: Waker::from(Arc::clone(&woken)),
            woken,
            deaf: false,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.stage, Stage::Gone)
    }

    /// The store has found the device's cursor, and the session begins. Returns the initial facts.
    pub(super) fn begin(&mut self) -> Option<Facts> {
        if !matches!(self.stage, Stage::Entering(_)) {
            return None;
        }
        let Stage::Entering(login) = std::mem::replace(&mut self.stage, Stage::Gone) else {
            return None;
        };
        let Login {
            connection,
            registration,
            outbox,
            after,
            mut facts,
        } = *login;
        let now_ms = {
            let mut shared = self.desk.shared.borrow_mut();
            facts.cursor = shared.store.enter(facts.device, after);
            shared.now_ms
        };
        facts.after = after.map_or(facts.cursor, |after| {
            after.min(facts.published.max(facts.cursor))
        });
        facts.began_ms = now_ms;
        self.desk.began_ms = now_ms;
        let device = super::store::device(facts.device);
        let token_expires_at_ms = match *self.desk.validity.borrow() {
            Validity::Until(at_ms) => Some(at_ms),
            Validity::Ended | Validity::Forever => None,
        };
        let start = Start {
            mailbox: device.mailbox,
            resource: device.resource,
            rules: rules(),
            receipts: if facts.manual {
                ReceiptMode::Manual
            } else {
                ReceiptMode::Auto
            },
            cursor: facts.cursor,
            after: facts.after,
            newest_at_login: facts.published,
            token_expires_at_ms,
            ping_interval: Duration::from_millis(facts.settings.interval_ms),
            window: facts.settings.window,
        };
        let desk = self.desk.clone();
        let driver = Driver::new(desk, registration, outbox, connection, start);
        self.timer_ms = u64::MAX;
        self.watch = Watch::new(facts.clone());
        self.woken.0.store(true, Ordering::Relaxed);
        self.stage = Stage::Open(Box::new(driver));
        Some(facts)
    }

    /// Time of the next event that time alone brings about.
    pub(super) fn due_ms(&self) -> Option<u64> {
        match &self.stage {
            Stage::Open(_) => Some(self.timer_ms),
            Stage::Closing(_, until_ms) => Some(*until_ms),
            Stage::Entering(_) | Stage::Gone => None,
        }
    }

    /// Whether it will act without time passing.
    pub(super) fn is_busy(&self) -> bool {
        self.is_woken() || self.desk.is_asked()
    }

    pub(super) fn is_woken(&self) -> bool {
        let due = self
            .due_ms()
            .is_some_and(|at_ms| self.desk.shared.borrow().now_ms >= at_ms);
        due || self.woken.0.load(Ordering::Relaxed)
    }

    /// Runs until nothing more happens, as the task does. Without a wake, nothing may happen.
    pub(super) fn run(&mut self, known: &BTreeSet<MsgId>) -> Checked {
        for _ in 0..INPUTS_MAX {
            self.carry_out()?;
            if !self.next_input(known)? {
                return self.check_rest();
            }
        }
        prop_assert!(false, "a session does not come to rest");
        Ok(())
    }

    /// Feeds one input and leaves its consequences to be carried out.
    pub(super) fn next_input(
        &mut self,
        known: &BTreeSet<MsgId>,
    ) -> Result<bool, super::case::Failure> {
        let now_ms = self.desk.shared.borrow().now_ms;
        let mut cx = Context::from_waker(&self.waker);
        let woken = self.woken.0.swap(false, Ordering::Relaxed);
        let driver = match &mut self.stage {
            Stage::Open(driver) => driver,
            Stage::Closing(close, until_ms) => {
                if close.as_mut().poll(&mut cx).is_ready() || now_ms >= *until_ms {
                    self.stage = Stage::Gone;
                }
                return Ok(false);
            }
            Stage::Entering(_) | Stage::Gone => return Ok(false),
        };
        let due = now_ms >= self.timer_ms;
        let timer_ms = &mut self.timer_ms;
        let timer = pin!(ManualTimer { now_ms, timer_ms });
        let polled = driver.poll_input(&mut cx, timer);
        if self.client.wire.take_life() {
            self.watch.pinging.alive(now_ms);
            self.deaf = false;
        }
        self.deaf |= self.desk.shared.borrow().busy;
        let Poll::Ready(input) = polled else {
            return Ok(false);
        };
        prop_assert!(woken || due, "{input:?} is there, and nobody was woken");
        // As in a busy runtime, the next poll comes without a wake.
        self.woken.0.store(true, Ordering::Relaxed);
        match &input {
            Input::Taken(Taken {
                output: Some(output),
                ..
            }) => prop_assert!(
                output.frames.is_empty() || driver.connection().queued_bytes() == 0,
                "frames are taken from the outbox while others wait for the stream"
            ),
            Input::Event(Event::Pong(payload)) => self.watch.pong(payload, now_ms),
            Input::Event(Event::Text(text)) if text != "ping" => {
                let id = text
                    .strip_prefix("{\"received\":")
                    .and_then(|id| id.strip_suffix('}'));
                let id = id.and_then(MsgId::parse);
                let current = !self.causes.replaced;
                self.watch
                    .received(id, current, &self.desk.shared.borrow().store, known);
            }
            _ => {}
        }
        let queued_before = driver.connection().queue().len();
        driver.take(input);
        let queued = &driver.connection().queue()[queued_before..];
        let store = &self.desk.shared.borrow().store;
        self.watch.queued(queued, now_ms, store)?;
        Ok(true)
    }

    /// Carries out the consequences of the last input.
    fn carry_out(&mut self) -> Checked {
        let Stage::Open(driver) = &mut self.stage else {
            return Ok(());
        };
        let queued_before = driver.connection().queue().len();
        let end = driver.carry_out_all();
        let now_ms = self.desk.shared.borrow().now_ms;
        let queued = &driver.connection().queue()[queued_before..];
        let store = &self.desk.shared.borrow().store;
        self.watch.queued(queued, now_ms, store)?;
        let current = !self.causes.replaced;
        for id in self.desk.confirmed.take() {
            prop_assert!(current, "a session that was replaced confirms {id}");
            self.watch.check_confirm(id, store)?;
        }
        if let Some(end) = end {
            self.check_end(&end, now_ms)?;
            let Stage::Open(driver) = std::mem::replace(&mut self.stage, Stage::Gone) else {
                return Ok(());
            };
            let connection = driver.into_connection();
            let stop = CancellationToken::new();
            let close = match end {
                End::Close(reason) => connection.close(reason.code(), &reason.text(), stop),
                End::Answer(code) => connection.close(code, "", stop),
                End::Gone => return Ok(()),
            };
            self.stage = Stage::Closing(close, now_ms + CLOSE_MS);
            return Ok(());
        }
        self.watch.check_handled(current, store)
    }

    fn check_end(&self, end: &End, now_ms: u64) -> Checked {
        let causes = &self.causes;
        let expired = causes.has_expired(now_ms);
        let fine = match end {
            End::Gone => self.client.wire.is_cut(),
            End::Answer(code) => causes.closed_by_client == Some(*code),
            End::Close(reason) => match reason.code() {
                4408 => self.watch.unheeded,
                4409 => causes.replaced,
                4401 => causes.revoked || expired,
                1001 => causes.stopped,
                1009 | 1013 => self.client.is_late(now_ms - self.watch.facts.began_ms),
                1011 => causes.read_failed || self.watch.pinging.is_dead(now_ms),
                _ => false,
            },
        };
        prop_assert!(fine, "it ends with {end:?}, for {causes:?}");
        Ok(())
    }

    /// Checks that hold whenever a session waits.
    fn check_rest(&mut self) -> Checked {
        let Stage::Open(driver) = &mut self.stage else {
            return Ok(());
        };
        let connection = driver.connection();
        let shared = self.desk.shared.borrow();
        if connection.queued_bytes() == 0 && !self.client.wire.is_blocked() {
            self.watch.pinging.all_left(shared.now_ms);
        }
        self.watch.check_time(shared.now_ms, self.deaf)?;
        let Settings {
            outbox_bytes_max, ..
        } = self.desk.settings;
        let (_, chunk_bytes) = self.desk.settings.chunk_max();
        let queue_max = outbox_bytes_max
            + ANSWER_BYTES_MAX
            + chunk_bytes.max(outbox_bytes_max)
            + PINGS_BYTES_MAX;
        let (queued, waiting) = (connection.queued_bytes(), self.outbox.waiting_bytes());
        prop_assert!(
            queued <= queue_max,
            "{queued} bytes are queued, at most {queue_max}"
        );
        prop_assert!(
            waiting <= outbox_bytes_max,
            "{waiting} bytes are in the outbox"
        );
        let causes = &self.causes;
        let expired = causes.has_expired(shared.now_ms);
        let over = causes.replaced || causes.stopped || causes.revoked || expired;
        prop_assert!(!over, "it goes on, in spite of {causes:?}");
        Ok(())
    }

    /// The client reads; `got` is called for each delivery.
    pub(super) fn read(&mut self, amount: Amount, mut got: impl FnMut(MsgId)) -> Checked {
        let Self {
            client,
            watch,
            desk,
            ..
        } = self;
        let store = &desk.shared.borrow().store;
        let mut at = client.ids.len();
        client.read(amount, |text, id| {
            prop_assert_eq!(Some(id), watch.delivered(at), "the client's next delivery");
            at += 1;
            check_message(text, id, &watch.facts, store)?;
            got(id);
            Ok(())
        })
    }

    /// As [`Watch::check_quiet`].
    pub(super) fn check_quiet(&self) -> Checked {
        if !self.is_open() {
            return Ok(());
        }
        self.watch.check_quiet(&self.desk.shared.borrow().store)
    }

    /// Whether everything due has arrived and is confirmed.
    pub(super) fn is_level(&self) -> bool {
        !self.is_open() || self.watch.is_level(&self.desk.shared.borrow().store)
    }

    /// As [`Watch::left`].
    pub(super) fn left(&self) -> usize {
        self.watch.left(&self.desk.shared.borrow().store)
    }

    /// The client has read and honestly confirmed everything: nothing is left to do.
    pub(super) fn check_level(&self) -> Checked {
        if !self.is_open() {
            return Ok(());
        }
        let store = &self.desk.shared.borrow().store;
        self.watch.check_level(self.client.errors, store)
    }

    /// Ends the session like the death of its process: data in flight is lost.
    pub(super) fn kill(&mut self) {
        self.client.wire.cut(0, 0);
        self.stage = Stage::Gone;
    }
}
