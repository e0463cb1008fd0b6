//! Reads a certificate directory for `doctor`: its files and their contents, usable or not.
//!
//! Creates and changes nothing, and judges only what needs a certificate library: signatures, and usability for TLS. No
//! key leaves this module.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;

use super::certificate::parse_chain;
pub use super::certificate::{Certificate, Gap, Key, gap};
use super::certificate_error::CertificateError;
use super::certificates::{has_lost_its_ca, load, made_by, notes, pair_is_there};
use super::files::Files;
use super::x509::x509;
use super::{authority, constraints, material};
use crate::clock::{Clock as _, SystemClock};

/// The contents of a certificate directory.
#[derive(Debug)]
pub struct Inspected {
    /// Expected path of the certificate.
    pub certificate: PathBuf,
    /// Expected path of its key.
    pub key: PathBuf,
    /// Path of the CA, where relaybox issues certificates.
    pub ca: PathBuf,
    /// Whether the pair can be served.
    pub pair: Pair,
    /// Whether relaybox issued the certificate and will renew it.
    pub is_made_here: bool,
    /// Whether relaybox issued the certificate but its CA is no longer present with its key. Once the certificate is no
    /// longer valid, a new CA issues another.
    pub has_lost_its_ca: bool,
    /// The readable certificates of the file, the server's own first.
    pub chain: Vec<Certificate>,
    /// The local CA.
    pub authority: Option<Certificate>,
    /// Whether relaybox issued the local CA, too, and will reissue it.
    pub is_authority_made_here: bool,
    /// Files with a private key, and their permission bits.
    pub key_modes: Vec<(PathBuf, u32)>,
    /// Other oddities of the files, worded as at the start.
    pub notes: Vec<String>,
}

/// The state of `cert.pem` and `key.pem`.
#[derive(Debug)]
pub enum Pair {
    /// Neither file is present: both are issued at the start.
    Absent,
    /// The server would refuse the pair.
    Unusable(CertificateError),
    /// The pair can be served.
    Usable,
}

impl Inspected {
    /// Reads a directory. Blocks on files.
    pub fn of(dir: &Path) -> Self {
        let files = Files::of(dir);
        let (pair, chain) = pair(&files);
        let notes = match &pair {
            Pair::Usable => notes(&files, Some(&chain)),
            Pair::Absent => notes(&files, None),
            Pair::Unusable(_) => Vec::new(),
        };
        let authority = material::certificates(&files.ca).unwrap_or_default();
        let keys = [&files.key, &files.ca_key].into_iter();
        Self {
            pair,
            is_made_here: made_by(&files, &chain).is_some(),
            has_lost_its_ca: has_lost_its_ca(&files, &chain),
            is_authority_made_here: authority.first().is_some_and(authority::is_made_here),
            chain: parse_chain(&files.certificate, &chain),
            authority: parse_chain(&files.ca, &authority).into_iter().next(),
            notes,
            key_modes: keys.filter_map(|file| mode(file)).collect(),
            certificate: files.certificate,
            key: files.key,
            ca: files.ca,
        }
    }

    /// Whether the local CA may sign for all these names and addresses.
    pub fn permits(&self, hosts: &[String]) -> bool {
        let ca = self.authority.as_ref();
        let ca = ca.and_then(|ca| x509(&ca.der));
        ca.is_none_or(|ca| constraints::permit(&ca, hosts))
    }
}

/// The state of the pair, and its chain: in serving order if it is usable, otherwise in the order of the file.
fn pair(files: &Files) -> (Pair, Vec<CertificateDer<'static>>) {
    let looked = pair_is_there(files).and_then(|exists| {
        if exists {
            let now_s = i64::try_from(SystemClock.now_us() / 1_000_000).unwrap_or(i64::MAX);
            let chain = load(files, &aws_lc_rs::default_provider(), now_s)?.cert;
            return Ok((Pair::Usable, chain));
        }
        authority::can_sign(files)?;
        Ok((Pair::Absent, Vec::new()))
    });
    looked.unwrap_or_else(|error| {
        let chain = material::certificates(&files.certificate).unwrap_or_default();
        (Pair::Unusable(error), chain)
    })
}

fn mode(file: &Path) -> Option<(PathBuf, u32)> {
    let metadata = fs::metadata(file).ok()?;
    Some((file.to_owned(), metadata.permissions().mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_made_here_is_found_right_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Inspected::of(dir.path()).pair, Pair::Absent));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        super::super::Tls::open(dir.path(), &["chat.example".to_owned()]).unwrap();
        let found = Inspected::of(dir.path());
        assert!(matches!(found.pair, Pair::Usable) && found.is_made_here);
        let [leaf, ca] = found.chain.as_slice() else {
            panic!("{:?}", found.chain)
        };
        assert_eq!(leaf.is_signed_by_next, Some(true));
        assert!(!leaf.is_self_signed && ca.is_self_signed && ca.is_authority);
        assert!(leaf.covers("chat.example") && leaf.covers("::1"));
        assert_eq!(found.authority.as_ref().map(|ca| &ca.der), Some(&ca.der));
        assert_eq!(found.key_modes.len(), 2);
        assert!(found.key_modes.iter().all(|(_, mode)| *mode == 0o600));
    }
}
