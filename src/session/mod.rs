//! Sessions: from a login to the last frame.
//!
//! - [`identity`]: who logs in, and whether the token says so;
//! - [`machine`]: what a session does, as a pure state machine;
//! - `conversation`: what happens, in its order, to the machine, and its actions carried out;
//! - [`task`]: the one task that owns the socket and waits.

mod conversation;
mod counting;
pub mod identity;
pub mod machine;
pub mod task;

pub use counting::count_from_zero;

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::auth::Validity;
use crate::hub::{Arrival, HubFull, Outbox, Registration};
use crate::limits::{AddressPermit, Limit, Limited, Visitor};
use crate::metrics::Metrics;
use crate::model::{Device, MsgId};
use crate::protocol::close::CloseReason;
use crate::protocol::login::{Login, ReceiptMode};
use crate::state::State;
use crate::store::AppendError;
use crate::websocket::Connection;
use identity::Identity;
use machine::{Start, Window};
use task::Session;

/// Admits a login or refuses it; who is admitted gets a task of its own. `login` is what the
/// request held, or why it is refused before its token is looked at.
///
/// The session is spawned rather than awaited, so that what admission needed is freed.
pub async fn open(
    state: State,
    mut connection: Connection,
    login: Result<Login, CloseReason>,
    visitor: Visitor,
) {
    let judged = judge(&state, login, &visitor);
    // Behind a proxy the connection is the proxy's: its place is that of who it speaks for.
    let place = match visitor.proxied {
        true => state.limits.connect(&visitor, judged.is_ok()),
        false => Ok(AddressPermit::default()),
    };
    let (place, admitted) = match (place, judged) {
        (Ok(place), Ok(judged)) => (place, admit(&state, judged, &visitor).await),
        (Ok(place), Err(reason)) => (place, Err(reason)),
        (Err(limited), _) => (AddressPermit::default(), Err(over_limit(limited))),
    };
    match admitted {
        Ok((mut identity, arrival, registration, outbox, start)) => {
            identity.place = place;
            connection.belongs_to(&identity.sender.device.mailbox);
            let domain = &identity.sender.device.mailbox.domain;
            debug!(%domain, address = %visitor.address, "a session begins");
            state.metrics.sessions.logins.inc();
            let tracker = state.tracker.clone();
            let session = Session::new(state, identity, arrival, registration, outbox, start);
            tracker.spawn(session.run(connection));
        }
        Err(reason) => {
            // Its place among those of its address is for who comes next.
            drop(place);
            let stop = state.stop.clone();
            refuse(connection, &reason, visitor, &state.metrics, stop).await;
        }
    }
}

/// Closes the connection of a login that is refused.
pub async fn refuse(
    connection: Connection,
    reason: &CloseReason,
    visitor: Visitor,
    metrics: &Metrics,
    stop: CancellationToken,
) {
    let (code, name) = (reason.code(), reason.name());
    debug!(code, reason = name, address = %visitor.address, "a login is refused");
    let refused = &metrics.sessions.logins_refused;
    refused.with_label_values(&[name]).inc();
    counting::closed(metrics, code, "server");
    connection.close(code, &reason.text(), stop).await;
}

type Admitted = (Identity, Arrival, Registration, Arc<Outbox>, Start);

/// A login whose token is good.
struct Judged {
    identity: Identity,
    receipts: ReceiptMode,
    after: Option<MsgId>,
}

/// Holds a login against its token.
fn judge(
    state: &State,
    login: Result<Login, CloseReason>,
    visitor: &Visitor,
) -> Result<Judged, CloseReason> {
    let login = login?;
    let (receipts, after) = (login.receipts, login.after);
    let identity = Identity::verify(login, &state.auth);
    if let Err(CloseReason::Unauthorized) = identity {
        let counted = state.limits.bad_token(visitor);
        counted.map_err(over_limit)?;
    }
    Ok(Judged {
        identity: identity?,
        receipts,
        after,
    })
}

async fn admit(state: &State, judged: Judged, visitor: &Visitor) -> Result<Admitted, CloseReason> {
    let Judged {
        identity,
        receipts,
        after,
    } = judged;
    let limits = &state.limits;
    if !visitor.log_in() {
        limits.note(Limit::Connections, &visitor.address);
        return Err(CloseReason::AtCapacity);
    }
    // Only those whose token is good: bad ones must not take their turn.
    let sender = &identity.sender;
    let admitted = limits.admit(&sender.device.mailbox, !sender.is_trusted);
    admitted.map_err(|limited| match limited.limit {
        Limit::Logins => CloseReason::Busy {
            retry_ms: retry_ms(&limited),
        },
        _ => over_limit(limited),
    })?;
    state
        .store
        .writable()
        .map_err(|_| CloseReason::StorageUnavailable)?;

    let device = identity.sender.device.clone();
    let outbox = Arc::new(Outbox::new(state.settings.outbox_bytes_max));
    // First in the hub, then the store: what comes between is missed by neither.
    let arrival = Arrival {
        at_ms: state.clock.now_ms(),
        from: visitor.address,
    };
    let registration = state
        .hub
        .register(device.clone(), Arc::clone(&outbox), arrival);
    let registration = registration.map_err(|full| hub_full(state, &device, full))?;
    let newest_at_login = state.store.last_id();
    // A stop that came before the registration did not see this session.
    if state.stop.is_cancelled() {
        return Err(CloseReason::ShuttingDown);
    }
    // So did a rotation of tokens.
    let validity = state
        .auth
        .validity(&device.mailbox.domain, &identity.credential);
    let token_expires_at_ms = match validity {
        Validity::Ended => return Err(CloseReason::TokenRevoked),
        Validity::Forever => None,
        Validity::Until(at_ms) => Some(at_ms),
    };

    let cursor = enter(state, &device, after).await?;
    let start = Start {
        mailbox: device.mailbox,
        resource: device.resource,
        receipts,
        cursor,
        // Nobody can have processed what was not there yet; what is confirmed was there.
        after: after.map_or(cursor, |after| after.min(newest_at_login.max(cursor))),
        newest_at_login,
        token_expires_at_ms,
        ping_interval: state.settings.ping_interval,
        window: Window::DEFAULT,
    };
    Ok((identity, arrival, registration, outbox, start))
}

fn retry_ms(limited: &Limited) -> u64 {
    let ms = u64::try_from(limited.retry.as_millis()).unwrap_or(u64::MAX);
    // Rounded up: who comes back on the millisecond is not too early.
    ms.saturating_add(1)
}

fn over_limit(limited: Limited) -> CloseReason {
    CloseReason::OverLimit {
        sentence: limited.to_string(),
        retry_ms: retry_ms(&limited),
    }
}

fn hub_full(state: &State, device: &Device, full: HubFull) -> CloseReason {
    let (limit, reason) = match full {
        HubFull::User { max } => (Limit::SessionsPerUser, CloseReason::TooManySessions { max }),
        HubFull::Server => (Limit::Sessions, CloseReason::AtCapacity),
    };
    state.limits.note(limit, &device.mailbox.domain);
    reason
}

/// The device's cursor; the device is known from now on, and has its cursor at most at `after`.
async fn enter(state: &State, device: &Device, after: Option<MsgId>) -> Result<MsgId, CloseReason> {
    let (answer, answered) = oneshot::channel();
    let (store, entering) = (state.store.clone(), device.clone());
    let done = move |outcome| {
        // Who has left meanwhile needs no answer.
        let _ = answer.send(outcome);
    };
    tokio::task::spawn_blocking(move || store.enter(&entering, after, Box::new(done)))
        .await
        .map_err(|_| CloseReason::Internal)?;
    let outcome = answered.await.map_err(|_| CloseReason::Internal)?;
    if let Ok(entered) = &outcome {
        let quotas = state.limits.quotas();
        quotas.add(&device.mailbox.domain, entered.stored_bytes);
    }
    let cursor = outcome.map(|entered| entered.cursor);
    cursor.map_err(|error| match error {
        AppendError::Closed => CloseReason::ShuttingDown,
        AppendError::DomainRemoved => CloseReason::TokenRevoked,
        // Only sends are repeated.
        AppendError::NotRepeated => CloseReason::Internal,
        AppendError::Unavailable(_) | AppendError::Overloaded => {
            error!(%error, "a login is refused: its cursor cannot be read or stored");
            CloseReason::StorageUnavailable
        }
    })
}
