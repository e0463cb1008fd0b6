//! Leaves a data directory to the user that owns it, whoever runs the command.
//!
//! Root becomes the owner before anything is made, so that every file is the owner's from its
//! first moment, also those that the index makes, and whenever the command is killed. It keeps the
//! rights over files and low ports alone: certificates, or a backup that is put back, may be root's.
//!
//! Invariant: a process becomes another user while it has one thread. The kernel keeps users by
//! thread, and threads that come later have that of the one that began them.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Gid, Uid, geteuid, umask};
use rustix::thread::{
    CapabilitySet, capabilities, set_capabilities, set_keep_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use crate::store::{Owner, owner_of};

/// What root keeps: to read and write what others own, and to listen on ports below 1024.
const KEPT: CapabilitySet = CapabilitySet::DAC_OVERRIDE
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// Files that are made from now on are private, whoever makes them: the index would make its own
/// with whatever mode the umask leaves.
pub(super) fn make_private() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Before something is made in a data directory or a backup: sees to it that it will be its
/// owner's. One that is not there will belong to whoever makes it.
///
/// # Errors
/// What this user makes there would not be the owner's.
pub(super) fn become_owner_of(dir: &Path) -> anyhow::Result<()> {
    let me = geteuid().as_raw();
    let owner = owner_of(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    let Some(owner) = owner else {
        return Ok(());
    };
    // What root has opened to others is theirs to use.
    if owner.user == me || owner.user == 0 {
        return Ok(());
    }
    if geteuid().is_root() && become_user(owner).is_ok() {
        return Ok(());
    }
    // Some file systems give every file to one user, whoever makes it.
    let made_by = owner_of_what_is_made_in(dir)
        .with_context(|| format!("cannot write in {}", dir.display()))?;
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
        // Some containers allow no change of these, and files do not get them.
        Err(error) if error != rustix::io::Errno::PERM => return Err(error.into()),
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

/// Makes a file, looks whose it is, and removes it.
fn owner_of_what_is_made_in(dir: &Path) -> io::Result<u32> {
    let mut how = OpenOptions::new();
    how.write(true).mode(0o600);
    // One without a name, of which nothing stays whenever the command is killed, where the file system has such files.
    let mut unnamed = how.clone();
    unnamed.custom_flags(OFlags::TMPFILE.bits().cast_signed());
    if let Ok(file) = unnamed.open(dir) {
        return Ok(file.metadata()?.uid());
    }
    let path = dir.join(format!(".owner-{}", std::process::id()));
    let file = how.create_new(true).open(&path)?;
    let owner = file.metadata().map(|made| made.uid());
    fs::remove_file(&path)?;
    owner
}
