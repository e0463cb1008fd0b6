//! The files of a certificate directory: their names, their presence, and how one is written.
//!
//! Invariants: key files are readable by their owner alone from creation on; a file is either complete or absent.

use std::fs::{self, File, OpenOptions, Permissions};
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
    /// Whether the pair has the names that relaybox uses for its own.
    pub(super) has_own_names: bool,
    /// Other pairs present.
    pub(super) beside: Vec<[PathBuf; 2]>,
    /// Files of incomplete pairs, other than the chosen one.
    halves: Vec<PathBuf>,
}

/// File names of a certificate chain and its key: ours, certbot's, Kubernetes'.
const PAIRS: [[&str; 2]; 3] = [
    ["cert.pem", "key.pem"],
    ["fullchain.pem", "privkey.pem"],
    ["tls.crt", "tls.key"],
];
const CA: &str = "ca.pem";
const CA_KEY: &str = "ca-key.pem";

/// Most unrelated files named in a message.
const STRANGERS_TOLD_MAX: usize = 5;

impl Files {
    /// The current files of a directory. Blocks on files.
    pub(super) fn of(dir: &Path) -> Self {
        let pairs = PAIRS.map(|pair| pair.map(|name| dir.join(name)));
        // A file whose presence cannot be checked counts as present: reading it reports the error.
        let is_there = |file: &PathBuf| file.try_exists().unwrap_or(true);
        let (own, others) = pairs.split_at(1);
        let of_others = |all: fn([bool; 2]) -> bool| -> Vec<_> {
            let found = others.iter();
            found
                .filter(|pair| all([is_there(&pair[0]), is_there(&pair[1])]))
                .collect()
        };
        let whole = of_others(|[certificate, key]| certificate && key);
        let own_files = own.iter().flatten().filter(|file| is_there(file)).count();
        let half = of_others(|[certificate, key]| certificate || key);
        let taken = match (own_files, whole.as_slice(), half.as_slice()) {
            (0 | 1, [only], _) | (0, [], [only]) => *only,
            _ => &pairs[0],
        };
        let is_used = |pair: &[PathBuf; 2]| pair == taken || whole.contains(&pair);
        let halves = pairs.iter().filter(|pair| !is_used(pair)).flatten();
        let [certificate, key] = taken.clone();
        Self {
            halves: halves.filter(|file| is_there(file)).cloned().collect(),
            dir: dir.to_owned(),
            has_own_names: *taken == pairs[0],
            beside: whole
                .into_iter()
                .filter(|pair| *pair != taken)
                .cloned()
                .collect(),
            certificate,
            key,
            ca: dir.join(CA),
            ca_key: dir.join(CA_KEY),
        }
    }

    /// Whether both files of the pair are present. If neither is, no file of another pair is either.
    ///
    /// # Errors
    /// One of them is present alone, or there are files of other pairs and no choice between them.
    pub(super) fn pair_exists(&self) -> Result<bool, CertificateError> {
        let (certificate, key) = (exists(&self.certificate)?, exists(&self.key)?);
        if certificate && key {
            return Ok(true);
        }
        let dir = self.dir.display();
        if !self.beside.is_empty() {
            return Err(CertificateError::Files(format!(
                "there is more than one certificate in {dir}: name the one that is to be served cert.pem and its key \
                 key.pem"
            )));
        }
        if !self.halves.is_empty() {
            let own = [(certificate, &self.certificate), (key, &self.key)];
            let own = own.into_iter().filter(|(is_there, _)| *is_there);
            let found = own.map(|(_, file)| file).chain(&self.halves);
            let found: Vec<_> = found
                .filter_map(|file| file.file_name()?.to_str())
                .collect();
            let found = found.join(", ");
            return Err(CertificateError::Files(format!(
                "{dir} holds {found}, but no certificate together with its key under the names of one pair: name the \
                 certificate cert.pem, with its chain, and its key key.pem, or move these files to another folder to \
                 have both made"
            )));
        }
        match (certificate, key) {
            (true, _) => Err(alone(&self.certificate, &self.key)),
            (_, true) => Err(alone(&self.key, &self.certificate)),
            _ => Ok(false),
        }
    }

    /// Names of files that look like certificates or keys and belong neither to the pair, nor to the CA, nor to another
    /// pair.
    pub(super) fn strangers(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let pair = [&self.certificate, &self.key, &self.ca, &self.ca_key];
        let known: Vec<_> = pair
            .into_iter()
            .chain(self.beside.iter().flatten())
            .collect();
        let is_known = |name: &str| known.iter().any(|file| file.ends_with(name));
        let mut strangers: Vec<_> = names
            .filter(|name| is_of_certificates(name) && !is_known(name))
            .collect();
        strangers.sort_unstable();
        strangers.truncate(STRANGERS_TOLD_MAX);
        strangers
    }
}

fn is_of_certificates(name: &str) -> bool {
    const ENDINGS: [&str; 7] = ["pem", "crt", "cer", "der", "key", "p12", "pfx"];
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| ENDINGS.contains(&ending))
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

/// Creates a missing directory, world-readable whatever the umask: clients on this machine look up the CA there.
pub(super) fn make_dir(dir: &Path) -> Result<(), CertificateError> {
    if dir.is_dir() {
        return Ok(());
    }
    let made = fs::create_dir_all(dir);
    made.and_then(|()| fs::set_permissions(dir, Permissions::from_mode(0o755)))
        .map_err(|error| unwritable(dir, error))?;
    sync_dir_of(dir);
    Ok(())
}

/// Writes a temporary file and renames it, so that a crash leaves the old file or the new one.
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
        // Whatever the umask: every client that connects sees the certificate.
        out.set_permissions(Permissions::from_mode(mode))?;
        out.write_all(content.as_bytes())?;
        out.sync_all()?;
        fs::rename(&temporary, file)
    };
    write().map_err(|error| unwritable(file, error))?;
    sync_dir_of(file);
    Ok(())
}

/// Makes a file's name durable: a CA lost to a power cut is one that clients trust in vain. Best effort, as some file
/// systems do not support it.
fn sync_dir_of(file: &Path) {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or(Path::new("."));
    if let Err(error) = File::open(dir).and_then(|dir| dir.sync_all()) {
        tracing::debug!(%error, file = %file.display(), "its name may not outlive a power cut");
    }
}

fn unwritable(file: &Path, error: io::Error) -> CertificateError {
    CertificateError::Unwritable {
        file: file.to_owned(),
        error,
    }
}
