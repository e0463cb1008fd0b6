//! The time by which everything ends that ends by age: cursors, messages (retention), the repeats
//! of sends, the records of erasures, and when a user was last here.
//!
//! The machine's clock may be stepped, and a `msgId` may be ahead of it for ever after. **Age time**
//! goes on with the clock, but takes no part in its steps. Stamps are taken of it, and a message's
//! is found from its id by the [`Span`] in which that was given.
//!
//! After a step of more than a day, also one that may have been a long stop, age is **held**:
//! nothing ends by it until a day has passed at the new time or the operator accepts it. If the
//! clock is then ahead of age time, what lies between is a **gap**: that much longer ago is what was
//! stamped before the step, and nothing that was stamped behind it. By a gap only messages expire,
//! and it is told when a user was last here. It may have been no stop: what a cursor or a repeat
//! would lose by it cannot be had again, so they never count it.
//!
//! Only computes; never reads a clock or a disk. Invariants: age time never goes back; what is said
//! to be old is at least so old by a clock that was plausible all along: in doubt it is younger.

mod ages;
mod clock;
mod span;

pub(crate) use ages::Ages;
pub use clock::ClockHold;
pub(crate) use clock::{AgeClock, AgeState, Hold};
pub(crate) use span::Span;
