//! A retention that was set and is not in force yet: a stricter one waits for its notice period.

use std::path::Path;
use std::time::Duration;

use crate::model::Retention;
use crate::store::api::FileError;
use crate::store::directory::applied;
use crate::store::disk::FileSystem;

/// The scheduled retention, and the save state of the current one.
#[derive(Debug, Default)]
pub(crate) struct PendingRetention {
    pub(super) next: Option<Next>,
    pub(super) unsaved: bool,
    /// When it could not be saved.
    pub(super) failed_at: Option<Duration>,
}

/// A scheduled retention.
#[derive(Debug, Clone)]
pub(super) struct Next {
    pub(super) retention: Retention,
    /// When it takes effect, by the monotonic clock; `None` until it has been announced.
    pub(super) due: Option<Duration>,
}

/// The retention to begin with, and what else there is to do. `is_new`: nothing was ever stored.
pub(crate) fn begin(
    files: &dyn FileSystem,
    dir: &Path,
    wanted: &Retention,
    notice: Duration,
    is_new: bool,
) -> Result<(Retention, PendingRetention), FileError> {
    let known = applied(files, dir)?;
    let in_force = match &known {
        _ if is_new || notice.is_zero() => wanted.clone(),
        known => known.clone().unwrap_or_default().looser(wanted),
    };
    let next = (in_force != *wanted).then(|| Next {
        retention: wanted.clone(),
        due: None,
    });
    let pending_retention = PendingRetention {
        unsaved: known.unwrap_or_default() != in_force,
        next,
        failed_at: None,
    };
    Ok((in_force, pending_retention))
}
