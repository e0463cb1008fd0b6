//! Keeps a data directory in the hands of its owner, whoever runs the command.
//!
//! Root becomes the owner before it creates anything, so that every file belongs to the owner from
//! the start, including those made by the index, and even if the command is killed. It keeps only
//! its rights over files and low ports: certificates, or a backup to restore, may belong to root.
//!
//! Invariant: a process changes its user while it has a single thread. The kernel tracks users per
//! thread, and a new thread inherits that of its creator.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid, umask};
use rustix::thread::{
    CapabilitySet, capabilities, set_capabilities, set_keep_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use crate::store::{Owner, owner_of};

/// Capabilities that root keeps: reading and writing others' files, and listening on ports below
/// 1024.
const KEPT: CapabilitySet = CapabilitySet::DAC_OVERRIDE
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// Makes files created from now on private, whoever creates them; the index would otherwise create
/// its own with whatever mode the umask allows.
pub(super) fn make_private() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// To be called before creating files in a data directory or backup: makes sure that they will
/// belong to its owner. A directory that does not exist yet will belong to its creator.
///
/// # Errors
/// Files created by this user would not belong to the owner.
pub(super) fn become_owner_of(dir: &Path) -> anyhow::Result<()> {
    let me = geteuid().as_raw();
    let owner = owner_of(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    let Some(owner) = owner else {
        return Ok(());
    };
    // Others may use what root has opened to them.
    if owner.user == me || owner.user == 0 {
        return Ok(());
    }
    if geteuid().is_root() && become_user(owner).is_ok() {
        return Ok(());
    }
    // Some file systems assign every file to one user, whoever creates it.
    let made_by = with_new_file(dir, |file| Ok(file.metadata()?.uid()));
    let made_by = made_by.with_context(|| format!("cannot write in {}", dir.display()))?;
    if made_by != owner.user {
        bail!(
            "{} belongs to user {}, whose server could not use what user {me} makes there: run \
             this as that user",
            dir.display(),
            owner.user
        );
    }
    Ok(())
}

fn become_user(owner: Owner) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(owner.user), Gid::from_raw(owner.group));
    set_keep_capabilities(true)?;
    match set_thread_groups(&[]) {
        // Some containers do not allow this change, and new files do not get these groups.
        Err(error) if error != Errno::PERM => return Err(error.into()),
        _ => {}
    }
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    let mut sets = capabilities(None)?;
    sets.permitted &= KEPT;
    sets.effective = sets.permitted;
    sets.inheritable = CapabilitySet::empty();
    set_capabilities(None, sets)?;
    set_keep_capabilities(false)?;
    Ok(())
}

/// Does `work` with a new file of a directory. The file has no name if the file system supports
/// that, so that nothing is left behind even if the command is killed; else it is removed again.
pub(super) fn with_new_file<T>(
    dir: &Path,
    work: impl FnOnce(&mut File) -> io::Result<T>,
) -> io::Result<T> {
    let mut unnamed = OpenOptions::new();
    unnamed.write(true).mode(0o600);
    unnamed.custom_flags(OFlags::TMPFILE.bits().cast_signed());
    match unnamed.open(dir) {
        Ok(mut file) => work(&mut file),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
                with_named_file(dir, work)
            }
            _ => Err(error),
        },
    }
}

fn with_named_file<T>(dir: &Path, work: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
    // Random: a killed command may have left its file, and process ids repeat in containers.
    let path = dir.join(format!(
        ".relaybox-{:016x}",
        RandomState::new().hash_one(())
    ));
    let mut how = OpenOptions::new();
    let mut file = how.write(true).create_new(true).mode(0o600).open(&path)?;
    let done = work(&mut file);
    let removed = fs::remove_file(&path);
    done.and_then(|done| removed.map(|()| done))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_that_another_process_of_the_same_id_left_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let count = || fs::read_dir(dir.path()).unwrap().count();
        let nested = with_named_file(dir.path(), |_| {
            let inner = with_named_file(dir.path(), |_| Ok(count()));
            inner.map(|inner| (inner, count()))
        });
        assert_eq!((nested.unwrap(), count()), ((2, 1), 0));
    }
}
