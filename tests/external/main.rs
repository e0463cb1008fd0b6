//! What needs something that a machine may lack: a browser, a disk of its own, a reverse proxy, a client library or
//! another package. What is missing is skipped, with the reason printed; `.ci/run` installs it.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod harness;
#[path = "../support/mod.rs"]
mod support;

mod browser;
mod clients;
mod console;
mod copies;
mod drills;
mod full_disk;
mod power;
mod proxies;
mod spoiled;
mod surroundings;
mod trusting;
