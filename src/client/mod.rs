//! The protocol from the client's side: logging in, frames both ways, and whether to come back.
//!
//! - [`address`]: where a server is, as its user writes it.
//! - [`connection`]: one session's WebSocket.
//! - [`comeback`]: what an end means (PROTOCOL.md section 2), and pauses.
//! - [`frame`]: what the server says, understood.
//!
//! Knows no terminal. Invariants: the token is in no error and no `Debug`; every wait has a deadline.

pub mod address;
pub mod comeback;
pub mod connection;
pub mod frame;

pub use address::Address;
pub use comeback::{Backoff, Verdict};
pub use connection::{Connection, Ended, OpenError};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::{Domain, MsgId, Resource, UserId, UserName};

/// Who logs in, and where. Deliveries are confirmed by the application (`receipts=manual`): what a
/// WebSocket library has taken has not been shown to anyone.
#[derive(Clone)]
pub struct Login {
    /// The server.
    pub address: Address,
    /// The domain.
    pub domain: Domain,
    /// The user.
    pub id: UserId,
    /// Its display name.
    pub name: UserName,
    /// The device.
    pub resource: Resource,
    /// The secret; checked for its length and characters.
    pub token: String,
    /// The last message that was processed, where deliveries are to begin behind it.
    pub after: Option<MsgId>,
}

impl Login {
    /// The address with all parameters but the token.
    fn url(&self) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut url = format!(
            "{}?id={}&name={}&domain={}&resource={}&receipts=manual",
            self.address,
            encode(self.id.as_str()),
            encode(self.name.as_str()),
            encode(self.domain.as_str()),
            encode(self.resource.as_str()),
        );
        if let Some(after) = self.after {
            url.push_str(&format!("&after={after}"));
        }
        url
    }

    /// Whether the token can stand in a header (RFC 6750, 2.1): not every declared one can.
    fn token_fits_header(&self) -> bool {
        self.token.bytes().all(|byte| byte.is_ascii_graphic())
    }

    fn url_with_token(&self) -> String {
        let token = utf8_percent_encode(&self.token, NON_ALPHANUMERIC);
        format!("{}&token={token}", self.url())
    }
}
