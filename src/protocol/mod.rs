//! The wire format of PROTOCOL.md: pure text ↔ types, no I/O and no decisions.

pub mod client_frame;
pub mod close;
mod content;
pub mod error_code;
mod fields;
pub mod given_token;
pub mod login;
pub mod query;
pub mod request;
pub mod server_frame;
