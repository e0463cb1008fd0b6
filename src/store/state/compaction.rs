//! `sweep.due`: on disk from before an erasure counts until nothing of it is left, so that a crash
//! in between does not lose the compaction.

use std::io;
use std::path::PathBuf;
use std::sync::{MutexGuard, PoisonError};

use super::shared::Shared;
use super::signal::Sweeping;
use crate::store::api::AppendError;
use crate::store::directory::SWEEP_DUE;

impl Shared {
    pub(crate) fn sweeping(&self) -> MutexGuard<'_, Sweeping> {
        self.sweeping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn mark_path(&self) -> PathBuf {
        self.options.dir.join(SWEEP_DUE)
    }

    /// Makes something go: a sweep comes behind it, also if the server dies meanwhile.
    pub(crate) fn with_sweep<T>(
        &self,
        work: impl FnOnce() -> Result<T, AppendError>,
    ) -> Result<T, AppendError> {
        self.sweeping().under_way += 1;
        let marked = self.mark();
        let done = marked
            .map_err(|error| AppendError::Unavailable(error.to_string()))
            .and_then(|()| work());
        let mut sweeping = self.sweeping();
        sweeping.under_way -= 1;
        sweeping.asked += 1;
        drop(sweeping);
        self.changed.notify_all();
        done
    }

    pub(crate) fn mark(&self) -> io::Result<()> {
        let mut sweeping = self.sweeping();
        if !sweeping.marked {
            self.files.create(&self.mark_path())?;
            self.files.sync_dir(&self.options.dir)?;
            sweeping.marked = true;
        }
        Ok(())
    }

    /// Takes the mark away, unless more was asked for, or is about to be.
    pub(crate) fn unmark(&self, asked: u64) -> io::Result<()> {
        let mut sweeping = self.sweeping();
        if sweeping.asked == asked && sweeping.under_way == 0 && sweeping.marked {
            self.files.remove(&self.mark_path())?;
            self.files.sync_dir(&self.options.dir)?;
            sweeping.marked = false;
        }
        Ok(())
    }
}
