//! Sessions: from a login to the last frame.
//!
//! - `login`, `identity`: admission, and the identity behind a token;
//! - `driver`: the task that owns the socket, waits, and carries out the machine's actions;
//! - `machine`: the protocol of a session, as a pure state machine;
//! - `services`: the rest of the server, as a driver sees it;
//! - `counting`: metrics of ended logins and sessions.

mod counting;
mod driver;
mod identity;
mod login;
mod machine;
mod services;
#[cfg(test)]
mod tests;

pub use counting::count_from_zero;
pub use login::{open, refuse};
