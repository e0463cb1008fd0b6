//! Sending a message, as a session does.

use crate::hub::Hub;
use crate::model::{Device, Draft, Mailbox, MessageType, Recipient, UserName};
use crate::protocol::client_frame::Send;
use crate::protocol::error_code::{ErrorCode, FrameError};
use crate::store::{Accepted, AppendError, Store};

/// Who sends: taken from its login, never from the frame.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The user and its device.
    pub device: Device,
    /// Its display name.
    pub name: UserName,
    /// Whether it may send messages of type 100.
    pub may_system: bool,
}

/// Hands a message to the store. `done` is called once: with the ids when the message is
/// durable, or with the refusal, after which nothing of it is stored.
pub fn send(
    store: &Store,
    hub: &Hub,
    sender: &Sender,
    send: Send,
    done: impl FnOnce(Result<Accepted, FrameError>) + std::marker::Send + 'static,
) {
    let client_msg_id = send.client_msg_id.clone();
    if send.kind == MessageType::SYSTEM && !sender.may_system {
        return done(Err(FrameError {
            code: ErrorCode::TypeNotAllowed,
            field: Some("type"),
            message:
                "`type` 100 needs a project token, or a user token with the capability `system`"
                    .into(),
            client_msg_id,
        }));
    }
    let domain = &sender.device.mailbox.domain;
    let recipients = send.to.into_iter().map(|user| {
        let mailbox = Mailbox {
            domain: domain.clone(),
            user,
        };
        Recipient {
            offline: !hub.is_online(&mailbox),
            user: mailbox.user,
        }
    });
    let draft = Draft {
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
    store.append(
        draft,
        Box::new(move |outcome| done(outcome.map_err(|error| refusal(&error, client_msg_id)))),
    );
}

fn refusal(error: &AppendError, client_msg_id: Option<crate::model::ClientMsgId>) -> FrameError {
    let message = match error {
        // The system's reason is for the operator's log, not for a client.
        AppendError::Unavailable(_) => "the server's storage cannot be written: nothing was stored",
        AppendError::Overloaded => {
            "the server has too much to store: nothing was stored, try again"
        }
        AppendError::DomainRemoved => "the domain has been removed: nothing was stored",
        AppendError::Closed => "the server is shutting down: nothing was stored",
    };
    FrameError {
        code: ErrorCode::StorageUnavailable,
        field: None,
        message: message.into(),
        client_msg_id,
    }
}
