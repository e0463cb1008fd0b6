//! The store as a whole.
#![allow(clippy::unwrap_used)]

mod ahead;
mod behaviour;
mod clock;
mod compaction;
mod confirmed;
mod cursors;
mod devices;
mod erasing;
mod mending;
mod model;
mod pacing;
mod recovery;
mod reserve;
mod retention;
mod round_trips;
mod shared;
mod simulated;
mod stopping;
pub(super) mod support;
mod survey;
mod tiers;
mod truncation;
mod usage;
mod view;
