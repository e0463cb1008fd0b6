//! Files of relaybox's own making that are not whole any more: a power cut, a full disk, a failing one, a copy cut short.
//!
//! Nothing is deleted: a damaged file is kept under another name. Nothing of other origin is touched, and what cannot be
//! told from that is left to be refused by name.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::authority::{self, NAME};
use super::certificate::is_signed_by;
use super::certificate_error::{CertificateError, TRUST_NEW_CA};
use super::files::{Files, move_aside, write_whole};
use super::material::{self, Kind};
use super::pair::load;
use super::pem;

/// The name of its CA stands in the first bytes of every certificate made here.
const NAME_WITHIN_BYTES: usize = 130;

/// A private key made here has so many bytes (PKCS#8, P-256, with its public key).
const KEY_BYTES: usize = 138;

/// Its PEM has fewer.
const KEY_FILE_BYTES_MAX: usize = 300;

/// A file that relaybox made, and that is not as it was made.
#[derive(Debug)]
pub(super) struct Damaged {
    file: PathBuf,
    flaw: &'static str,
    remedy: Remedy,
}

#[derive(Debug, PartialEq, Eq)]
enum Remedy {
    /// Another is made.
    Anew,
    /// Another CA is made.
    AnewCa,
    /// The certificate of the CA stands in the certificate's file, too.
    Copied(String),
    /// A CA goes on without its key, as if that had been taken away.
    Without,
}

impl Damaged {
    /// What a start does about it. A sentence for the operator.
    pub(super) fn sentence(&self) -> String {
        let (file, aside) = (self.file.display(), aside(&self.file));
        let then = match &self.remedy {
            Remedy::Anew => "makes another".to_owned(),
            Remedy::AnewCa => format!("makes another: {TRUST_NEW_CA}"),
            Remedy::Copied(_) => "takes it again from cert.pem, where it stands, too".to_owned(),
            Remedy::Without => "goes on without it".to_owned(),
        };
        format!(
            "{file} is damaged (it {flaw}), and of relaybox's own making: a start keeps it as {aside} and {then}",
            flaw = self.flaw,
            aside = aside.display()
        )
    }

    /// Whether it is of the certificate or its key.
    pub(super) fn is_of_pair(&self, files: &Files) -> bool {
        [&files.certificate, &files.key].contains(&&self.file)
    }

    /// Does what the sentence says, but for what is made.
    fn set_aside(&self) -> Result<(), CertificateError> {
        move_aside(&self.file, &aside(&self.file))?;
        match &self.remedy {
            Remedy::Copied(pem) => write_whole(&self.file, pem, 0o644),
            _ => Ok(()),
        }
    }
}

/// Sets aside what is damaged, and says whether the certificate or its key was. What cannot be moved stays, to be
/// refused where it is needed.
pub(super) fn set_aside(files: &Files, damaged: &[Damaged]) -> bool {
    let mut is_pair_gone = false;
    for one in damaged {
        tracing::error!("{}", one.sentence());
        match one.set_aside() {
            Ok(()) => is_pair_gone |= one.is_of_pair(files),
            Err(error) => tracing::error!(%error, "a damaged file stays where it is"),
        }
    }
    is_pair_gone
}

/// The name under which a damaged file is kept: none that is taken.
fn aside(file: &Path) -> PathBuf {
    let name = |number: u32| PathBuf::from(format!("{}.damaged-{number}", file.display()));
    let mut names = (1..).map(name);
    let free = names.find(|name| fs::symlink_metadata(name).is_err());
    free.unwrap_or_else(|| name(0))
}

/// Whether a file holds a key such as is made here.
pub(super) fn is_key_as_made(file: &Path) -> bool {
    Key::of(file) == Key::Made
}

/// The damaged files of a directory, where they are certainly of relaybox's own making.
///
/// What makes that certain: a certificate, whole or damaged, that names the CA made here; or a `ca-key.pem`, which nobody
/// else puts there without a certificate of another CA. One certificate of other origin, and nothing is certain.
pub(super) fn find(files: &Files, provider: &CryptoProvider) -> Vec<Damaged> {
    let (certificate, ca) = (Origin::of(&files.certificate), Origin::of(&files.ca));
    let (key, ca_key) = (Key::of(&files.key), Key::of(&files.ca_key));
    let is_ours = match (certificate, ca) {
        (Origin::Other, _) | (_, Origin::Other) => false,
        (Origin::Ours, _) => true,
        // The key is somebody's whose certificate is still to come.
        _ if key == Key::Other || key == Key::Readable => false,
        (_, Origin::Ours) => true,
        _ => ca_key != Key::Absent,
    };
    if !files.has_own_names || !is_ours || key == Key::Other {
        return Vec::new();
    }
    let mut damaged = Vec::new();
    let mut add = |file: &Path, flaw, remedy| {
        let file = file.to_owned();
        damaged.push(Damaged { file, flaw, remedy });
    };
    let chain = material::certificates(&files.certificate);
    let of_ca = material::certificates(&files.ca);
    if let Some(flaw) = flaw_of_ca(ca, &of_ca) {
        let copy = chain.iter().flatten().find(|one| is_whole_ca(one));
        let remedy = copy.map_or(Remedy::AnewCa, |copy| Remedy::Copied(pem::encoded(copy)));
        add(&files.ca, flaw, remedy);
    }
    if let Key::Damaged(flaw) = ca_key {
        add(&files.ca_key, flaw, Remedy::Without);
    }
    let of_pair = match certificate {
        Origin::Unclear => chain.as_ref().err().map(flaw),
        Origin::Ours => {
            let signers = of_ca.iter().flatten().chain(chain.iter().flatten());
            let signers: Vec<_> = signers.collect();
            let leaves = || chain.iter().flatten().filter(|one| !is_ca(one));
            let is_signed = leaves().any(|leaf| signers.iter().any(|ca| is_signed_by(leaf, ca)));
            // Its CA may be elsewhere: then nothing speaks against one that can be served.
            let is_known = chain.iter().flatten().any(|one| is_whole_ca(one));
            let is_usable = || load(files, provider, 0).is_ok();
            match is_signed || !is_known && is_usable() {
                true => None,
                false => Some(chain.as_ref().err().map_or(UNSIGNED, flaw)),
            }
        }
        Origin::Absent | Origin::Other => None,
    };
    if let Some(flaw) = of_pair {
        add(&files.certificate, flaw, Remedy::Anew);
    }
    if let Key::Damaged(flaw) = key {
        add(&files.key, flaw, Remedy::Anew);
    }
    damaged
}

const UNSIGNED: &str = "holds a certificate that was not signed as it stands there";

fn flaw_of_ca(
    ca: Origin,
    chain: &Result<Vec<CertificateDer<'static>>, CertificateError>,
) -> Option<&'static str> {
    match (ca, chain) {
        (Origin::Absent | Origin::Other, _) => None,
        (_, Err(error)) => Some(flaw(error)),
        (_, Ok(chain)) if chain.first().is_some_and(is_whole_ca) => None,
        (_, Ok(_)) => Some(UNSIGNED),
    }
}

/// Whether a certificate is that of a CA made here, as it was made.
fn is_whole_ca(certificate: &CertificateDer<'_>) -> bool {
    authority::is_made_here(certificate) && is_signed_by(certificate, certificate)
}

fn is_ca(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, certificate)| certificate.is_ca())
}

fn flaw(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Broken { flaw, .. } => flaw,
        CertificateError::Unfit { holds, .. } => holds,
        _ => "cannot be used",
    }
}

/// Who made the file of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Absent,
    /// It names the CA made here, whole or damaged.
    Ours,
    Other,
    /// Too little is left of it.
    Unclear,
}

impl Origin {
    fn of(file: &Path) -> Self {
        let Some(bytes) = made_file(file) else {
            return match fs::symlink_metadata(file).is_ok() {
                true => Self::Other,
                false => Self::Absent,
            };
        };
        let left = decoded(&bytes);
        let names_ca = left.windows(NAME.len()).any(|some| some == NAME.as_bytes());
        let would_name = is_begun(&bytes) && left.len() >= NAME_WITHIN_BYTES;
        let is_known = material::is_der(&bytes) || !material::kinds(&bytes).is_empty();
        match names_ca {
            true => Self::Ours,
            false if would_name || is_known => Self::Other,
            false => Self::Unclear,
        }
    }
}

/// What is in the file of a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Absent,
    /// One such as is made here.
    Made,
    /// One of another kind.
    Readable,
    /// Something else of other origin.
    Other,
    /// Nothing, or what is left of one; what is wrong with it.
    Damaged(&'static str),
}

impl Key {
    fn of(file: &Path) -> Self {
        let Some(bytes) = made_file(file) else {
            return match fs::symlink_metadata(file).is_ok() {
                true => Self::Other,
                false => Self::Absent,
            };
        };
        let keys = match material::keys(file) {
            Ok(keys) => keys,
            Err(error) => {
                let is_longer = is_begun(&bytes) && bytes.len() > KEY_FILE_BYTES_MAX;
                let is_else = |kind: &_| *kind != Kind::Key;
                let holds_else = material::kinds(&bytes).iter().any(is_else);
                return match is_longer || holds_else || material::is_der(&bytes) {
                    true => Self::Other,
                    false => Self::Damaged(flaw(&error)),
                };
            }
        };
        let is_long_so = keys.len() == 1 && keys[0].secret_der().len() == KEY_BYTES;
        match keys.iter().any(|key| KeyPair::try_from(key).is_ok()) {
            true if is_long_so => Self::Made,
            true => Self::Readable,
            false if is_long_so => Self::Damaged("holds a key that cannot be used"),
            false => Self::Other,
        }
    }
}

/// The bytes of a file that may have been made here: no link, as none are made.
fn made_file(file: &Path) -> Option<Vec<u8>> {
    let is_file = fs::symlink_metadata(file).is_ok_and(|found| found.is_file());
    is_file.then(|| pem::read(file).ok()).flatten()
}

/// Whether this is PEM, or begins as such.
fn is_begun(bytes: &[u8]) -> bool {
    bytes.windows(10).any(|some| some == b"-----BEGIN")
}

/// What can be read of the base64 of damaged PEM: its lines stand for themselves, as those of each 64 letters do.
fn decoded(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.windows(5).any(|some| some == b"-----"));
    let groups = lines.flat_map(|line| line.chunks(4));
    let of_group = |group| STANDARD.decode(group).unwrap_or_else(|_| vec![0; 3]);
    groups.flat_map(of_group).collect()
}
