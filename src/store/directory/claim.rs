//! A data directory that is locked but not opened yet, so that a conflict shows before any work
//! begins.

use std::sync::Arc;

use super::hold::{Hold, refuse_links};
use super::layout;
use crate::store::api::{OpenError, StoreOptions, io_error};
use crate::store::disk::{FileSystem, RealFileSystem};

/// A data directory that is this process' own until it is dropped.
pub struct Claim {
    pub(crate) options: StoreOptions,
    pub(crate) files: Arc<dyn FileSystem>,
    pub(crate) hold: Arc<Hold>,
}

impl Claim {
    /// Takes the data directory, which is made if it is not there.
    ///
    /// # Errors
    /// Another process has it, or it is none.
    pub fn take(options: StoreOptions) -> Result<Self, OpenError> {
        Self::take_with(options, Arc::new(RealFileSystem))
    }

    pub(crate) fn take_with(
        options: StoreOptions,
        files: Arc<dyn FileSystem>,
    ) -> Result<Self, OpenError> {
        let dir = options.dir.as_path();
        layout::refuse_other(dir)?;
        files
            .create_dir(dir)
            .map_err(io_error("cannot create", dir))?;
        refuse_links(dir)?;
        let hold = Hold::take(dir).map_err(io_error("cannot lock", dir))?;
        let hold = Arc::new(hold.ok_or_else(|| OpenError::InUse(dir.to_owned()))?);
        Ok(Self {
            options,
            files,
            hold,
        })
    }
}
