//! Locks a data directory before it is opened, so that a conflict shows before any work begins.

use std::sync::Arc;

use super::hold::{Hold, refuse_links};
use super::layout;
use crate::store::api::{OpenError, StoreOptions, io_error};
use crate::store::disk::{FileSystem, RealFileSystem};

/// A data directory that belongs to this process until this is dropped.
pub struct Claim {
    pub(crate) options: StoreOptions,
    pub(crate) files: Arc<dyn FileSystem>,
    pub(crate) hold: Arc<Hold>,
}

impl Claim {
    /// Locks the data directory, and creates it if need be.
    ///
    /// # Errors
    /// Another process has it, or it is no data directory.
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
