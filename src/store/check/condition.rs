//! Verifies the index of a stopped directory against its manifest and the journal.
//!
//! Writes nothing to the directory: a copy of the index is opened.

use std::path::Path;
use std::sync::Arc;

use super::report::{CheckReport, IndexCondition};
use crate::store::api::{FileError, Opening};
use crate::store::disk::FileSystem;
use crate::store::index::{
    IndexError, Manifest, Origin, Scratch, Scratches, location, manifest_file, retire,
};

/// Looks at the index, and adds to `report` what it says of it.
pub(super) fn check_index(
    files: &dyn FileSystem,
    dir: &Path,
    cache_bytes: u64,
    scratches: &Scratches,
    report: &mut CheckReport,
) -> Result<(), FileError> {
    let Some(found) = manifest_file::load(files, dir)? else {
        // It counts for nothing without a state.
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
    report.index = match verify(dir, cache_bytes, scratches, &state) {
        Ok(highest) if highest > report.newest.0.max(state.last_id) => {
            unfit("it is newer than the journal".to_owned())
        }
        Ok(_) => IndexCondition::Fit,
        Err(Unverified::Unfit(error)) => unfit(error.to_string()),
        Err(Unverified::NoCopy(why)) => IndexCondition::Unseen(why),
    };
    Ok(())
}

/// Why nothing is known of it, or nothing good.
enum Unverified {
    NoCopy(String),
    Unfit(IndexError),
}

impl From<IndexError> for Unverified {
    fn from(error: IndexError) -> Self {
        match error {
            // Only the copy is ever written to.
            IndexError::OutOfSpace(error) => Self::NoCopy(error.to_string()),
            error => Self::Unfit(error),
        }
    }
}

/// Reads all of it; answers the highest id found.
fn verify(
    dir: &Path,
    cache_bytes: u64,
    scratches: &Scratches,
    state: &Manifest,
) -> Result<u64, Unverified> {
    let path = location::path(dir, state.number);
    if !path.is_dir() {
        return Err(IndexError::Damaged("it is missing".to_owned()).into());
    }
    let copy =
        Scratch::of(&path, scratches).map_err(|error| Unverified::NoCopy(error.to_string()))?;
    let index = copy.open(cache_bytes)?;
    let verified = index.verify(&mut state.clone(), &Opening::default());
    retire(Arc::new(index))?;
    Ok(verified?)
}
