//! Holds the index of a stopped directory against its state and the journal.
//!
//! Writes nothing but the mark of a clean close, which opening the index would undo.

use std::path::Path;
use std::sync::Arc;

use super::super::api::OpenError;
use super::super::checkpoint::retire;
use super::super::files::FileSystem;
use super::super::index::{Index, IndexError, IndexState, place};
use super::super::indexing;
use super::{CheckReport, IndexCondition};
use crate::store::layout::io_error;

/// Looks at the index, and adds to `report` what it says of it.
pub(super) fn check_index(
    files: &dyn FileSystem,
    dir: &Path,
    cache_bytes: u64,
    report: &mut CheckReport,
) -> Result<(), OpenError> {
    let Some(found) = indexing::load(files, dir)? else {
        // It counts for nothing without a state.
        report.index = IndexCondition::Absent;
        return Ok(());
    };
    let state = found.state;
    if found.copied {
        report.index = IndexCondition::Copied;
        return Ok(());
    }
    report.index = match verify(dir, cache_bytes, &state) {
        Ok(highest) if highest > report.newest.0.max(state.last_id) => {
            IndexCondition::Unfit("it is newer than the journal".to_owned())
        }
        Ok(_) => {
            keep_clean(files, dir, state)?;
            IndexCondition::Fit
        }
        Err(error) => IndexCondition::Unfit(error.to_string()),
    };
    Ok(())
}

/// Reads all of it; answers the highest id found.
fn verify(dir: &Path, cache_bytes: u64, state: &IndexState) -> Result<u64, IndexError> {
    let path = place::path(dir, state.number);
    if !path.is_dir() {
        return Err(IndexError::Damaged("it is missing".to_owned()));
    }
    let index = Index::open(&path, cache_bytes)?;
    let verified = index.verify(&mut state.clone());
    retire(Arc::new(index))?;
    verified
}

/// An index that was closed cleanly, and has been found right, needs not be verified at the
/// next start, though its files have been touched.
fn keep_clean(files: &dyn FileSystem, dir: &Path, mut state: IndexState) -> Result<(), OpenError> {
    let path = place::path(dir, state.number);
    if state.clean.is_none() {
        return Ok(());
    }
    let fingerprint = place::seal(&path).map_err(io_error("cannot read", &path))?;
    if state.clean == Some(fingerprint) {
        return Ok(());
    }
    state.clean = Some(fingerprint);
    let path = dir.join(IndexState::FILE);
    indexing::save(files, dir, &state).map_err(io_error("cannot write", &path))
}
