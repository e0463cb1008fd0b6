//! Who is logging in: the parameters, checked against the token.

use crate::auth::{Auth, AuthError, Credential, Grant};
use crate::command::send::Sender;
use crate::model::{Device, Mailbox};
use crate::protocol::close::CloseReason;
use crate::protocol::login::Login;

/// Identity of a login with a good token.
#[derive(Debug)]
pub(super) struct Identity {
    /// Sender of the session's messages.
    pub(super) sender: Sender,
    /// Kept for [`Auth::validity`] when tokens change.
    pub(super) credential: Credential,
}

impl Identity {
    /// Checks a login against its token.
    ///
    /// # Errors
    /// The close reason: 4401 or 4403.
    pub(super) fn verify(login: Login, auth: &Auth) -> Result<Self, CloseReason> {
        let verified = auth
            .verify(&login.domain, &login.token)
            .map_err(|error| match error {
                AuthError::Unknown => CloseReason::Unauthorized,
                AuthError::Expired => CloseReason::TokenExpired,
                AuthError::OtherDomain => CloseReason::Forbidden("the token is for another domain"),
            })?;
        let is_trusted = verified.grant == Grant::Project;
        let (name, may_system) = match verified.grant {
            Grant::Project => (login.name, true),
            Grant::User(user) if user.id != login.id => {
                return Err(CloseReason::Forbidden("the token is for another user"));
            }
            Grant::User(user) => (user.name.unwrap_or(login.name), user.system),
        };
        let device = Device {
            mailbox: Mailbox {
                domain: login.domain,
                user: login.id,
            },
            resource: login.resource,
        };
        Ok(Self {
            sender: Sender {
                device,
                name,
                may_system,
                is_trusted,
            },
            credential: verified.credential,
        })
    }
}
