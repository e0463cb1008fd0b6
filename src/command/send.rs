//! Sending a message, from a session or a backend.

use std::sync::Arc;

use crate::hub::Hub;
use crate::limits::{Amount, Limit, Limited, Limits};
use crate::model::{
    ClientMsgId, Device, Draft, MESSAGE_BYTES, Mailbox, MessageType, Recipient, Resource, UserName,
};
use crate::protocol::client_frame::Send;
use crate::protocol::error_code::{ErrorCode, FrameError};
use crate::protocol::request::BackendSend;
use crate::store::{Accepted, AppendError, Store, stored_bytes};

/// The sender, identified by the login, never by the frame.
#[derive(Debug, Clone)]
pub struct Sender {
    /// User and device of the sender.
    pub device: Device,
    /// Display name of the sender.
    pub name: UserName,
    /// Whether it may send messages of type 100.
    pub may_system: bool,
    /// Whether a project token is used: limits per user do not apply.
    pub is_trusted: bool,
}

/// Why a send was refused. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// A limit was reached.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// The store refused the message.
    #[error(transparent)]
    Store(#[from] AppendError),
}

/// The parts of the server that a send passes through.
#[derive(Clone, Copy)]
pub struct SendPath<'a> {
    /// Rates and quotas to check.
    pub limits: &'a Arc<Limits>,
    /// Tells which recipients are offline.
    pub hub: &'a Hub,
    /// Stores the message.
    pub store: &'a Store,
}

/// Hands a message to the store. `done` is called once: with the ids once the message is durable,
/// or with a refusal, after which nothing of it is stored.
pub fn send(
    path: SendPath<'_>,
    sender: &Sender,
    send: Send,
    done: impl FnOnce(Result<Accepted, FrameError>) + std::marker::Send + 'static,
) {
    let client_msg_id = send.client_msg_id.clone();
    if send.kind == MessageType::SYSTEM && !sender.may_system {
        let error = FrameError {
            code: ErrorCode::TypeNotAllowed,
            field: Some("type"),
            message:
                "`type` 100 needs a project token, or a user token with the capability `system`"
                    .into(),
            client_msg_id,
        };
        return done(Err(refuse(path, sender, 0, error)));
    }
    submit(path, sender, send, move |outcome| {
        done(outcome.map_err(|error| refusal(&error, client_msg_id)));
    });
}

/// Refuses a bad frame with `error`, or with that of an exceeded rate. The frame counts against its
/// sender's rates like a stored send, and a frame that is too large like one with the largest
/// content.
pub fn refuse(
    path: SendPath<'_>,
    sender: &Sender,
    content_bytes_max: usize,
    error: FrameError,
) -> FrameError {
    if sender.is_trusted {
        return error;
    }
    let content_bytes = match error.code {
        ErrorCode::TooLarge => content_bytes_max as u64,
        _ => 0,
    };
    let amount = Amount {
        messages: 1,
        bytes: content_bytes + MESSAGE_BYTES,
    };
    match path.limits.user_rates(&sender.device.mailbox, amount) {
        Err(limited) => refusal(&limited.into(), error.client_msg_id),
        Ok(()) => error,
    }
}

/// Hands a backend's message to the store, as if from the resource `server` of its sender, whose id
/// may be `system`. `done` as in [`send`].
pub fn send_as_backend(
    path: SendPath<'_>,
    wanted: BackendSend,
    done: impl FnOnce(Result<Accepted, SendError>) + std::marker::Send + 'static,
) {
    let mailbox = Mailbox {
        domain: wanted.domain,
        user: wanted.from_id,
    };
    let sender = Sender {
        device: Device {
            mailbox,
            resource: Resource::server(),
        },
        name: wanted.from_name,
        may_system: true,
        is_trusted: true,
    };
    submit(path, &sender, wanted.send, done);
}

fn submit(
    path: SendPath<'_>,
    sender: &Sender,
    send: Send,
    done: impl FnOnce(Result<Accepted, SendError>) + std::marker::Send + 'static,
) {
    let SendPath { limits, hub, store } = path;
    let mailbox = &sender.device.mailbox;
    let domain = &mailbox.domain;
    let recipients = send.to.into_iter().map(|user| Recipient {
        user,
        offline: false,
    });
    let mut draft = Draft {
        recipients: recipients.collect(),
        domain: domain.clone(),
        to_resource: send.to_resource,
        from_id: sender.device.mailbox.user.clone(),
        from_name: sender.name.clone(),
        from_resource: sender.device.resource.clone(),
        kind: send.kind,
        content: send.content,
        client_msg_id: send.client_msg_id,
    };
    let amount = Amount {
        messages: u32::try_from(draft.recipients.len()).unwrap_or(u32::MAX),
        bytes: draft.sent_bytes(),
    };
    let limited_user = (!sender.is_trusted).then_some(mailbox);
    let reservation = match limits.send(domain, limited_user, amount, stored_bytes(&draft)) {
        Ok(reservation) => reservation,
        Err(limited) => {
            return repeat_or_refuse(store, mailbox, draft.client_msg_id, limited, done);
        }
    };
    for recipient in &mut draft.recipients {
        let mailbox = Mailbox {
            domain: domain.clone(),
            user: recipient.user.clone(),
        };
        recipient.offline = !hub.is_online(&mailbox);
    }
    let counted = move |outcome: Result<Accepted, AppendError>| {
        if let Ok(accepted) = &outcome {
            reservation.settle(accepted.stored_bytes);
        }
        done(outcome.map_err(Into::into));
    };
    store.append(draft, Box::new(counted));
}

/// Answers a repeat of an accepted send like the original, whatever limit has been reached since: a
/// client that lost an acknowledgement must not be told that nothing was stored.
fn repeat_or_refuse(
    store: &Store,
    sender: &Mailbox,
    client_msg_id: Option<ClientMsgId>,
    limited: Limited,
    done: impl FnOnce(Result<Accepted, SendError>) + std::marker::Send + 'static,
) {
    let Some(client_msg_id) = client_msg_id else {
        return done(Err(limited.into()));
    };
    let answer = move |outcome: Result<Accepted, AppendError>| {
        done(outcome.map_err(|error| match error {
            AppendError::NotRepeated => limited.into(),
            error => error.into(),
        }));
    };
    store.repeat(sender, client_msg_id, Box::new(answer));
}

fn refusal(error: &SendError, client_msg_id: Option<ClientMsgId>) -> FrameError {
    let mut code = ErrorCode::StorageUnavailable;
    let message = match error {
        SendError::Limited(limited) if limited.limit.is_of_space() => {
            format!("{limited}: nothing was stored")
        }
        SendError::Limited(limited) => {
            code = match limited.limit {
                Limit::SendsPerUser | Limit::SendBytesPerUser => ErrorCode::RateLimited,
                _ => ErrorCode::DomainRateLimited,
            };
            let retry_ms = limited.retry.as_millis() + 1;
            format!("retry in {retry_ms} ms: {limited}, nothing was stored")
        }
        // The system's reason is for the operator's log, not for clients.
        SendError::Store(AppendError::Unavailable(_)) => {
            "the server's storage cannot be written: nothing was stored".into()
        }
        SendError::Store(AppendError::Overloaded) => {
            "the server has too much to store: nothing was stored, try again".into()
        }
        SendError::Store(AppendError::DomainRemoved) => {
            "the domain has been removed: nothing was stored".into()
        }
        // No client ever sees this: see `repeat_or_refuse`.
        SendError::Store(AppendError::NotRepeated) => "nothing was stored".into(),
        SendError::Store(AppendError::Closed) => {
            "the server is shutting down: nothing was stored".into()
        }
    };
    FrameError {
        code,
        field: None,
        message,
        client_msg_id,
    }
}
