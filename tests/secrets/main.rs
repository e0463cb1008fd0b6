//! No secret is in what is said of it, however it was spoiled: PROTOCOL section 8, and section 7 over HTTP.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;
mod keys;
mod leak;
mod spoil;
mod tokens;
