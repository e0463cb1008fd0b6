//! Errors of a certificate directory.
//!
//! Never holds a library's message: the library was given the key, and may repeat it.

use std::io;
use std::path::{Path, PathBuf};

/// Advice for an unusable CA, shared by every message about one.
pub const REPLACE_CA: &str = "move ca.pem, ca-key.pem, cert.pem and key.pem to another folder, start the server \
                              again, and have clients trust the new ca.pem";

/// Why the server has no usable certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// One file of a pair is present, the other missing.
    #[error(
        "{present} is there but {missing} is not: put the other one beside it, or move it to another \
         folder to have both made"
    )]
    Alone {
        /// The file that is present.
        present: PathBuf,
        /// The file that is missing.
        missing: PathBuf,
    },
    /// The files are not exactly one pair: some are missing, gone, swapped or of other pairs. A sentence of this
    /// source.
    #[error("{0}")]
    Files(String),
    /// A file or directory cannot be read.
    #[error("{file} cannot be read: {error}")]
    Unreadable {
        /// The file or directory.
        file: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A file or directory cannot be written.
    #[error("{file} cannot be written: {error}")]
    Unwritable {
        /// The file or directory.
        file: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A foreign CA is too near its end to sign.
    #[error("{ca} is at its end and signs nothing more: {advice}", advice = REPLACE_CA)]
    AtEnd {
        /// File of the CA.
        ca: PathBuf,
    },
    /// A file is not PEM, or its contents cannot be used.
    #[error("{file} {flaw}")]
    Broken {
        /// The offending file.
        file: PathBuf,
        /// The flaw, as the rest of a sentence. A text of this source and never a library's: the library was given the
        /// key.
        flaw: &'static str,
    },
    /// A file holds the wrong contents, but convertible ones.
    #[error("{file} {holds}: {advice}")]
    Unfit {
        /// The file to convert.
        file: PathBuf,
        /// Its contents, as the rest of a sentence. A text of this source.
        holds: &'static str,
        /// How to convert it, mostly a command.
        advice: String,
    },
    /// The key is not that of the certificate.
    #[error(
        "{key} is not the key of the certificate in {certificate}: put the files of one certificate there, both"
    )]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// A host name is unfit for a certificate.
    #[error("the host {0:?} is neither a DNS name nor an IP address")]
    Host(String),
    /// Issuing a certificate failed, for this reason.
    #[error("a certificate could not be made: {0}")]
    Issue(&'static str),
    /// TLS setup with the certificate failed.
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
