//! Whether expiry is on hold because the clock was stepped.

use super::shared::Shared;
use crate::store::age::ClockHold;

impl Shared {
    /// As [`Store::clock_hold`](crate::store::Store::clock_hold).
    pub(crate) fn clock_hold(&self) -> Option<ClockHold> {
        let wall_us = self.clock.now_us();
        self.age().hold(wall_us)
    }

    /// Says in the log that nothing ends by age, if so.
    pub(crate) fn tell_hold(&self) {
        if let Some(ClockHold { ahead_s, left }) = self.clock_hold() {
            tracing::warn!(
                ahead_s,
                hold_s = left.as_secs(),
                "the clock was stepped by more than a day, or the server stood still for so long: \
                 nothing is dropped or erased by age until a day has passed, or until `relaybox clock \
                 accept`"
            );
        }
    }
}
