//! Several devices of one user: where each begins, what is for one of them only, and which one
//! takes over from another. PROTOCOL sections 2 to 4.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod addressed;
mod known;
mod replaced;
