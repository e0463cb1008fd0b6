//! What the application of a device has processed without a gap.
//!
//! A receipt, and the `after` of a login, stand for all messages up to theirs. So an app that began in
//! the midst, and went back behind that, has nothing to say about what it got there at first.

/// The ids that one application has processed, rising.
#[derive(Debug, Default)]
pub struct Processed {
    /// All above this came, up to the last.
    begun: u64,
    ids: Vec<u64>,
    /// A login said less than `begun`; whether the server heard that is not known.
    went_back: bool,
}

impl Processed {
    /// A login with this `after` is about to leave.
    pub fn login(&mut self, after: u64) {
        self.went_back |= after < self.begun;
    }

    /// A message comes; the device's first one may say from where on it gets all, 0 or the id before.
    pub fn take(&mut self, id: u64, from_start: bool) {
        if self.ids.is_empty() && self.begun == 0 && !from_start || id <= self.begun {
            self.begun = id - 1;
            self.ids.clear();
        }
        if id > self.last() {
            self.ids.push(id);
        }
    }

    /// The highest of them.
    pub fn last(&self) -> u64 {
        self.before_last(0)
    }

    /// The one that stands so many before the last; 0 where none does.
    pub fn before_last(&self, back: usize) -> u64 {
        self.ids.iter().rev().nth(back).copied().unwrap_or(0)
    }

    /// What may be confirmed before anything has come on a connection.
    pub fn claim(&self) -> Option<u64> {
        Some(self.last()).filter(|last| *last > 0 && !self.went_back)
    }
}
