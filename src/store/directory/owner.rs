//! The owner of a data directory.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::{fs, io};

use super::layout::{LOCK, VERSION};
use crate::store::disk::is_gone;

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user's id.
    pub user: u32,
    /// The group's id.
    pub group: u32,
}

/// The owner of a data directory or backup; `None` if there is none. If root owns the directory
/// itself, as with a container's volume, the owner of its files counts.
///
/// # Errors
/// Its metadata cannot be read.
pub fn owner_of(dir: &Path) -> io::Result<Option<Owner>> {
    let look = |path: &Path| match fs::metadata(path) {
        Ok(found) => Ok(Some(Owner {
            user: found.uid(),
            group: found.gid(),
        })),
        // Others report what is there instead.
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    };
    let owner = look(dir)?;
    if owner.is_none_or(|owner| owner.user != 0) {
        return Ok(owner);
    }
    for name in [VERSION, LOCK] {
        if let Some(inside) = look(&dir.join(name))? {
            return Ok(Some(inside));
        }
    }
    Ok(owner)
}
