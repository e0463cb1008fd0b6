//! Admission of logins.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::counting;
use super::driver::Driver;
use super::identity::Identity;
use super::machine::{Start, Window};
use super::services::StateServices;
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

/// Admits a login and spawns its session, or refuses it. `login` is `Err` if it was refused before
/// its token was checked.
///
/// The session is spawned, not awaited, so that the memory used for admission is freed.
pub async fn open(
    state: State,
    mut connection: Connection,
    login: Result<Login, CloseReason>,
    visitor: Visitor,
) {
    let stop = state.stop.clone();
    match admit(&state, login, &visitor).await {
        Ok(Admitted {
            services,
            registration,
            outbox,
            start,
        }) => {
            connection.belongs_to(&start.mailbox);
            let domain = &start.mailbox.domain;
            debug!(%domain, address = %visitor.address, "a session begins");
            state.metrics.sessions.logins.inc();
            let driver = Driver::new(services, registration, outbox, connection, start);
            state.tracker.spawn(driver.run(stop));
        }
        Err(reason) => refuse(connection, &reason, visitor, &state.metrics, stop).await,
    }
}

/// Closes the connection of a refused login.
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

/// An admitted login, registered in the hub.
struct Admitted {
    services: StateServices,
    registration: Registration,
    outbox: Arc<Outbox>,
    start: Start,
}

/// Checks a login against its token.
fn judge(
    state: &State,
    login: Result<Login, CloseReason>,
    visitor: &Visitor,
) -> Result<(Identity, ReceiptMode, Option<MsgId>), CloseReason> {
    let login = login?;
    let (receipts, after) = (login.receipts, login.after);
    let identity = Identity::verify(login, &state.auth);
    if let Err(CloseReason::Unauthorized) = identity {
        let counted = state.limits.bad_token(visitor);
        counted.map_err(over_limit)?;
    }
    Ok((identity?, receipts, after))
}

/// A refusal frees the address's permit for the next connection, however long the close takes.
async fn admit(
    state: &State,
    login: Result<Login, CloseReason>,
    visitor: &Visitor,
) -> Result<Admitted, CloseReason> {
    let judged = judge(state, login, visitor);
    // The connection is the proxy's; the permit counts for the client behind it.
    let permit = match visitor.proxied {
        true => state
            .limits
            .connect(visitor, judged.is_ok())
            .map_err(over_limit)?,
        false => AddressPermit::default(),
    };
    let (identity, receipts, after) = judged?;
    let limits = &state.limits;
    if !visitor.log_in() {
        limits.note(Limit::Connections, &visitor.address);
        return Err(CloseReason::AtCapacity);
    }
    // Good tokens only: bad ones must not take turns.
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
    // Hub before store, so that neither misses a message in between.
    let arrival = Arrival {
        at_ms: state.clock.now_ms(),
        from: visitor.address,
    };
    let registration = state
        .hub
        .register(device.clone(), Arc::clone(&outbox), arrival);
    let registration = registration.map_err(|full| hub_full(state, &device, full))?;
    let newest_at_login = state.store.last_id();
    // A stop before the registration has not reached this session.
    if state.stop.is_cancelled() {
        return Err(CloseReason::ShuttingDown);
    }
    // Nor has a rotation of tokens before it.
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
        rules: Arc::clone(&state.settings.rules),
        receipts,
        cursor,
        // A client cannot have processed messages that did not exist; confirmed ones did.
        after: after.map_or(cursor, |after| after.min(newest_at_login.max(cursor))),
        newest_at_login,
        token_expires_at_ms,
        ping_interval: state.settings.ping_interval,
        window: Window::default(),
    };
    Ok(Admitted {
        services: StateServices::new(state.clone(), identity, arrival, permit),
        registration,
        outbox,
        start,
    })
}

fn retry_ms(limited: &Limited) -> u64 {
    let ms = u64::try_from(limited.retry.as_millis()).unwrap_or(u64::MAX);
    // Rounded up, so that a client that waits exactly this long is not too early.
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

/// The device's cursor. Registers the device, and lowers its cursor to `after` if that is below.
async fn enter(state: &State, device: &Device, after: Option<MsgId>) -> Result<MsgId, CloseReason> {
    let (answer, answered) = oneshot::channel();
    let (store, entering) = (state.store.clone(), device.clone());
    let done = move |outcome| {
        // The login may have been abandoned.
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
