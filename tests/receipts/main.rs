//! Receipts: what confirms a message, what does not, and what comes again. PROTOCOL section 4.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod after;
mod manual;
mod pings;
mod pongs;
mod window;
