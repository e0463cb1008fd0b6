//! Tells a data directory from anything else.

use std::path::Path;

use crate::store::api::OpenError;
use crate::store::directory::layout;
use crate::store::disk::FileSystem;
use crate::store::journal::segments;

/// Refuses what is no data directory of a known version.
pub(crate) fn known(files: &dyn FileSystem, dir: &Path) -> Result<(), OpenError> {
    layout::refuse_other(dir)?;
    if dir.join(layout::RESTORING).exists() {
        return Err(OpenError::HalfRestored(dir.to_owned()));
    }
    let journal = dir.join(layout::JOURNAL);
    // Without the version its segments say what it is.
    let is_one = layout::check_version(files, dir)?
        || (journal.is_dir() && !segments(files, &journal)?.is_empty());
    is_one
        .then_some(())
        .ok_or_else(|| OpenError::Missing(dir.to_owned()))
}
