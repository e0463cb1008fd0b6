//! Makes a local certificate authority and certificates signed by it.
//!
//! Never overwrites a private key. Invariants: key files are readable by their owner alone from the moment they exist,
//! and a file is either whole or absent.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use aws_lc_rs::rand;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::certificate_error::{CertificateError, broken};
use super::certificates::{Files, Leaf, pair_exists, unusable_key};
use super::{constraints, pem};

const DAY_S: i64 = 24 * 3600;

/// 2025-01-01, in seconds since the Unix epoch: no clock that is right shows less. A CA made here is good from then
/// on, so that none begins in the future, however far ahead the clock was.
pub(super) const EARLIEST_S: i64 = 1_735_689_600;

/// Ten years: who trusts the CA does so once.
const CA_DAYS: i64 = 3650;

/// A CA with less than this left signs nothing more.
const CA_DAYS_LEFT_MIN: i64 = 31;

/// It is good from so long before its making: for clients whose clock is behind, and should this one be ahead.
const LEAF_DAYS_BEFORE: i64 = 30;

/// With the days before its making, less than the 398 days beyond which clients refuse a certificate.
const LEAF_DAYS: i64 = 365;

/// Names that every certificate made here has.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Makes a key and a certificate, and the CA where there is none yet.
pub(super) fn make(files: &Files, hosts: &[String], now_s: i64) -> Result<(), CertificateError> {
    make_dir(&files.dir).map_err(|error| unwritable(&files.dir, error))?;
    let key = new_key()?;
    let chain = certify(files, &key, hosts, now_s)?;
    write_whole(&files.key, key.serialize_pem().as_bytes(), 0o600)?;
    write_whole(&files.certificate, chain.as_bytes(), 0o644)?;
    tracing::info!(
        certificate = %files.certificate.display(), ca = %files.ca.display(),
        "made a certificate; clients that trust the CA accept it"
    );
    Ok(())
}

/// Makes the certificate anew for the same key, so that replacing one file does it.
pub(super) fn renew(files: &Files, hosts: &[String], now_s: i64) -> Result<(), CertificateError> {
    let key = read_key_pair(&files.key)?;
    let chain = certify(files, &key, hosts, now_s)?;
    write_whole(&files.certificate, chain.as_bytes(), 0o644)?;
    tracing::info!(certificate = %files.certificate.display(), "made the certificate anew");
    Ok(())
}

/// The certificate of a key and its CA's, in PEM.
fn certify(
    files: &Files,
    key: &KeyPair,
    hosts: &[String],
    now_s: i64,
) -> Result<String, CertificateError> {
    let names = names(hosts)?;
    let mut params = leaf_params(hosts, names.clone(), now_s)?;
    let (ca_pem, issuer, ca_end) = authority(files, &names, now_s)?;
    params.not_after = params.not_after.min(ca_end);
    let leaf = params.signed_by(key, &issuer).map_err(unsigned)?;
    Ok(leaf.pem() + &ca_pem)
}

/// All names of a certificate.
fn names(hosts: &[String]) -> Result<Vec<String>, CertificateError> {
    let mut names: Vec<String> = LOCAL_NAMES.map(str::to_owned).into();
    for host in hosts {
        if !host_is_valid(host) {
            return Err(CertificateError::Host(host.clone()));
        }
        if !names.iter().any(|name| name.eq_ignore_ascii_case(host)) {
            names.push(host.clone());
        }
    }
    Ok(names)
}

fn leaf_params(
    hosts: &[String],
    names: Vec<String>,
    now_s: i64,
) -> Result<CertificateParams, CertificateError> {
    let common_name = hosts.first().map_or("localhost", String::as_str);
    let mut params = CertificateParams::new(names)
        .map_err(|_| CertificateError::Issue("one of its names cannot stand in it"))?;
    params.distinguished_name = DistinguishedName::new();
    // RFC 5280, A.1: a common name has at most 64 characters; clients look at the alternative names anyway.
    if common_name.len() <= 64 {
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
    }
    params.serial_number = Some(new_serial_number()?);
    params.not_before = timestamp(now_s - LEAF_DAYS_BEFORE * DAY_S)?;
    params.not_after = timestamp(now_s + LEAF_DAYS * DAY_S)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// A DNS name (RFC 1123, 2.1), also with one `*` in front, or an IP address.
fn host_is_valid(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let label_is_valid = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.parse::<std::net::IpAddr>().is_ok()
        || (name.len() <= 253 && name.split('.').all(label_is_valid))
}

/// A CA's certificate in PEM, what signs with it, and its end.
type Authority = (String, Issuer<'static, KeyPair>, OffsetDateTime);

/// The CA of the directory, made if there is none. One [that a clock made which was ahead](made_ahead), or that may not
/// sign for all these names, is made anew for the same key and name, so that what it has signed is known to be its own.
fn authority(files: &Files, names: &[String], now_s: i64) -> Result<Authority, CertificateError> {
    if !pair_exists(&files.ca, &files.ca_key)? {
        let made = make_authority(new_key()?, names, now_s)?;
        let key = made.1.key().serialize_pem();
        write_whole(&files.ca_key, key.as_bytes(), 0o600)?;
        write_whole(&files.ca, made.0.as_bytes(), 0o644)?;
        return Ok(made);
    }
    let chain = pem::certificates(&files.ca)?;
    if let [ca] = chain.as_slice()
        && let Some(why) = must_be_made_anew(ca, names, now_s)
    {
        let made = make_authority(read_key_pair(&files.ca_key)?, names, now_s)?;
        write_whole(&files.ca, made.0.as_bytes(), 0o644)?;
        tracing::warn!(ca = %files.ca.display(), "the CA was made anew with the same key: {why}");
        return Ok(made);
    }
    let end_s = Leaf::parse(&files.ca, &chain[0])?.not_after_s;
    if end_s - now_s < CA_DAYS_LEFT_MIN * DAY_S {
        return Err(broken(
            &files.ca,
            "is at its end: remove it and ca-key.pem to have a new one made",
        ));
    }
    let key = read_key_pair(&files.ca_key)?;
    let issuer = Issuer::from_ca_cert_der(&chain[0], key)
        .map_err(|_| broken(&files.ca, "holds a certificate that cannot sign"))?;
    Ok((pem::text(&files.ca)?, issuer, timestamp(end_s)?))
}

/// Why a CA that was made here cannot go on, and what follows.
fn must_be_made_anew(
    ca: &CertificateDer<'_>,
    names: &[String],
    now_s: i64,
) -> Option<&'static str> {
    if made_ahead(ca, now_s) {
        return Some(
            "a clock that was ahead had made it, and clients that look at the dates of what they trust must trust it \
             anew",
        );
    }
    let (_, ca) = X509Certificate::from_der(ca).ok()?;
    (is_own(&ca) && !constraints::permit(&ca, names)).then_some(
        "it was bound to other names than --host has now, and every client must trust the new ca.pem: until then it \
         refuses this server",
    )
}

/// Whether a CA was made here.
fn is_own(ca: &X509Certificate<'_>) -> bool {
    let name = authority_name(&ca.public_key().subject_public_key.data);
    let mut names = ca.subject().iter_common_name();
    names.any(|found| found.as_str().is_ok_and(|found| found == name))
}

/// Whether a CA was made here, by a clock that was ahead: by the present one it is not good yet. A clock that cannot
/// be right says nothing of that.
pub(super) fn made_ahead(ca: &CertificateDer<'_>, now_s: i64) -> bool {
    let Ok((_, ca)) = X509Certificate::from_der(ca) else {
        return false;
    };
    is_own(&ca) && now_s >= EARLIEST_S && ca.validity().not_before.timestamp() > now_s
}

/// Some clients mix up two CAs of the same name.
fn authority_name(public_key: &[u8]) -> String {
    let mark = public_key.iter().skip(1).take(4);
    let mark: String = mark.map(|byte| format!("{byte:02x}")).collect();
    format!("relaybox local CA {mark}")
}

fn make_authority(
    key: KeyPair,
    names: &[String],
    now_s: i64,
) -> Result<Authority, CertificateError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, authority_name(key.public_key_raw()));
    params.serial_number = Some(new_serial_number()?);
    params.not_before = timestamp(EARLIEST_S)?;
    params.not_after = timestamp(now_s.max(EARLIEST_S) + CA_DAYS * DAY_S)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Who trusts it believes its key nothing but the names of this server, and only as a server.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.name_constraints = Some(constraints::permitting(names));
    let pem = params.self_signed(&key).map_err(unsigned)?.pem();
    let end = params.not_after;
    Ok((pem, Issuer::new(params, key), end))
}

fn timestamp(seconds: i64) -> Result<OffsetDateTime, CertificateError> {
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|_| CertificateError::Issue("the clock is out of range"))
}

fn new_key() -> Result<KeyPair, CertificateError> {
    KeyPair::generate().map_err(|_| CertificateError::Issue("no key can be generated"))
}

/// Never twice the same of one CA (RFC 5280, 4.1.2.2): Firefox refuses a certificate made anew that has the old one's.
fn new_serial_number() -> Result<SerialNumber, CertificateError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| CertificateError::Issue("there are no random numbers"))?;
    Ok(SerialNumber::from(bytes.to_vec()))
}

fn unsigned(_: rcgen::Error) -> CertificateError {
    CertificateError::Issue("it cannot be signed with the key")
}

fn read_key_pair(file: &Path) -> Result<KeyPair, CertificateError> {
    KeyPair::try_from(&pem::key(file)?).map_err(|_| unusable_key(file))
}

/// One that is made is open to everybody, whatever the umask says: clients of this machine look up
/// the CA there.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(0o755))
}

/// Writes beside the file and renames, so that a crash leaves the old one or the new one.
fn write_whole(file: &Path, content: &[u8], mode: u32) -> Result<(), CertificateError> {
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
        out.write_all(content)?;
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
