//! Sessions: from a login to the last frame.
//!
//! - [`identity`]: who logs in, and whether the token says so;
//! - [`machine`]: what a session does, as a pure state machine;
//! - `conversation`: what happens, in its order, to the machine, and its actions carried out;
//! - [`task`]: the one task that owns the socket and waits.

mod conversation;
pub mod identity;
pub mod machine;
pub mod task;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error};

use crate::auth::Auth;
use crate::clock::Clock;
use crate::hub::{Hub, Outbox, Registration};
use crate::model::{Device, MsgId};
use crate::protocol::client_frame::FrameRules;
use crate::protocol::close::CloseReason;
use crate::protocol::login::Login;
use crate::store::{AppendError, Store};
use crate::websocket::Connection;
use identity::Identity;
use machine::{Start, Window};
use task::Session;

/// What all sessions share.
pub struct Context {
    /// Messages and cursors.
    pub store: Store,
    /// Who is online.
    pub hub: Arc<Hub>,
    /// Tokens.
    pub auth: Auth,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// What frames may hold.
    pub rules: FrameRules,
    /// Most bytes waiting to be written to a session, and most bytes of its sends in flight.
    pub outbox_bytes_max: usize,
    /// Time without any input after which a Ping is sent.
    pub ping_interval: Duration,
    /// Where session tasks are spawned.
    pub tracker: TaskTracker,
    /// Set when the server stops.
    pub stop: CancellationToken,
}

/// Admits a login or refuses it; who is admitted gets a task of its own. `login` is what the
/// request held, or the sentence that says which parameter is wrong.
///
/// The session is spawned rather than awaited, so that what admission needed is freed.
pub async fn open(context: Arc<Context>, connection: Connection, login: Result<Login, String>) {
    match admit(&context, login).await {
        Ok((identity, registration, outbox, start)) => {
            debug!(domain = %identity.sender.device.mailbox.domain, "a session begins");
            let tracker = context.tracker.clone();
            let session = Session::new(context, identity, registration, outbox, start);
            tracker.spawn(session.run(connection));
        }
        Err(reason) => {
            debug!(code = reason.code(), "a login is refused");
            connection.close(reason.code(), &reason.text()).await;
        }
    }
}

type Admitted = (Identity, Registration, Arc<Outbox>, Start);

async fn admit(
    context: &Arc<Context>,
    login: Result<Login, String>,
) -> Result<Admitted, CloseReason> {
    let login = login.map_err(CloseReason::BadLogin)?;
    let (receipts, after) = (login.receipts, login.after);
    let identity = Identity::verify(login, &context.auth)?;
    context
        .store
        .writable()
        .map_err(|_| CloseReason::StorageUnavailable)?;

    let device = identity.sender.device.clone();
    let outbox = Arc::new(Outbox::new(context.outbox_bytes_max));
    // First in the hub, then the store: what comes between is missed by neither.
    let now_ms = context.clock.now_ms();
    let registration = context
        .hub
        .register(device.clone(), Arc::clone(&outbox), now_ms)?;
    let newest_at_login = context.store.last_id();
    // A stop that came before the registration did not see this session.
    if context.stop.is_cancelled() {
        return Err(CloseReason::ShuttingDown);
    }
    // So did a rotation of tokens.
    let validity = context
        .auth
        .validity(&device.mailbox.domain, &identity.credential);
    let token_expires_at_ms = validity.ok_or(CloseReason::TokenRevoked)?;

    let cursor = enter(&context.store, &device, after).await?;
    let start = Start {
        mailbox: device.mailbox,
        resource: device.resource,
        receipts,
        cursor,
        // Nobody can have processed what was not there yet; what is confirmed was there.
        after: after.map_or(cursor, |after| after.min(newest_at_login.max(cursor))),
        newest_at_login,
        token_expires_at_ms,
        ping_interval: context.ping_interval,
        window: Window::DEFAULT,
    };
    Ok((identity, registration, outbox, start))
}

/// The device's cursor; the device is known from now on, and has its cursor at most at `after`.
async fn enter(store: &Store, device: &Device, after: Option<MsgId>) -> Result<MsgId, CloseReason> {
    let (answer, answered) = oneshot::channel();
    let (store, device) = (store.clone(), device.clone());
    let done = move |outcome| {
        // Who has left meanwhile needs no answer.
        let _ = answer.send(outcome);
    };
    tokio::task::spawn_blocking(move || store.enter(&device, after, Box::new(done)))
        .await
        .map_err(|_| CloseReason::Internal)?;
    let outcome = answered.await.map_err(|_| CloseReason::Internal)?;
    outcome.map_err(|error| match error {
        AppendError::Closed => CloseReason::ShuttingDown,
        AppendError::DomainRemoved => CloseReason::TokenRevoked,
        AppendError::Unavailable(_) | AppendError::Overloaded => {
            error!(%error, "a login is refused: its cursor cannot be read or stored");
            CloseReason::StorageUnavailable
        }
    })
}
