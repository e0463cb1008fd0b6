//! Issues the server's certificate, signed by the local CA.
//!
//! Never overwrites a private key.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use super::authority::{authority, new_key, new_serial_number, read_key_pair, timestamp, unsigned};
use super::certificate::Certificate;
use super::certificate_error::CertificateError;
use super::files::{Files, exists, make_dir, write_whole};
use super::x509::DAY_S;

/// Backdating of a certificate: for clients whose clock is behind, and in case the server's own is ahead.
const LEAF_DAYS_BEFORE: i64 = 30;

/// Together with the backdating, less than the 398 days beyond which clients refuse a certificate.
const LEAF_DAYS: i64 = 365;

/// Names common to all certificates issued here.
pub(super) const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Issues a certificate, creating its key and the CA as needed. In place of an `old` one it has the same key, so that
/// replacing one file suffices, and its names as well: servers that share the folder do not remove each other's.
pub(super) fn issue(
    files: &Files,
    old: Option<&Certificate>,
    hosts: &[String],
    now_s: i64,
) -> Result<(), CertificateError> {
    make_dir(&files.dir)?;
    // A renewal never makes a key. A first start may have been interrupted between key and certificate.
    let has_key = old.is_some() || exists(&files.key)?;
    let key = match has_key {
        true => read_key_pair(&files.key)?,
        false => new_key()?,
    };
    let mut hosts = hosts.to_vec();
    if let Some(old) = old {
        let addresses = old.addresses.iter().map(ToString::to_string);
        let names = old.dns_names.iter().cloned().chain(addresses);
        hosts.extend(
            names.filter(|name| host_is_valid(name) && !LOCAL_NAMES.contains(&name.as_str())),
        );
    }
    let chain = certify(files, &key, &hosts, now_s)?;
    if !has_key {
        write_whole(&files.key, &key.serialize_pem(), 0o600)?;
    }
    write_whole(&files.certificate, &chain, 0o644)?;
    let certificate = files.certificate.display();
    match old {
        Some(_) => tracing::info!(%certificate, "made the certificate anew"),
        None => tracing::info!(
            %certificate, ca = %files.ca.display(),
            "made a certificate; clients that trust the CA accept it"
        ),
    }
    Ok(())
}

/// A certificate for this key, followed by its CA's, in PEM.
fn certify(
    files: &Files,
    key: &KeyPair,
    hosts: &[String],
    now_s: i64,
) -> Result<String, CertificateError> {
    let names = names(hosts)?;
    let mut params = leaf_params(hosts, names.clone(), now_s)?;
    let ca = authority(files, &names, now_s)?;
    params.not_after = params.not_after.min(ca.not_after);
    let leaf = params.signed_by(key, &ca.issuer).map_err(unsigned)?;
    Ok(leaf.pem() + &ca.pem)
}

/// All subject alternative names of a certificate.
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
    // RFC 5280, A.1: a common name has at most 64 characters; clients check the alternative names anyway.
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

/// A DNS name (RFC 1123, 2.1), optionally with one leading `*`, or an IP address.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::super::material;
    use super::*;

    #[test]
    fn a_renewal_without_its_key_fails_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::of(dir.path());
        let now_s = 1_800_000_000;
        issue(&files, None, &[], now_s).unwrap();
        let chain = material::certificates(&files.certificate).unwrap();
        let old = Certificate::parse(&files.certificate, &chain[0]).unwrap();
        let before = fs::read(&files.certificate).unwrap();
        fs::remove_file(&files.key).unwrap();
        issue(&files, Some(&old), &[], now_s + LEAF_DAYS * DAY_S).unwrap_err();
        assert!(!exists(&files.key).unwrap());
        assert_eq!(fs::read(&files.certificate).unwrap(), before);
    }
}
