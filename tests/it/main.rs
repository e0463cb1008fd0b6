//! The server as its users meet it: the real binary on a free port, and the command line beside it. A module a subject;
//! `router` calls the server's routes in memory.
//!
//! Runs with what a Linux machine has anyway; what needs a browser, a disk of its own, a proxy or another package is in
//! `tests/external`. Some need root, and say so where they are skipped.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod harness;
#[path = "../support/mod.rs"]
mod support;

mod acknowledging;
mod backend;
mod backup;
mod bad_frames;
mod chaos;
mod check;
mod checker;
mod cli;
mod clock;
mod connections;
mod crash;
mod damage;
mod delivery;
mod devices;
mod doctor;
mod floods;
mod golden;
mod held;
mod history;
mod kill;
mod limits;
mod login;
mod mailbox;
mod model;
mod net;
mod operating;
mod owners;
mod packaging;
mod receipts;
mod retention;
mod router;
mod secrets;
mod sending;
mod settings;
mod slow_readers;
mod socket;
mod terminal;
mod tls;
mod unfinished;
