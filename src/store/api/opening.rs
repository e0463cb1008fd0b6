//! Progress of a long open, and how to stop it early.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Steps of an opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    VerifyIndex = 1,
    JudgeJournal,
    Replay,
}

impl Work {
    fn words(self) -> &'static str {
        match self {
            Self::VerifyIndex => "the index is verified",
            Self::JudgeJournal => "the journal is checked",
            Self::Replay => "the index is brought up to the journal",
        }
    }
}

/// Progress of an opening. `Display` is half a sentence, such as `the journal is checked: 42 %`, or
/// empty.
#[derive(Debug, Default)]
pub struct Opening {
    is_stopped: AtomicBool,
    work: AtomicU8,
    done: AtomicU64,
    all: AtomicU64,
}

impl Opening {
    /// Stops the opening with [`crate::store::OpenError::Stopped`]. Most of its work stays, and the
    /// next opening continues there.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Begins a step. `all`: its size, 0 if unknown.
    pub(crate) fn begin(&self, work: Work, all: u64, done: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.all.store(all, Ordering::Relaxed);
        self.work.store(work as u8, Ordering::Relaxed);
    }

    pub(crate) fn reach(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = self.work.load(Ordering::Relaxed);
        let all = [Work::VerifyIndex, Work::JudgeJournal, Work::Replay];
        let Some(work) = all.into_iter().find(|known| *known as u8 == work) else {
            return Ok(());
        };
        formatter.write_str(work.words())?;
        let done = u128::from(self.done.load(Ordering::Relaxed));
        match u128::from(self.all.load(Ordering::Relaxed)) {
            0 => Ok(()),
            // The size is an estimate: only the end of the step is 100 %.
            all => write!(formatter, ": {} %", (done * 100 / all).min(99)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_how_far_it_is() {
        let opening = Opening::default();
        assert_eq!(opening.to_string(), "");
        opening.begin(Work::JudgeJournal, 1000, 429);
        assert_eq!(opening.to_string(), "the journal is checked: 42 %");
        opening.begin(Work::Replay, 0, 0);
        let replay = "the index is brought up to the journal";
        assert_eq!(opening.to_string(), replay);
        opening.begin(Work::Replay, u64::MAX, 0);
        opening.reach(u64::MAX);
        assert_eq!(opening.to_string(), format!("{replay}: 99 %"));
    }
}
