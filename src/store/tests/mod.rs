//! The store as a whole.

mod ahead;
mod behaviour;
mod clock;
mod confirmed;
mod cursors;
mod devices;
mod erasing;
mod keeping;
mod mending;
mod model;
mod pacing;
mod recovery;
mod reserve;
mod shared;
mod simulated;
mod stopping;
pub(super) mod support;
mod survey;
mod sweeping;
mod tiers;
mod usage;
