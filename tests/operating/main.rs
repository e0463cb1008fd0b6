//! What an operator sees of a running server, and does with it.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod attacked;
mod bare;
mod families;
mod hanging;
mod logs;
mod metrics;
mod orders;
mod plain_only;
mod starting;
mod unread;
