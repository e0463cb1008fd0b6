//! Checks a whole directory: journal and index.

use std::path::Path;

use super::condition;
use super::judge::judge;
use super::report::{CheckReport, Progress};
use crate::store::api::OpenError;
use crate::store::directory::{Mark, hold, layout};
use crate::store::disk::RealFileSystem;
use crate::store::index::Scratches;
use crate::store::journal::Position;

/// Reads every frame and record of a data directory or a backup. `end`: where the journal of a
/// running server is durable up to; without it, the directory is locked meanwhile, and its index is
/// verified, too, in a copy among `scratches`.
///
/// # Errors
/// It is in use, of a newer version, no data directory, or cannot be read. Damage is none.
pub fn check(
    dir: &Path,
    end: Option<Position>,
    cache_bytes: u64,
    scratches: &Scratches,
    progress: Progress<'_>,
) -> Result<CheckReport, OpenError> {
    let files = RealFileSystem;
    layout::known(&files, dir)?;
    // Snapshots of a backup may share files by links.
    if Mark::read(&files, dir)?.is_none() {
        hold::refuse_linked_segment(dir)?;
    }
    let held = end.is_none().then(|| hold::hold(dir)).transpose()?;
    let mut report = judge(&files, dir, end, progress, &|| false)?;
    if held.is_some() {
        condition::check_index(&files, dir, cache_bytes, scratches, &mut report)?;
    }
    Ok(report)
}
