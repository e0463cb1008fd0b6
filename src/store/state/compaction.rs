//! The mark `sweep.due`, written before an erasure takes effect and removed once the data is off the
//! disk: a crash in between does not lose the compaction.

use std::io;
use std::path::PathBuf;

use super::shared::Shared;
use crate::store::api::AppendError;
use crate::store::directory::COMPACTION_DUE;

impl Shared {
    pub(crate) fn mark_path(&self) -> PathBuf {
        self.options.dir.join(COMPACTION_DUE)
    }

    /// Runs an erasure, then requests a compaction. The request survives a crash.
    pub(crate) fn with_compaction<T>(
        &self,
        work: impl FnOnce() -> Result<T, AppendError>,
    ) -> Result<T, AppendError> {
        self.compaction_requests.lock().under_way += 1;
        let marked = self.mark();
        let done = marked
            .map_err(|error| AppendError::Unavailable(error.to_string()))
            .and_then(|()| work());
        let mut compaction_requests = self.compaction_requests.lock();
        compaction_requests.under_way -= 1;
        compaction_requests.asked += 1;
        drop(compaction_requests);
        self.changed.notify();
        done
    }

    pub(crate) fn mark(&self) -> io::Result<()> {
        let mut compaction_requests = self.compaction_requests.lock();
        if !compaction_requests.marked {
            self.files.create(&self.mark_path())?;
            self.files.sync_dir(&self.options.dir)?;
            compaction_requests.marked = true;
        }
        Ok(())
    }

    /// Removes the mark, unless more was requested or is about to be.
    pub(crate) fn unmark(&self, asked: u64) -> io::Result<()> {
        let mut compaction_requests = self.compaction_requests.lock();
        if compaction_requests.asked == asked
            && compaction_requests.under_way == 0
            && compaction_requests.marked
        {
            self.files.remove(&self.mark_path())?;
            self.files.sync_dir(&self.options.dir)?;
            compaction_requests.marked = false;
        }
        Ok(())
    }
}
