//! The files of a certificate directory: where they are, whether they are there, and how one is written.
//!
//! Invariants: key files are readable by their owner alone from the moment they exist, and a file is either whole or
//! absent.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::certificate_error::{CertificateError, unreadable};

/// The files of a certificate directory.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) dir: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) ca: PathBuf,
    pub(super) ca_key: PathBuf,
}

impl Files {
    pub(super) fn of(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            certificate: dir.join("cert.pem"),
            key: dir.join("key.pem"),
            ca: dir.join("ca.pem"),
            ca_key: dir.join("ca-key.pem"),
        }
    }
}

/// Whether both files are there; an error if only one is.
pub(super) fn pair_exists(first: &Path, second: &Path) -> Result<bool, CertificateError> {
    match (exists(first)?, exists(second)?) {
        (true, true) => Ok(true),
        (false, false) => Ok(false),
        (true, false) => Err(alone(first, second)),
        (false, true) => Err(alone(second, first)),
    }
}

pub(super) fn alone(present: &Path, missing: &Path) -> CertificateError {
    CertificateError::Alone {
        present: present.to_owned(),
        missing: missing.to_owned(),
    }
}

pub(super) fn exists(file: &Path) -> Result<bool, CertificateError> {
    file.try_exists().map_err(|error| unreadable(file, error))
}

/// Makes the directory, where it is missing, open to everybody, whatever the umask says: clients of this machine look
/// up the CA there.
pub(super) fn make_dir(dir: &Path) -> Result<(), CertificateError> {
    if dir.is_dir() {
        return Ok(());
    }
    let made = fs::create_dir_all(dir);
    made.and_then(|()| fs::set_permissions(dir, Permissions::from_mode(0o755)))
        .map_err(|error| unwritable(dir, error))
}

/// Writes beside the file and renames, so that a crash leaves the old one or the new one.
pub(super) fn write_whole(file: &Path, content: &str, mode: u32) -> Result<(), CertificateError> {
    let temporary = file.with_extension("pem.new");
    let write = || -> io::Result<()> {
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        // Whatever the umask says: a certificate is for everybody who connects.
        out.set_permissions(Permissions::from_mode(mode))?;
        out.write_all(content.as_bytes())?;
        out.sync_all()?;
        fs::rename(&temporary, file)
    };
    write().map_err(|error| unwritable(file, error))
}

fn unwritable(file: &Path, error: io::Error) -> CertificateError {
    CertificateError::Unwritable {
        file: file.to_owned(),
        error,
    }
}
