//! The server's certificate: `cert.pem` and `key.pem` in one directory, read and judged.
//!
//! Never changes a file that relaybox did not write. Invariant: a returned certificate can be served, that is, the key
//! belongs to the first certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::X509Certificate;

use super::authority::{self, EARLIEST_S};
use super::certificate::{Certificate, gap, is_signed_by, ordered, parse_chain};
use super::certificate_error::{CertificateError, REPLACE_CA};
use super::file_checks::{Fingerprint, RETRY_S};
use super::files::{Files, exists};
use super::issue::{LOCAL_NAMES, issue};
use super::x509::{DAY_S, x509};
use super::{constraints, material};

/// A certificate that can be served.
pub(super) struct Usable {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) leaf: Certificate,
    /// Its files. One issued just now is not taken for a change; a concurrent change by somebody else is.
    pub(super) seen: Fingerprint,
    /// When it needs another check even if its files stay the same: for renewal, or for a warning.
    /// Seconds since the Unix epoch.
    pub(super) check_at_s: i64,
    /// Why a renewal that was due failed.
    pub(super) kept_for: Option<CertificateError>,
}

/// Makes sure that `dir` holds a certificate, and reads it.
///
/// If both files are missing, or one of two that were issued here, a local CA and a certificate for `localhost`, the
/// loopback addresses and `hosts` are issued. A certificate issued here is renewed when it is near its end, not valid
/// yet, or lacks one of `hosts`; its CA when that is near its end, not valid yet, or may not sign for all of `hosts`.
/// If that CA is lost, another one renews the certificate once that is no longer valid. A failed renewal leaves the old
/// one in use. Foreign files are only read.
///
/// # Errors
/// A message that names the file.
pub(super) fn ensure(
    dir: &Path,
    hosts: &[String],
    provider: &CryptoProvider,
    now_s: i64,
) -> Result<Usable, CertificateError> {
    let files = Files::of(dir);
    let seen = Fingerprint::of(&files);
    let lone_key = lone_key(&files);
    let mut is_new = false;
    if !pair_is_there(&files)? {
        lone_key.iter().for_each(|note| tracing::warn!("{note}"));
        issue(&files, None, hosts, now_s)?;
        is_new = true;
    }
    let read = || -> Result<_, CertificateError> {
        let certified = load(&files, provider, now_s)?;
        let leaf = Certificate::parse(&files.certificate, &certified.cert[0])?;
        let made_by = made_by(&files, &certified.cert);
        Ok((certified, leaf, made_by))
    };
    let (mut certified, mut leaf, mut made_by) = read()?;
    let mut kept_for = None;
    let why = match &made_by {
        Some(ca) => renewal_reason(&leaf, &certified.cert, ca, hosts, now_s),
        None if has_lost_its_ca(&files, &certified.cert) => rejection_reason(&leaf, now_s),
        None => None,
    };
    if let Some(why) = why {
        tracing::info!(file = %files.certificate.display(), "the certificate is due, since {why}");
        match issue(&files, Some(&leaf), hosts, now_s) {
            Ok(()) => {
                is_new = true;
                (certified, leaf, made_by) = read()?;
            }
            Err(error) => kept_for = Some(error),
        }
    }
    leaf.warn_of_dates(&files.certificate, now_s);
    if made_by.is_none()
        && let Some(gap) = gap(&parse_chain(&files.certificate, &certified.cert))
    {
        tracing::warn!("{} {gap}", files.certificate.display());
    }
    for note in notes(&files, Some(&certified.cert)) {
        tracing::warn!("{note}");
    }
    let shown_ca = certified.cert.get(1).filter(|_| made_by.is_some());
    let parsed_ca = shown_ca.and_then(|ca| x509(ca));
    if parsed_ca.is_some_and(|ca| !constraints::are_in(&ca)) {
        tracing::info!(
            ca = %files.ca.display(),
            "the CA is of an earlier version and may sign for any name: to have one that is bound to this server's, \
             {REPLACE_CA}"
        );
    }
    let ca_near_end_s = shown_ca.and_then(authority::near_end_s);
    let near_end_s = leaf.near_end_s().min(ca_near_end_s.unwrap_or(i64::MAX));
    let end_s = Some(leaf.not_after_s).filter(|end_s| *end_s > now_s);
    let check_at_s = match kept_for {
        None => near_end_s
            .max(now_s.saturating_add(DAY_S))
            .min(end_s.unwrap_or(i64::MAX)),
        Some(_) => now_s.saturating_add(RETRY_S),
    };
    Ok(Usable {
        certified: Arc::new(certified),
        leaf,
        seen: match is_new {
            true => Fingerprint::of(&files),
            false => seen,
        },
        check_at_s,
        kept_for,
    })
}

/// Why a certificate issued here by this CA needs renewal.
fn renewal_reason(
    leaf: &Certificate,
    chain: &[CertificateDer<'static>],
    ca: &CertificateDer<'static>,
    hosts: &[String],
    now_s: i64,
) -> Option<&'static str> {
    if now_s >= leaf.near_end_s() {
        return Some("it is near its end or beyond");
    }
    if let Some(why) = rejection_reason(leaf, now_s) {
        return Some(why);
    }
    if !leaf.names_all(hosts) {
        return Some("it lacks a name of --host");
    }
    // A start may have been interrupted after writing the CA and before writing the certificate.
    if authority::is_made_here(ca) && chain.get(1) != Some(ca) {
        return Some("the CA beside it is another");
    }
    authority::flaw_now(ca, now_s).map(|_| "its CA is due, too")
}

/// Why every client refuses a certificate at this time.
fn rejection_reason(leaf: &Certificate, now_s: i64) -> Option<&'static str> {
    if now_s >= leaf.not_after_s {
        return Some("it has expired");
    }
    // A clock that cannot be right proves nothing here: a machine that boots without one has it set later.
    (now_s >= EARLIEST_S && leaf.not_before_s > now_s)
        .then_some("a clock that was ahead had made it")
}

/// Whether `cert.pem` and `key.pem` are there to be read. If not, both can be issued: neither is there, or the one
/// present was generated here and can be replaced without loss.
///
/// # Errors
/// One of them is present and foreign, or files of other pairs are present.
pub(super) fn pair_is_there(files: &Files) -> Result<bool, CertificateError> {
    let alone = match files.pair_exists() {
        Err(alone @ CertificateError::Alone { .. }) => alone,
        looked => return looked,
    };
    let is_made_here = files.has_own_names
        && match exists(&files.certificate)? {
            true => {
                let chain = material::certificates(&files.certificate);
                chain.is_ok_and(|chain| {
                    let ca = made_by(files, &chain);
                    let is_own = ca.is_some_and(|ca| authority::is_made_here(&ca));
                    is_own || has_lost_its_ca(files, &chain)
                })
            }
            // Its certificate was removed, or a first start was interrupted between the two files.
            false => own_ca(files).is_some() && authority::is_key_as_made(&files.key),
        };
    match is_made_here {
        true => Ok(false),
        false => Err(alone),
    }
}

/// As [`ensure`], for a server already running with the certificate of `dir`. Missing files are not replaced: they were
/// removed by mistake, or are just being exchanged.
///
/// # Errors
/// A message that names the file.
pub(super) fn ensure_again(
    dir: &Path,
    hosts: &[String],
    provider: &CryptoProvider,
    now_s: i64,
) -> Result<Usable, CertificateError> {
    let files = Files::of(dir);
    if !files.pair_exists()? {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        let gone = format!("{certificate} and {key} are not there any more");
        return Err(CertificateError::Files(gone));
    }
    ensure(dir, hosts, provider, now_s)
}

/// Reads a servable chain: the certificate of the key first, its issuers after it, in whatever order the file has them.
/// Of several certificates with a key, the [best](fitness) one.
///
/// # Errors
/// A message that names the file.
pub(super) fn load(
    files: &Files,
    provider: &CryptoProvider,
    now_s: i64,
) -> Result<CertifiedKey, CertificateError> {
    let chain = material::certificates(&files.certificate)
        .map_err(|error| with_advice(files, swapped(files, error)))?;
    let mut refused = None;
    let mut found = Vec::new();
    for key in material::keys(&files.key).map_err(|error| with_advice(files, error))? {
        let Ok(signer) = provider.key_provider.load_private_key(key.clone_key()) else {
            refused = refused.or(Some(key));
            continue;
        };
        let public = signer.public_key();
        let spki = public.as_ref().map(AsRef::<[u8]>::as_ref);
        for (at, der) in chain.iter().enumerate() {
            let Some(one) = x509(der) else {
                continue;
            };
            if spki.is_none_or(|spki| one.public_key().raw == spki) {
                found.push((fitness(&one, now_s), at, signer.clone()));
            }
        }
    }
    // `max_by_key` returns the last of equals; reversed, the first in the file wins.
    let best = found.into_iter().rev().max_by_key(|(fitness, ..)| *fitness);
    if let Some((_, at, signer)) = best {
        return Ok(CertifiedKey::new(ordered(chain, at), signer));
    }
    // A flaw of the key or of the certificate explains why they are not a pair.
    if let Some(key) = refused {
        return Err(material::unusable_key(&files.key, &key));
    }
    Certificate::parse(&files.certificate, &chain[0])?;
    Err(CertificateError::Mismatch {
        key: files.key.clone(),
        certificate: files.certificate.clone(),
    })
}

/// Ranks certificates, the greater the better: a server's above a CA's, then a currently valid one, then the one with
/// the later end.
fn fitness(certificate: &X509Certificate<'_>, now_s: i64) -> (bool, bool, i64) {
    let validity = certificate.validity();
    let end_s = validity.not_after.timestamp();
    let is_valid = validity.not_before.timestamp() <= now_s && now_s < end_s;
    (!certificate.is_ca(), is_valid, end_s)
}

/// Checks an unusable certificate file together with the key file, for swapped contents.
fn swapped(files: &Files, error: CertificateError) -> CertificateError {
    let is_swapped = matches!(error, CertificateError::Broken { .. })
        && material::keys(&files.certificate).is_ok()
        && material::certificates(&files.key).is_ok();
    if !is_swapped {
        return error;
    }
    let (certificate, key) = (files.certificate.display(), files.key.display());
    CertificateError::Files(format!(
        "{certificate} holds the private key and {key} the certificate: they are swapped, exchange them"
    ))
}

/// Adds advice for a broken file that relaybox may have written. The file is not replaced: it may also be a foreign one
/// that is just being written.
fn with_advice(files: &Files, error: CertificateError) -> CertificateError {
    match error {
        CertificateError::Broken { file, flaw } if own_ca(files).is_some() => {
            CertificateError::Unfit {
                file,
                holds: flaw,
                advice: "if relaybox made it, move it to another folder, and the next start makes another"
                    .to_owned(),
            }
        }
        error => error,
    }
}

/// A note for the operator about a key without a certificate, whose origin shows in its kind alone.
fn lone_key(files: &Files) -> Option<String> {
    let is_alone = !files.certificate.exists() && authority::is_key_as_made(&files.key);
    is_alone.then(|| {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        format!(
            "{key} is there and {certificate} is not: a start has relaybox's own CA make one for that key; if it is \
             yours, put its certificate there"
        )
    })
}

/// Oddities of a directory whose pair can be served or, without a chain, issued. Sentences for the operator.
pub(super) fn notes(files: &Files, chain: Option<&[CertificateDer<'static>]>) -> Vec<String> {
    let mut notes: Vec<_> = lone_key(files)
        .filter(|_| chain.is_none())
        .into_iter()
        .collect();
    let certificate = files.certificate.display();
    let has_lost_its_ca = chain.is_some_and(|chain| has_lost_its_ca(files, chain));
    let is_made_here = chain.is_none_or(|chain| made_by(files, chain).is_some());
    let is_own = has_lost_its_ca || is_made_here;
    if let Some(error) = authority::can_sign(files).err().filter(|_| is_own) {
        notes.push(format!(
            "{error}: nothing can be made in the place of {certificate} when that ends; put there again what was there, \
             or {REPLACE_CA}"
        ));
    } else if has_lost_its_ca {
        let (ca, ca_key) = (files.ca.display(), files.ca_key.display());
        notes.push(format!(
            "{certificate} is of relaybox's own making, but its CA is not there with its key ({ca}, {ca_key}): it \
             goes on until its end, when another CA makes the next; to have the same one make it, put both there again"
        ));
    }
    if is_own {
        let strangers = files.strangers().join(", ");
        if !strangers.is_empty() {
            notes.push(format!(
                "{certificate} is of relaybox's own making, beside other files ({strangers}), which are not used: for a \
                 certificate of yours, put it there as cert.pem, with its chain, and its key as key.pem"
            ));
        }
    }
    for [other, key] in &files.beside {
        let (other, key) = (other.display(), key.display());
        notes.push(format!(
            "{other} and {key} are not used, since {certificate} is there: to have them served, move that and its \
             key to another folder"
        ));
    }
    for file in [&files.certificate, &files.key] {
        for what in material::unused(file) {
            notes.push(format!(
                "{} holds {what}, too, which is not used",
                file.display()
            ));
        }
    }
    notes
}

/// The CA that issued a certificate, with the key to renew it. The CA may have been reissued since.
pub(super) fn made_by(
    files: &Files,
    chain: &[CertificateDer<'static>],
) -> Option<CertificateDer<'static>> {
    let [leaf, issuer] = chain else {
        return None;
    };
    let ca = ca_with_key(files)?;
    let is_same = x509(&ca)?.public_key().raw == x509(issuer)?.public_key().raw;
    (is_same && has_local_names(files, leaf)).then_some(ca)
}

/// Whether a certificate was issued here and its CA is no longer present with its key.
pub(super) fn has_lost_its_ca(files: &Files, chain: &[CertificateDer<'static>]) -> bool {
    let [leaf, issuer] = chain else {
        return false;
    };
    authority::is_made_here(issuer)
        && is_signed_by(leaf, issuer)
        && has_local_names(files, leaf)
        && made_by(files, chain).is_none()
}

/// Whether a certificate has the names common to all issued here.
fn has_local_names(files: &Files, leaf: &CertificateDer<'static>) -> bool {
    Certificate::parse(&files.certificate, leaf).is_ok_and(|leaf| leaf.names_all(&LOCAL_NAMES))
}

/// The directory's CA, if it was issued here and has its key.
fn own_ca(files: &Files) -> Option<CertificateDer<'static>> {
    ca_with_key(files).filter(authority::is_made_here)
}

fn ca_with_key(files: &Files) -> Option<CertificateDer<'static>> {
    let ca = material::certificates(&files.ca).ok()?.into_iter().next()?;
    matches!(files.ca_key.try_exists(), Ok(true)).then_some(ca)
}
