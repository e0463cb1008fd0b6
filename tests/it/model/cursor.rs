//! What devices and their users have confirmed.

use super::state::Id;

/// The receipt cursor of a device that the server knows, or may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Confirmed for sure: must not come again.
    pub sure: Id,
    /// Perhaps confirmed: what is above must come.
    pub perhaps: Id,
    /// What of `sure` outlives a kill.
    pub stored: Id,
    /// Whether it is sure that the server knows the device, now and after a kill.
    pub known: bool,
    pub known_stored: bool,
}

impl Cursor {
    /// The cursor of a device that the server knows from now on.
    pub fn moved(before: Option<Self>, sure: Id, perhaps: Id) -> Self {
        let (stored, known_stored) = match before {
            Some(before) => (before.stored.min(sure), before.known_stored),
            None => (sure, false),
        };
        Self {
            sure,
            perhaps,
            stored,
            known: true,
            known_stored,
        }
    }
}

/// The highest message that any device of a user has confirmed. `after` lowers a cursor, but not
/// this.
#[derive(Debug, Clone, Copy, Default)]
pub struct Confirmed {
    pub sure: Id,
    pub perhaps: Id,
    /// What of `sure` outlives a kill.
    stored: Id,
}

impl Confirmed {
    pub fn may_take(&mut self, id: Id) {
        self.perhaps = self.perhaps.max(id);
    }

    pub fn took(&mut self, id: Id) {
        self.sure = self.sure.max(id);
        self.may_take(id);
    }

    pub fn rested(&mut self) {
        self.stored = self.sure;
    }

    pub fn killed(&mut self) {
        self.sure = self.stored;
    }
}
