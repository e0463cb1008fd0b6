//! Age time: the clock that decides when cursors, messages (retention), the repeats of sends and
//! the records of erasures end, and that tells when a user was last here.
//!
//! The machine's clock may be stepped, and a `msgId` may stay ahead of it from then on. **Age time**
//! goes on with the clock, but does not follow its steps. Timestamps are taken from it; a message's
//! is found from its id, by the span in which that was given.
//!
//! After a step of more than a day, also one that may have been a long stop, age is **held**:
//! nothing ends by it until a day has passed at the new time or the operator accepts it. If the
//! clock is then ahead of age time, the difference is a **gap**. It is added to the age of everything
//! stamped before the step, but only for the expiry of messages and for when a user was last here.
//! Cursors and repeats ignore it: the step may have been an error, and what they would lose by it
//! could not be recovered.
//!
//! Only computes; never reads a clock or a disk. Invariants: age time never goes back; nothing is
//! reported older than a clock that was plausible all along would make it.

mod ages;
mod clock;
mod span;

pub(crate) use ages::Ages;
pub use clock::ClockHold;
pub(crate) use clock::{AgeClock, AgeState};
#[cfg(test)]
pub(crate) use {clock::Hold, span::Span};
