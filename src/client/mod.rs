//! The client side of the protocol: login, frames in both directions, reconnects.
//!
//! - [`address`]: a server's address as typed by its user.
//! - [`connection`]: one session's WebSocket.
//! - [`comeback`]: the verdict on an ended session (PROTOCOL.md section 2), and pauses.
//! - [`frame`]: the server's frames, parsed.
//!
//! Independent of the terminal. Invariants: the token is in no error and no `Debug`; every wait has a deadline.

pub mod address;
pub mod comeback;
pub mod connection;
pub mod frame;

pub use address::Address;
pub use comeback::{Backoff, Verdict};
pub use connection::{Connection, Ended, OpenError};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::{Domain, MsgId, Resource, UserId, UserName};

/// The parameters of a login and the server's address. Deliveries are confirmed by the application (`receipts=manual`):
/// a message taken by a WebSocket library has not been shown to anyone.
#[derive(Clone)]
pub struct Login {
    /// Address of the server.
    pub address: Address,
    /// Domain of the user.
    pub domain: Domain,
    /// Id of the user.
    pub id: UserId,
    /// Display name of the user.
    pub name: UserName,
    /// The device that logs in.
    pub resource: Resource,
    /// The secret; its length and characters have been checked.
    pub token: String,
    /// The last processed message, if deliveries are to start after it.
    pub after: Option<MsgId>,
}

impl Login {
    /// The URL with all parameters except the token.
    fn url(&self) -> String {
        let mut url = format!(
            "{}?id={}&name={}&domain={}&resource={}&receipts=manual",
            self.address,
            percent_encoded(self.id.as_str()),
            percent_encoded(self.name.as_str()),
            percent_encoded(self.domain.as_str()),
            percent_encoded(self.resource.as_str()),
        );
        if let Some(after) = self.after {
            url.push_str(&format!("&after={after}"));
        }
        url
    }
}

fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
