//! The server's certificate: `cert.pem` and `key.pem` in one directory, read and judged.
//!
//! Never changes a file that relaybox has not made. Invariant: what is returned can be served, that is, the key
//! belongs to the first certificate.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::certificate_error::{CertificateError, broken, unreadable};
use super::{constraints, issue, pem};

/// A certificate that relaybox made is made anew this long before its end; one of other origin is warned of.
const RENEW_BEFORE_END_S: i64 = 30 * DAY_S;

const DAY_S: i64 = 24 * 3600;

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

/// A certificate that can be served.
pub(super) struct Usable {
    pub(super) certified: CertifiedKey,
    /// Whether its file was written just now.
    pub(super) is_new: bool,
    /// When it has to be looked at again, whatever becomes of its files: to be made anew, or to be warned of.
    /// Seconds since the Unix epoch.
    pub(super) look_at_s: i64,
}

/// Sees to it that `dir` holds a certificate, and reads it.
///
/// Where both files are missing, a local CA and a certificate for `localhost`, the loopback addresses and `hosts` are
/// made. One that was made here is made anew when it ends within 30 days, lacks one of `hosts`, or was made by a clock
/// that was ahead; so is its CA where that may not sign for all of `hosts`. Files of other origin are only read.
///
/// # Errors
/// A sentence that names the file.
pub(super) fn ensure(
    dir: &Path,
    hosts: &[String],
    provider: &CryptoProvider,
    now_s: i64,
) -> Result<Usable, CertificateError> {
    let files = Files::of(dir);
    let mut is_new = false;
    if !pair_exists(&files.certificate, &files.key)? {
        issue::make(&files, hosts, now_s)?;
        is_new = true;
    }
    let mut certified = load(&files, provider)?;
    let mut leaf = Leaf::parse(&files.certificate, &certified.cert[0])?;
    let is_ours = made_here(&files, &certified.cert);
    let was_made_ahead = is_ours && made_ahead(&leaf, &certified.cert, now_s);
    if was_made_ahead {
        tracing::warn!(
            file = %files.certificate.display(),
            "a clock that was ahead had made the certificate, which is not valid yet: it is made anew"
        );
    }
    let is_near_end = leaf.not_after_s - now_s <= RENEW_BEFORE_END_S;
    if is_ours && (is_near_end || was_made_ahead || !leaf.names_all(hosts)) {
        issue::renew(&files, hosts, now_s)?;
        is_new = true;
        certified = load(&files, provider)?;
        leaf = Leaf::parse(&files.certificate, &certified.cert[0])?;
    }
    leaf.warn_of_dates(&files.certificate, now_s);
    if is_ours && certified.cert.get(1).is_some_and(is_unconstrained) {
        tracing::info!(
            ca = %files.ca.display(),
            "the CA is of an earlier version and may sign for any name: to have one made that is bound to this \
             server's, remove it, ca-key.pem, cert.pem and key.pem, start again, and have clients trust the new one"
        );
    }
    let near_end_s = leaf.not_after_s.saturating_sub(RENEW_BEFORE_END_S);
    let look_at_s = near_end_s.max(now_s.saturating_add(DAY_S));
    Ok(Usable {
        certified,
        is_new,
        look_at_s,
    })
}

/// As [`ensure`], for a server that runs with the certificate of `dir`: where its files have gone, nothing is made in
/// their place, since that is a slip, or a moment of their exchange.
///
/// # Errors
/// A sentence that names the file.
pub(super) fn ensure_again(
    dir: &Path,
    hosts: &[String],
    provider: &CryptoProvider,
    now_s: i64,
) -> Result<Usable, CertificateError> {
    let Files {
        certificate, key, ..
    } = Files::of(dir);
    if !pair_exists(&certificate, &key)? {
        return Err(CertificateError::Gone { certificate, key });
    }
    ensure(dir, hosts, provider, now_s)
}

/// Whether both files are there; an error if only one is.
pub(super) fn pair_exists(first: &Path, second: &Path) -> Result<bool, CertificateError> {
    let alone = |present: &Path, missing: &Path| CertificateError::Alone {
        present: present.to_owned(),
        missing: missing.to_owned(),
    };
    match (exists(first)?, exists(second)?) {
        (true, true) => Ok(true),
        (false, false) => Ok(false),
        (true, false) => Err(alone(first, second)),
        (false, true) => Err(alone(second, first)),
    }
}

fn exists(file: &Path) -> Result<bool, CertificateError> {
    file.try_exists().map_err(|error| unreadable(file, error))
}

pub(super) fn load(
    files: &Files,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertificateError> {
    let chain = pem::certificates(&files.certificate)?;
    let key = pem::key(&files.key)?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| unusable_key(&files.key))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(TlsError::InconsistentKeys(_)) => Err(CertificateError::Mismatch {
            key: files.key.clone(),
            certificate: files.certificate.clone(),
        }),
        Err(_) => Err(unreadable_certificate(&files.certificate)),
    }
}

/// It was read, and is none that TLS can sign with.
pub(super) fn unusable_key(file: &Path) -> CertificateError {
    let flaw = "holds a key that cannot be used: it must be a whole one of RSA (from 2048 bits), ECDSA or Ed25519";
    broken(file, flaw)
}

/// What it holds is no X.509.
pub(super) fn unreadable_certificate(file: &Path) -> CertificateError {
    broken(file, "holds a certificate that cannot be read")
}

/// Whether the certificate was made by the CA beside it, whose key is there to make the next. That CA may have been
/// made anew since.
pub(super) fn made_here(files: &Files, chain: &[CertificateDer<'static>]) -> bool {
    match (
        pem::certificates(&files.ca),
        files.ca_key.try_exists(),
        chain,
    ) {
        (Ok(ca), Ok(true), [_, issuer]) => ca.first().is_some_and(|ca| is_same_ca(ca, issuer)),
        _ => false,
    }
}

/// Whether two certificates are of one name and key.
fn is_same_ca(one: &CertificateDer<'_>, other: &CertificateDer<'_>) -> bool {
    let parsed = [one, other].map(|der| X509Certificate::from_der(der));
    match parsed {
        [Ok((_, one)), Ok((_, other))] => {
            one.subject().as_raw() == other.subject().as_raw()
                && one.public_key().raw == other.public_key().raw
        }
        _ => false,
    }
}

/// Whether a CA is bound to no names.
fn is_unconstrained(ca: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(ca).is_ok_and(|(_, ca)| !constraints::are_in(&ca))
}

/// Whether a certificate made here, or its CA, was made by a clock that was ahead. A clock that cannot be right says
/// nothing of that: who starts without one has it set later.
fn made_ahead(leaf: &Leaf, chain: &[CertificateDer<'static>], now_s: i64) -> bool {
    let leaf_is = now_s >= issue::EARLIEST_S && leaf.not_before_s > now_s;
    leaf_is || chain.iter().skip(1).any(|ca| issue::made_ahead(ca, now_s))
}

/// What decides whether a certificate still serves.
pub(super) struct Leaf {
    pub(super) not_before_s: i64,
    pub(super) not_after_s: i64,
    pub(super) dns_names: Vec<String>,
    pub(super) addresses: Vec<IpAddr>,
}

impl Leaf {
    pub(super) fn parse(file: &Path, der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|_| unreadable_certificate(file))?;
        let mut leaf = Self {
            not_before_s: certificate.validity().not_before.timestamp(),
            not_after_s: certificate.validity().not_after.timestamp(),
            dns_names: Vec::new(),
            addresses: Vec::new(),
        };
        let names = certificate.subject_alternative_name().ok().flatten();
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => leaf.dns_names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => leaf.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        Ok(leaf)
    }

    fn names_all(&self, hosts: &[String]) -> bool {
        hosts.iter().all(|host| match host.parse::<IpAddr>() {
            Ok(address) => self.addresses.contains(&address),
            Err(_) => self
                .dns_names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(host)),
        })
    }

    fn warn_of_dates(&self, file: &Path, now_s: i64) {
        let file = file.display();
        let days_left = (self.not_after_s - now_s) / DAY_S;
        if self.not_after_s <= now_s {
            tracing::warn!(%file, "the certificate has expired: clients will refuse it");
        } else if self.not_before_s > now_s {
            tracing::warn!(%file, "the certificate is not valid yet: clients will refuse it");
        } else if self.not_after_s - now_s < RENEW_BEFORE_END_S {
            tracing::warn!(%file, days_left, "the certificate ends soon");
        }
    }
}

/// Whether clients take a name of a certificate, which may be a wildcard, for this host (RFC 9525, 6.3).
pub(super) fn covers(name: &str, host: &str) -> bool {
    let whole = name.eq_ignore_ascii_case(host);
    let below = host.split_once('.').zip(name.strip_prefix("*."));
    whole || below.is_some_and(|((_, rest), parent)| parent.eq_ignore_ascii_case(rest))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
