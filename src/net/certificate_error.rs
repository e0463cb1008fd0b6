//! What can be wrong with a certificate directory.
//!
//! Never holds what a library says: it was given the key, and may repeat it.

use std::io;
use std::path::{Path, PathBuf};

/// What to do about a CA that cannot stay, wherever that is said.
pub const REPLACE_CA: &str = "move ca.pem, ca-key.pem, cert.pem and key.pem to another folder, start the server \
                              again, and have clients trust the new ca.pem";

/// Why the server has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// One file of a pair is there, the other is not.
    #[error(
        "{present} is there but {missing} is not: put the other one beside it, or move it to another \
         folder to have both made",
        present = .present.display(), missing = .missing.display()
    )]
    Alone {
        /// The file that is there.
        present: PathBuf,
        /// The file that is not.
        missing: PathBuf,
    },
    /// Of several pairs none has the names that come first.
    #[error(
        "there is more than one certificate in {dir}: name the one that is to be served cert.pem and its key key.pem",
        dir = .dir.display()
    )]
    Several {
        /// The directory.
        dir: PathBuf,
    },
    /// There are files of pairs, and no whole pair.
    #[error(
        "{dir} holds {found}, but no certificate together with its key under the names of one pair: name the \
         certificate cert.pem, with its chain, and its key key.pem, or move these files to another folder to have \
         both made",
        dir = .dir.display()
    )]
    Halves {
        /// The directory.
        dir: PathBuf,
        /// Names of the files: none but those of pairs.
        found: String,
    },
    /// A running server's certificate has gone.
    #[error("{certificate} and {key} are not there any more", certificate = .certificate.display(), key = .key.display())]
    Gone {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A file or the directory cannot be read.
    #[error("{file} cannot be read: {error}", file = .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file or the directory cannot be written.
    #[error("{file} cannot be written: {error}", file = .file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A CA of other origin is too near its end to sign.
    #[error("{ca} is at its end and signs nothing more: {advice}", ca = .ca.display(), advice = REPLACE_CA)]
    AtEnd {
        /// The CA's file.
        ca: PathBuf,
    },
    /// A file is not PEM, or what it holds cannot be used.
    #[error("{file} {flaw}", file = .file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, as the rest of a sentence. A text of this source, and none of a library's: those
        /// were given the key.
        flaw: &'static str,
    },
    /// A file holds something else than it should, from which it can be made.
    #[error("{file} {holds}: {advice}", file = .file.display())]
    Unfit {
        /// The file.
        file: PathBuf,
        /// What it holds, as the rest of a sentence. A text of this source.
        holds: &'static str,
        /// What to do, a command for the most part.
        advice: String,
    },
    /// Each file holds what belongs in the other.
    #[error("{certificate} holds the private key and {key} the certificate: they are swapped, exchange them", key = .key.display(), certificate = .certificate.display())]
    Swapped {
        /// Where the certificate is expected.
        certificate: PathBuf,
        /// Where its key is expected.
        key: PathBuf,
    },
    /// The key is not that of the certificate.
    #[error("{key} is not the key of the certificate in {certificate}: put the files of one certificate there, both", key = .key.display(), certificate = .certificate.display())]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// A host name cannot stand in a certificate.
    #[error("the host {0:?} is neither a DNS name nor an IP address")]
    Host(String),
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Issue(&'static str),
    /// TLS cannot be set up with it.
    #[error("TLS cannot be set up")]
    Setup,
}

pub(super) fn unreadable(file: &Path, error: io::Error) -> CertificateError {
    CertificateError::Unreadable {
        file: file.to_owned(),
        error,
    }
}

pub(super) fn broken(file: &Path, flaw: &'static str) -> CertificateError {
    CertificateError::Broken {
        file: file.to_owned(),
        flaw,
    }
}
