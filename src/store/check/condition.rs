//! Verifies the index of a stopped directory against its manifest and the journal.
//!
//! Writes nothing to the directory: a copy of the index is opened.

use std::path::Path;

use super::report::{CheckReport, IndexCondition};
use crate::store::api::{FileError, Opening};
use crate::store::disk::FileSystem;
use crate::store::index::{
    IndexError, Manifest, Origin, Scratch, Scratches, location, manifest_file,
};

/// Sets the condition of the index in `report`.
pub(super) fn check_index(
    files: &dyn FileSystem,
    dir: &Path,
    cache_bytes: u64,
    scratches: &Scratches,
    report: &mut CheckReport,
) -> Result<(), FileError> {
    let Some(found) = manifest_file::load(files, dir)? else {
        // Without a manifest it counts for nothing.
        report.index = IndexCondition::Absent;
        return Ok(());
    };
    let state = found.state;
    if found.origin == Origin::Copy {
        report.index = IndexCondition::Copied;
        return Ok(());
    }
    let unfit = match found.origin {
        Origin::Unknown => IndexCondition::PerhapsCopied,
        _ => IndexCondition::Unfit,
    };
    let path = location::path(dir, state.number);
    if !path.is_dir() {
        report.index = unfit("it is missing".to_owned());
        return Ok(());
    }
    let verified = match Scratch::of(&path, scratches) {
        Ok(copy) => verify(&copy, cache_bytes, &state),
        Err(error) => Err(IndexError::OutOfSpace(error.to_string())),
    };
    report.index = match verified {
        Ok(highest) if highest > report.newest.0.max(state.last_id) => {
            unfit("it is newer than the journal".to_owned())
        }
        Ok(_) => IndexCondition::Fit,
        // Only the copy is ever written to.
        Err(IndexError::OutOfSpace(why)) => IndexCondition::Unseen(why),
        Err(error) => unfit(error.to_string()),
    };
    Ok(())
}

/// Verifies a copy; returns the highest id found.
fn verify(copy: &Scratch<'_>, cache_bytes: u64, state: &Manifest) -> Result<u64, IndexError> {
    let index = copy.open(cache_bytes)?;
    let verified = index.verify(&mut state.clone(), &Opening::default());
    index.close()?;
    verified
}
