//! The one task that owns a session's socket: it waits for what may happen, tells the
//! machine, and carries out its actions.
//!
//! Every future it waits for is polled from one `poll_fn` and loses nothing when another
//! is ready first.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep};
use tracing::{debug, error};

use crate::command;
use crate::hub::{Outbox, Registration};
use crate::model::{Message, MsgId};
use crate::protocol::client_frame;
use crate::protocol::server_frame;
use crate::session::Context;
use crate::session::identity::Identity;
use crate::session::machine::{Action, Input, Machine, Now, Start};
use crate::store::ReadError;
use crate::websocket::{Connection, Event, writer};

/// Most messages read from the store at once.
const CHUNK_MESSAGES_MAX: usize = 128;

/// Most bytes of content read from the store at once (one message may be longer).
const CHUNK_BYTES_MAX: usize = 128 << 10;

/// Most inputs handled before other tasks get their turn.
const INPUTS_A_TURN_MAX: usize = 64;

/// What a send weighs in the window of sends, beside its content: about its bookkeeping.
const SEND_OVERHEAD_BYTES: usize = 512;

/// How long a session reads no more sends before it looks again whether the store keeps up.
const STORE_PAUSE: Duration = Duration::from_millis(10);

type Read = JoinHandle<Result<Vec<Message>, ReadError>>;

/// A session that has been admitted.
pub struct Session {
    context: Arc<Context>,
    identity: Identity,
    registration: Registration,
    outbox: Arc<Outbox>,
    began: Instant,
    machine: Machine,
    /// What the machine wants done next.
    actions: Vec<Action>,
    /// A read of the store that is under way.
    read: Option<Read>,
    /// Nothing was read because the store is behind: what the peer said is not known.
    deaf: bool,
    /// The pause of a session whose sends the store cannot keep up with.
    store_pause: Option<Pin<Box<Sleep>>>,
}

/// How a session ends on its socket.
enum End {
    Close(u16, String),
    Gone,
}

impl Session {
    /// A session of `identity`, which has its place in the hub.
    pub fn new(
        context: Arc<Context>,
        identity: Identity,
        registration: Registration,
        outbox: Arc<Outbox>,
        start: Start,
    ) -> Self {
        let mut actions = Vec::new();
        let machine = Machine::new(start, &mut actions);
        Self {
            context,
            identity,
            registration,
            outbox,
            began: Instant::now(),
            machine,
            actions,
            read: None,
            deaf: false,
            store_pause: None,
        }
    }

    /// Runs until the session ends, and closes the socket.
    ///
    /// No `async fn`: that would keep room for its arguments twice, in every session.
    #[allow(clippy::manual_async_fn)]
    pub fn run(mut self, mut connection: Connection) -> impl Future<Output = ()> + Send {
        async move {
            let end = self.converse(&mut connection).await;
            // The user is offline from now on, however long the peer takes to close.
            drop(self.registration);
            if let End::Close(code, reason) = end {
                debug!(code, "a session ends");
                connection.close(code, &reason).await;
            }
        }
    }

    async fn converse(&mut self, connection: &mut Connection) -> End {
        let mut timer = pin!(sleep(self.machine.wake_in(self.now())));
        let mut turn = 0;
        loop {
            if let Some(end) = self.carry_out_all(connection) {
                return end;
            }
            turn += 1;
            let input = if turn % INPUTS_A_TURN_MAX == 0 {
                tokio::task::yield_now().await;
                // A client that floods always has the next input ready: the timer comes last.
                Input::Tick
            } else {
                poll_fn(|cx| self.poll_input(cx, connection, timer.as_mut())).await
            };
            if connection.take_heard() | std::mem::take(&mut self.deaf) {
                self.handle(Input::Heard, connection);
            }
            self.handle(input, connection);
            let wake_at = tokio::time::Instant::now() + self.machine.wake_in(self.now());
            // Moving a timer costs; input only ever moves it later, so it may fire early instead.
            if timer.is_elapsed() || wake_at < timer.deadline() {
                timer.as_mut().reset(wake_at);
            }
        }
    }

    fn now(&self) -> Now {
        Now {
            elapsed: self.began.elapsed(),
            wall_ms: self.context.clock.now_ms(),
        }
    }

    fn handle(&mut self, input: Input, connection: &mut Connection) {
        let (now, rules) = (self.now(), &self.context.rules);
        self.machine
            .handle(input, now, rules, connection.queue(), &mut self.actions);
    }

    fn poll_input(
        &mut self,
        cx: &mut TaskContext<'_>,
        connection: &mut Connection,
        timer: Pin<&mut Sleep>,
    ) -> Poll<Input> {
        let machine = &self.machine;
        if let Poll::Ready(taken) =
            self.outbox
                .poll_take(cx, !machine.is_writing(), machine.is_live())
        {
            return Poll::Ready(Input::Taken(taken));
        }
        // Only now: the outbox knows whom to wake when the window of sends opens.
        self.deaf = !(self.outbox.may_send() && self.poll_store(cx).is_ready());
        let room = connection.queued_bytes() < self.context.outbox_bytes_max && !self.deaf;
        if let Poll::Ready(event) = connection.poll_event(cx, room) {
            return Poll::Ready(input(event));
        }
        if let Some(read) = &mut self.read
            && let Poll::Ready(outcome) = Pin::new(read).poll(cx)
        {
            self.read = None;
            return Poll::Ready(match outcome {
                Ok(Ok(messages)) => Input::Messages(messages),
                Ok(Err(error)) => {
                    error!(%error, "a session's messages cannot be read");
                    Input::ReadFailed
                }
                Err(_) => Input::ReadFailed,
            });
        }
        ready!(timer.poll(cx));
        Poll::Ready(Input::Tick)
    }

    /// Ready while the store keeps up: senders that are faster are slowed down, not refused.
    fn poll_store(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        while !self.context.store.has_room() {
            let pause = self
                .store_pause
                .get_or_insert_with(|| Box::pin(sleep(STORE_PAUSE)));
            ready!(pause.as_mut().poll(cx));
            self.store_pause = None;
        }
        self.store_pause = None;
        Poll::Ready(())
    }

    /// Carries out what the machine wants, also what it wants in answer to that.
    fn carry_out_all(&mut self, connection: &mut Connection) -> Option<End> {
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
        match action {
            Action::Read(after) => self.read = Some(self.read(after)),
            Action::GoLive(position) => {
                let live = self.outbox.try_go_live(position);
                self.handle(Input::Live(live), connection);
            }
            Action::FallBehind => self.outbox.fall_behind(),
            // A session that was replaced confirms nothing any more: its successor may have gone back.
            Action::Confirm(id) => {
                let Context { store, .. } = &*self.context;
                let device = &self.identity.sender.device;
                self.registration.if_current(|| store.confirm(device, id));
            }
            Action::Send(send) => self.send(send),
            Action::CheckToken => {
                let domain = &self.identity.sender.device.mailbox.domain;
                let validity = self
                    .context
                    .auth
                    .validity(domain, &self.identity.credential);
                self.handle(Input::Token(validity), connection);
            }
            Action::Close(reason) => {
                return Some(End::Close(reason.code(), reason.text().into_owned()));
            }
            Action::AnswerClose(code) => return Some(End::Close(code, String::new())),
            Action::End => return Some(End::Gone),
        }
        None
    }

    fn read(&self, after: MsgId) -> Read {
        let store = self.context.store.clone();
        let mailbox = self.identity.sender.device.mailbox.clone();
        tokio::task::spawn_blocking(move || {
            store.messages_after(&mailbox, after, CHUNK_MESSAGES_MAX, CHUNK_BYTES_MAX)
        })
    }

    fn send(&self, send: client_frame::Send) {
        let bytes = send.content.len() + SEND_OVERHEAD_BYTES;
        let (array, client_msg_id) = (send.to_array, send.client_msg_id.clone());
        let outbox = Arc::clone(&self.outbox);
        outbox.send_started(bytes);
        let Context { store, hub, .. } = &*self.context;
        command::send::send(
            store,
            hub,
            &self.identity.sender,
            send,
            move |outcome| match outcome {
                Err(error) => outbox.send_finished(bytes, Err(error)),
                Ok(accepted) => {
                    let ack = client_msg_id.map(|id| {
                        let (mut json, mut frame) = (Vec::new(), Vec::new());
                        server_frame::ack(&mut json, &id, &accepted.ids, array, accepted.duplicate);
                        writer::text(&mut frame, &json);
                        frame
                    });
                    outbox.send_finished(bytes, Ok(ack.as_deref()));
                }
            },
        );
    }
}

fn input(event: Event) -> Input {
    match event {
        Event::Text(text) => Input::Text(text),
        Event::Pong(payload) => Input::Pong(payload),
        // Binary messages are violations here, so none arrives.
        Event::Binary(_) => Input::Heard,
        Event::Close { code } => Input::PeerClosed(code),
        Event::Violation(violation) => Input::Violation(violation),
        Event::Ended => Input::Ended,
        Event::Flushed => Input::Flushed,
    }
}
