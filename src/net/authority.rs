//! The local certificate authority of a certificate directory: `ca.pem` and `ca-key.pem`.
//!
//! Never changes a foreign CA and never overwrites a private key. Invariant: a returned CA can sign now, for every
//! requested name.

use std::path::Path;

use aws_lc_rs::rand;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::prelude::X509Certificate;

use super::certificate_error::{CertificateError, broken};
use super::files::{Files, alone, exists, write_whole};
use super::x509::{DAY_S, unreadable_certificate, x509};
use super::{constraints, material};

/// 2025-01-01, in seconds since the Unix epoch: no correct clock shows less. A CA issued here is valid from then on, so
/// it never starts in the future, however far ahead the clock was.
pub const EARLIEST_S: i64 = 1_735_689_600;

/// Ten years: a client installs the CA once.
const CA_DAYS: i64 = 3650;

/// Remaining lifetime at which a CA issued here is reissued. It keeps its key, so clients that trust the old
/// certificate have as long to trust the new one.
const CA_DAYS_LEFT_MIN: i64 = 90;

/// A foreign CA with less than this left signs nothing more.
const FOREIGN_CA_DAYS_LEFT_MIN: i64 = 31;

/// Common prefix of the name of every CA issued here; the full name of those of an early version.
const NAME: &str = "relaybox local CA";

/// A certificate and the key that signs with it.
pub(super) struct Authority {
    pub(super) pem: String,
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) not_after: OffsetDateTime,
}

/// The CA of a directory, issued if there is none. One that was issued here and is no longer usable is reissued with
/// the same key and name, so that certificates it signed are still recognized; without its key, with a new one. It
/// keeps its name constraints.
///
/// # Errors
/// A message that names the file.
pub(super) fn authority(
    files: &Files,
    names: &[String],
    now_s: i64,
) -> Result<Authority, CertificateError> {
    let (ca, ca_key) = (exists(&files.ca)?, exists(&files.ca_key)?);
    if !ca {
        let key = match ca_key {
            // Left by a start that was interrupted between the two files.
            true => read_key_pair(&files.ca_key)?,
            false => make_key(&files.ca_key)?,
        };
        let made = make(files, key, names, now_s)?;
        // Otherwise this is the first start.
        if !ca_key && exists(&files.certificate)? {
            log_reissue(files, "it is gone, and its key");
        }
        return Ok(made);
    }
    let chain = material::certificates(&files.ca)?;
    let parsed = x509(&chain[0]).ok_or_else(|| unreadable_certificate(&files.ca))?;
    let is_own = is_own(&parsed);
    // Other servers on this folder, or the next start, may still use the old names.
    let all_names = constraints::extended(&parsed, names);
    if !ca_key {
        if !is_own {
            return Err(alone(&files.ca, &files.ca_key));
        }
        let made = make(files, make_key(&files.ca_key)?, &all_names, now_s)?;
        log_reissue(files, "its key is gone, so it has another one now");
        return Ok(made);
    }
    let key = read_key_pair(&files.ca_key)?;
    let end_s = parsed.validity().not_after.timestamp();
    if is_own {
        let is_its_key = parsed.public_key().raw == key.subject_public_key_info();
        let why = match is_its_key {
            false => Some("ca-key.pem holds the key of another"),
            true => flaw(&parsed, now_s).or_else(|| {
                (!constraints::permit(&parsed, names))
                    .then_some("it was bound to other names than --host has now")
            }),
        };
        if let Some(why) = why {
            let made = make(files, key, &all_names, now_s)?;
            log_reissue(files, why);
            return Ok(made);
        }
    } else if end_s - now_s < FOREIGN_CA_DAYS_LEFT_MIN * DAY_S {
        return Err(CertificateError::AtEnd {
            ca: files.ca.clone(),
        });
    }
    let issuer = Issuer::from_ca_cert_der(&chain[0], key)
        .map_err(|_| broken(&files.ca, "holds a certificate that cannot sign"))?;
    Ok(Authority {
        pem: material::certificates_text(&files.ca)?,
        issuer,
        not_after: timestamp(end_s)?,
    })
}

/// Whether the CA files present allow a certificate to be signed.
///
/// # Errors
/// A message that names the file.
pub(super) fn can_sign(files: &Files) -> Result<(), CertificateError> {
    let ca_key = exists(&files.ca_key)?;
    if exists(&files.ca)? {
        let chain = material::certificates(&files.ca)?;
        if !ca_key && !is_made_here(&chain[0]) {
            return Err(alone(&files.ca, &files.ca_key));
        }
    }
    match ca_key {
        true => read_key_pair(&files.ca_key).map(|_| ()),
        false => Ok(()),
    }
}

fn log_reissue(files: &Files, why: &str) {
    let ca = files.ca.display();
    tracing::error!(%ca, "the CA was made anew, since {why}: clients must trust the new ca.pem");
}

/// Why a CA issued here is unusable at this time, whatever it has to sign. `None` also for a foreign one.
pub(super) fn flaw_now(ca: &CertificateDer<'_>, now_s: i64) -> Option<&'static str> {
    let ca = x509(ca)?;
    flaw(&ca, now_s).filter(|_| is_own(&ca))
}

/// When a CA issued here is due for reissue, in seconds since the Unix epoch.
pub(super) fn near_end_s(ca: &CertificateDer<'_>) -> Option<i64> {
    let ca = x509(ca)?;
    let end_s = ca.validity().not_after.timestamp();
    is_own(&ca).then_some(end_s - CA_DAYS_LEFT_MIN * DAY_S)
}

fn flaw(ca: &X509Certificate<'_>, now_s: i64) -> Option<&'static str> {
    let (begin_s, end_s) = (
        ca.validity().not_before.timestamp(),
        ca.validity().not_after.timestamp(),
    );
    if end_s - now_s < CA_DAYS_LEFT_MIN * DAY_S {
        return Some("it was near its end or beyond");
    }
    // A clock that cannot be right proves nothing here: a machine that boots without one has it set later.
    (now_s >= EARLIEST_S && begin_s > now_s).then_some("a clock that was ahead had made it")
}

/// Whether relaybox issued this CA.
pub(super) fn is_made_here(ca: &CertificateDer<'_>) -> bool {
    x509(ca).is_some_and(|ca| is_own(&ca))
}

fn is_own(ca: &X509Certificate<'_>) -> bool {
    let name = name(&ca.public_key().subject_public_key.data);
    let mut names = ca.subject().iter_common_name();
    names.any(|found| {
        found
            .as_str()
            .is_ok_and(|found| found == name || found == NAME)
    })
}

/// Some clients mix up two CAs of the same name.
fn name(public_key: &[u8]) -> String {
    let mark = public_key.iter().skip(1).take(4);
    let mark: String = mark.map(|byte| format!("{byte:02x}")).collect();
    format!("{NAME} {mark}")
}

fn make_key(file: &Path) -> Result<KeyPair, CertificateError> {
    let key = new_key()?;
    write_whole(file, &key.serialize_pem(), 0o600)?;
    Ok(key)
}

/// Issues and writes the CA's certificate for its key.
fn make(
    files: &Files,
    key: KeyPair,
    names: &[String],
    now_s: i64,
) -> Result<Authority, CertificateError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, name(key.public_key_raw()));
    params.serial_number = Some(new_serial_number()?);
    params.not_before = timestamp(EARLIEST_S)?;
    params.not_after = timestamp(now_s.max(EARLIEST_S) + CA_DAYS * DAY_S)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Clients that trust the CA accept its key for the names of this server alone, and only as a server.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.name_constraints = Some(constraints::permitting(names));
    let pem = params.self_signed(&key).map_err(unsigned)?.pem();
    write_whole(&files.ca, &pem, 0o644)?;
    Ok(Authority {
        pem,
        not_after: params.not_after,
        issuer: Issuer::new(params, key),
    })
}

pub(super) fn timestamp(seconds: i64) -> Result<OffsetDateTime, CertificateError> {
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|_| CertificateError::Issue("the clock is out of range"))
}

pub(super) fn new_key() -> Result<KeyPair, CertificateError> {
    KeyPair::generate().map_err(|_| CertificateError::Issue("no key can be generated"))
}

/// Unique within one CA (RFC 5280, 4.1.2.2): Firefox refuses a renewed certificate with the serial number of the old
/// one.
pub(super) fn new_serial_number() -> Result<SerialNumber, CertificateError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| CertificateError::Issue("there are no random numbers"))?;
    Ok(SerialNumber::from(bytes.to_vec()))
}

pub(super) fn unsigned(_: rcgen::Error) -> CertificateError {
    CertificateError::Issue("it cannot be signed with the key")
}

pub(super) fn read_key_pair(file: &Path) -> Result<KeyPair, CertificateError> {
    let key = material::key(file)?;
    KeyPair::try_from(&key).map_err(|_| material::unusable_key(file, &key))
}

/// Whether a file holds a key of the kind generated here.
pub(super) fn is_key_as_made(file: &Path) -> bool {
    read_key_pair(file).is_ok_and(|key| key.is_compatible(&PKCS_ECDSA_P256_SHA256))
}
