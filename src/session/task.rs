//! The one task that owns a session's socket: it waits for what may happen and has the conversation
//! go on.
//!
//! Every future it waits for is polled from one `poll_fn` and loses nothing when another
//! is ready first.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep};
use tracing::{debug, error, warn};

use crate::auth::Validity;
use crate::command;
use crate::hub::{Arrival, EndedSession, Outbox, Registration, is_for};
use crate::limits::Limit;
use crate::model::MsgId;
use crate::protocol::client_frame::{self, FrameRules};
use crate::protocol::close::CloseReason;
use crate::protocol::error_code::{ErrorCode, FrameError};
use crate::protocol::server_frame;
use crate::session::conversation::{Conversation, End, Services, Timer};
use crate::session::counting;
use crate::session::identity::Identity;
use crate::session::machine::{Input, Now, Start};
use crate::state::State;
use crate::store::{Backlog, ReadError};
use crate::websocket::{Connection, writer};

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

type Read = JoinHandle<Result<Backlog, ReadError>>;

/// A session that has been admitted.
pub struct Session {
    conversation: Conversation<Server>,
}

/// The server, as one session sees it.
struct Server {
    state: State,
    identity: Identity,
    arrival: Arrival,
    began: Instant,
    /// A read of the store that is under way.
    read: Option<Read>,
    /// The pause of a session whose sends the store cannot keep up with.
    store_pause: Option<Pin<Box<Sleep>>>,
}

impl Session {
    /// A session of `identity`, which came so and has its place in the hub.
    pub fn new(
        state: State,
        identity: Identity,
        arrival: Arrival,
        registration: Registration,
        outbox: Arc<Outbox>,
        start: Start,
    ) -> Self {
        let server = Server {
            state,
            identity,
            arrival,
            began: Instant::now(),
            read: None,
            store_pause: None,
        };
        Self {
            conversation: Conversation::new(server, registration, outbox, start),
        }
    }

    /// Runs until the session ends, and closes the socket.
    ///
    /// No `async fn`: that would keep room for its arguments twice, in every session.
    #[allow(clippy::manual_async_fn)]
    pub fn run(mut self, mut connection: Connection) -> impl Future<Output = ()> + Send {
        async move {
            let end = self.converse(&mut connection).await;
            // Before it is offline: who asks then is told of this end.
            self.conversation.services().left(&end);
            // The user is offline from now on, however long the peer takes to close.
            let stop = self.conversation.services().state.stop.clone();
            drop(self.conversation);
            match end {
                End::Close(reason) => connection.close(reason.code(), &reason.text(), stop).await,
                End::Answer(code) => connection.close(code, "", stop).await,
                End::Gone => {}
            }
        }
    }

    async fn converse(&mut self, connection: &mut Connection) -> End {
        let conversation = &mut self.conversation;
        // The conversation says when.
        let mut timer = pin!(sleep(Duration::MAX));
        let mut turn = 0;
        loop {
            if let Some(end) = conversation.carry_out_all(connection) {
                return end;
            }
            turn += 1;
            let input = if turn % INPUTS_A_TURN_MAX == 0 {
                tokio::task::yield_now().await;
                // A client that floods always has the next input ready: the timer comes last.
                Input::Tick
            } else {
                poll_fn(|cx| conversation.poll_input(cx, connection, timer.as_mut())).await
            };
            conversation.take(input, connection);
        }
    }
}

impl Server {
    fn left(&self, end: &End) {
        self.state.store.leave(&self.identity.sender.device);
        let (code, by, name, reason) = match end {
            End::Close(reason) => (reason.code(), "server", reason.name(), reason.text()),
            End::Answer(code) => (*code, "client", "closed", "closed by the client".into()),
            // RFC 6455, 7.1.5.
            End::Gone => (1006, "client", "lost", "the connection was lost".into()),
        };
        counting::closed(&self.state.metrics, code, by);
        let sender = &self.identity.sender;
        let user = &sender.device.mailbox;
        let domain = &user.domain;
        let address = self.arrival.from;
        debug!(%domain, %address, code, by, reason = name, "a session ends");
        self.state.hub.note_end(EndedSession {
            device: sender.device.clone(),
            arrival: self.arrival,
            ended_at_ms: self.state.clock.now_ms(),
            code,
            by,
            reason,
        });
        let limits = &self.state.limits;
        match end {
            End::Close(CloseReason::OverLimit { .. }) => {
                limits.session_flooded(user, !sender.is_trusted);
            }
            End::Close(CloseReason::NoRoom { .. }) => limits.note(Limit::MessageRoom, domain),
            End::Close(CloseReason::Unfinished { .. }) => limits.note(Limit::MessageTime, domain),
            End::Close(reason @ CloseReason::NoReceipts) => {
                let reason = reason.name();
                warn!(%domain, code, reason, "a client's Pongs lack the payload of the Pings and confirm nothing: it needs receipts=manual");
            }
            _ => {}
        }
    }
}

impl Server {
    /// Counts what catching up delivers; the live stream is counted where it is handed on.
    fn note_backlog(&self, backlog: &Backlog) {
        let resource = &self.identity.sender.device.resource;
        let messages = backlog.messages.iter();
        for message in messages.filter(|message| is_for(message, resource)) {
            self.state.metrics.messages_out.add(message.kind.0, 1);
        }
    }
}

impl Timer for Sleep {
    fn wake_in(self: Pin<&mut Self>, time: Duration) {
        let wake_at = tokio::time::Instant::now() + time;
        // Moving a timer costs; input only ever moves it later, so it may fire early instead.
        if wake_at < self.deadline() || self.is_elapsed() && !time.is_zero() {
            self.reset(wake_at);
        }
    }
}

impl Services for Server {
    fn now(&self) -> Now {
        Now {
            elapsed: self.began.elapsed(),
            wall_ms: self.state.clock.now_ms(),
        }
    }

    fn rules(&self) -> &FrameRules {
        &self.state.settings.rules
    }

    fn output_bytes_max(&self) -> usize {
        self.state.settings.outbox_bytes_max
    }

    fn poll_keeps_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.state.store.has_room() {
            let pause = self
                .store_pause
                .get_or_insert_with(|| Box::pin(sleep(STORE_PAUSE)));
            ready!(pause.as_mut().poll(cx));
            self.store_pause = None;
        }
        self.store_pause = None;
        Poll::Ready(())
    }

    fn read(&mut self, after: MsgId) {
        let store = self.state.store.clone();
        let mailbox = self.identity.sender.device.mailbox.clone();
        self.read = Some(tokio::task::spawn_blocking(move || {
            store.messages_after(&mailbox, after, CHUNK_MESSAGES_MAX, CHUNK_BYTES_MAX)
        }));
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Backlog>> {
        let Some(read) = &mut self.read else {
            return Poll::Pending;
        };
        let outcome = ready!(Pin::new(read).poll(cx));
        self.read = None;
        Poll::Ready(match outcome {
            Ok(Ok(backlog)) => {
                self.note_backlog(&backlog);
                Some(backlog)
            }
            Ok(Err(error)) => {
                error!(%error, "a session's messages cannot be read");
                None
            }
            Err(_) => None,
        })
    }

    fn confirm(&self, id: MsgId) {
        let device = &self.identity.sender.device;
        self.state.store.confirm(device, id);
    }

    fn send(&self, outbox: &Arc<Outbox>, send: client_frame::Send) {
        let bytes = send.content.len() + SEND_OVERHEAD_BYTES;
        let (array, client_msg_id) = (send.to_array, send.client_msg_id.clone());
        let outbox = Arc::clone(outbox);
        outbox.send_started(bytes);
        // Who is trusted may send as much as he likes, and so repeat it.
        let counts_repeats = !self.identity.sender.is_trusted;
        command::send::send(
            self.state.way(),
            &self.identity.sender,
            send,
            move |outcome| match outcome {
                Err(error) => outbox.send_finished(bytes, Err(error)),
                Ok(accepted) => {
                    if accepted.duplicate && counts_repeats {
                        outbox.send_is_repeat();
                    }
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

    fn refuse(&self, error: FrameError) -> FrameError {
        let (state, sender) = (&self.state, &self.identity.sender);
        command::send::refuse(
            state.way(),
            sender,
            state.settings.rules.content_bytes_max,
            error,
        )
    }

    fn refused(&self, code: ErrorCode) {
        let refused = &self.state.metrics.sessions.frames_refused;
        refused.with_label_values(&[code.as_str()]).inc();
    }

    fn validity(&self) -> Validity {
        let domain = &self.identity.sender.device.mailbox.domain;
        self.state.auth.validity(domain, &self.identity.credential)
    }
}
