//! The store against a plain model, through crashes, failing disks and a broken index.
//!
//! Held: what was acknowledged is there exactly once, in the order of ids, whatever
//! happened; ids rise strictly; what was refused is not there, unless a crash came
//! before its fate was settled; a repeat gets the first ids; a device that was told its
//! cursor is known and has not more; one that was not used for a month is gone; a new one begins
//! where the user has confirmed.
//!
//! `RELAYBOX_TEST_CASES` sets the number of cases, `RELAYBOX_TEST_SEED` repeats a run.

mod cursors;
mod expected;
mod full;
mod harm;
mod run;
mod steps;

pub(super) use run::cases;
