//! The server as seen by one session: the one seam between the driver and the rest, simulated in
//! `tests`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep};
use tracing::{debug, error, warn};

use super::counting;
use super::identity::Identity;
use super::machine::{End, Now};
use crate::auth::Validity;
use crate::command;
use crate::hub::{Arrival, EndedSession, Outbox, is_for};
use crate::limits::{AddressPermit, Limit};
use crate::model::MsgId;
use crate::protocol::client_frame;
use crate::protocol::close::CloseReason;
use crate::protocol::error_code::{ErrorCode, FrameError};
use crate::protocol::server_frame;
use crate::state::State;
use crate::store::{Backlog, ReadError};
use crate::websocket::writer;

/// Most messages per read of the store.
const CHUNK_MESSAGES_MAX: usize = 128;

/// Most bytes of content per read of the store; a single message may be longer.
const CHUNK_BYTES_MAX: usize = 128 << 10;

/// Weight of a send in the window of sends, apart from its content: roughly its bookkeeping.
const SEND_OVERHEAD_BYTES: usize = 512;

/// Pause of a session's reads while the store is behind.
const STORE_PAUSE: Duration = Duration::from_millis(10);

/// The interface between a driver and the rest of the server.
pub(super) trait Services {
    fn now(&self) -> Now;

    /// Most bytes of queued output; above it nothing is read from the socket.
    fn output_bytes_max(&self) -> usize;

    /// Ready while the store keeps up: faster senders are slowed down, not refused.
    fn poll_keeps_up(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Starts reading messages above `after` from the store; replaces a read in progress.
    fn read(&mut self, after: MsgId);

    /// The outcome of the read, `None` if it failed; pending if there is none.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Backlog>>;

    fn confirm(&self, id: MsgId);

    /// Performs a send; the outcome goes to `outbox`.
    fn send(&self, outbox: &Arc<Outbox>, send: client_frame::Send);

    /// Counts a bad frame as a send; returns the error to refuse it with.
    fn refuse(&self, error: FrameError) -> FrameError;

    fn refused(&self, code: ErrorCode);

    fn validity(&self) -> Validity;

    /// Records the end of the session, while it is still registered in the hub.
    fn ended(&self, end: &End);
}

type Read = JoinHandle<Result<Backlog, ReadError>>;

pub(super) struct StateServices {
    state: State,
    identity: Identity,
    arrival: Arrival,
    _address_permit: AddressPermit,
    began: Instant,
    read: Option<Read>,
    /// `Some` while the store is behind.
    store_pause: Option<Pin<Box<Sleep>>>,
}

impl StateServices {
    pub(super) fn new(
        state: State,
        identity: Identity,
        arrival: Arrival,
        address_permit: AddressPermit,
    ) -> Self {
        Self {
            state,
            identity,
            arrival,
            _address_permit: address_permit,
            began: Instant::now(),
            read: None,
            store_pause: None,
        }
    }
}

impl Services for StateServices {
    fn now(&self) -> Now {
        Now {
            elapsed: self.began.elapsed(),
            wall_ms: self.state.clock.now_ms(),
        }
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
                let resource = &self.identity.sender.device.resource;
                let messages = backlog.messages.iter();
                // The hub counts live deliveries.
                for message in messages.filter(|message| is_for(message, resource)) {
                    self.state.metrics.messages_out.add(message.kind.0, 1);
                }
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
        // A project token has no limit on sends, and hence none on repeats.
        let counts_repeats = !self.identity.sender.is_trusted;
        command::send::send(
            self.state.send_path(),
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
            state.send_path(),
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

    fn ended(&self, end: &End) {
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
