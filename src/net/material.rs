//! The certificates or keys in a file, or a diagnosis of a file without usable ones.
//!
//! Never reveals contents, only their kind.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::certificate_error::{CertificateError, broken};
use super::pem::{self, Block};
use super::x509::x509;

/// Kind of a file's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Certificate,
    /// As `openssl x509 -trustout` writes it.
    TrustedCertificate,
    Request,
    Pkcs7,
    Pkcs12,
    Key,
    EncryptedKey,
    OpenSshKey,
    PublicKey,
    /// Parameters and lists that accompany keys and certificates.
    Harmless,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Certificate,
    Key,
}

/// All certificates of a file, at least one, in its order.
///
/// # Errors
/// A message that names the file and its actual contents.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    all(file, Wanted::Certificate)
}

/// The private keys of a file, at least one.
///
/// # Errors
/// As [`certificates`].
pub(super) fn keys(file: &Path) -> Result<Vec<PrivateKeyDer<'static>>, CertificateError> {
    all(file, Wanted::Key)
}

/// The first private key of a file.
///
/// # Errors
/// As [`certificates`].
pub(super) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    keys(file).map(|mut keys| keys.swap_remove(0))
}

/// The certificates of a file as PEM, without anything else.
///
/// # Errors
/// As [`certificates`].
pub(super) fn certificates_text(file: &Path) -> Result<String, CertificateError> {
    let blocks = blocks(&pem::read(file)?, file)?;
    let certificates = blocks
        .iter()
        .filter(|block| kind(block) == Kind::Certificate);
    Ok(certificates
        .map(|block| block.text("CERTIFICATE"))
        .collect())
}

/// Descriptions of the unused parts of a file, for messages.
pub(super) fn unused(file: &Path) -> Vec<&'static str> {
    let bytes = pem::read(file).unwrap_or_default();
    let blocks = pem::blocks(&bytes).unwrap_or_default();
    let name = |block| match kind(block) {
        Kind::Request => Some("a request for a certificate"),
        Kind::Pkcs7 => Some("PKCS#7"),
        Kind::OpenSshKey => Some("a key of OpenSSH"),
        Kind::Unknown => Some("a block of a kind that is not known here"),
        _ => None,
    };
    blocks.iter().filter_map(name).collect()
}

fn all<T: PemObject>(file: &Path, wanted: Wanted) -> Result<Vec<T>, CertificateError> {
    let bytes = pem::read(file)?;
    let blocks = match der_kind(&bytes) {
        None => blocks(&bytes, file)?,
        Some(kind) => return Err(unfit(file, wanted, kind, true)),
    };
    // Skipping one would leave a gap in the chain.
    let (fit, needs_help) = match wanted {
        Wanted::Certificate => (Kind::Certificate, Kind::TrustedCertificate),
        Wanted::Key => (Kind::Key, Kind::EncryptedKey),
    };
    let mut found = Vec::new();
    for block in &blocks {
        let kind = kind(block);
        if kind == needs_help {
            return Err(unfit(file, wanted, kind, false));
        }
        if kind == fit {
            let label = match wanted {
                Wanted::Certificate => "CERTIFICATE",
                Wanted::Key => &block.label,
            };
            found.push(block.decode(label).map_err(|flaw| broken(file, flaw))?);
        }
    }
    if found.is_empty() {
        let kinds = blocks.iter().map(kind);
        let kind = kinds.min_by_key(|kind| matches!(kind, Kind::Harmless | Kind::Unknown));
        return Err(unfit(file, wanted, kind.unwrap_or(Kind::Unknown), false));
    }
    Ok(found)
}

fn blocks(bytes: &[u8], file: &Path) -> Result<Vec<Block>, CertificateError> {
    pem::blocks(bytes).map_err(|flaw| broken(file, flaw))
}

fn kind(block: &Block) -> Kind {
    match block.label.as_str() {
        "CERTIFICATE" | "X509 CERTIFICATE" | "X.509 CERTIFICATE" => Kind::Certificate,
        "TRUSTED CERTIFICATE" => Kind::TrustedCertificate,
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Kind::Request,
        "PKCS7" | "CMS" | "PKCS #7 SIGNED DATA" => Kind::Pkcs7,
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" if !block.is_encrypted => Kind::Key,
        "ENCRYPTED PRIVATE KEY" => Kind::EncryptedKey,
        label if label.ends_with("PRIVATE KEY") && block.is_encrypted => Kind::EncryptedKey,
        "OPENSSH PRIVATE KEY" => Kind::OpenSshKey,
        "PUBLIC KEY" | "RSA PUBLIC KEY" => Kind::PublicKey,
        "EC PARAMETERS" | "DH PARAMETERS" | "DSA PARAMETERS" | "X509 CRL" => Kind::Harmless,
        _ => Kind::Unknown,
    }
}

/// Kind of a file that is DER instead of PEM.
fn der_kind(bytes: &[u8]) -> Option<Kind> {
    if x509(bytes).is_some() {
        return Some(Kind::Certificate);
    }
    if X509CertificationRequest::from_der(bytes).is_ok() {
        return Some(Kind::Request);
    }
    // A sequence (X.690, 8.9): its first elements tell the remaining kinds apart.
    let (0x30, rest) = bytes.split_first().map(|(tag, rest)| (*tag, rest))? else {
        return None;
    };
    let length = match rest.first()? {
        long @ 0x80.. => usize::from(long & 0x7f) + 1,
        _ => 1,
    };
    match rest.get(length..)? {
        [2, 1, 3, 0x30, ..] => Some(Kind::Pkcs12),
        // PKCS#8, PKCS#1, SEC 1.
        [2, 1, 0 | 1, 0x30 | 2 | 4, ..] => Some(Kind::Key),
        [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2, ..] => Some(Kind::Pkcs7),
        // Its algorithm identifier is one of PKCS#5 or PKCS#12.
        [
            0x30,
            _,
            6,
            _,
            0x2a,
            0x86,
            0x48,
            0x86,
            0xf7,
            0x0d,
            1,
            5 | 12,
            ..,
        ] => Some(Kind::EncryptedKey),
        _ => None,
    }
}

/// A message that names the file's actual contents and the command that converts them.
fn unfit(file: &Path, wanted: Wanted, kind: Kind, is_der: bool) -> CertificateError {
    let name = quoted(file);
    // The file keeps its owner and mode: root may run this for a service that is not root.
    let into_place = |command: &str| {
        format!("{command} -out {name}.new && cat {name}.new > {name} && rm {name}.new")
    };
    let inform = if is_der { " -inform DER" } else { "" };
    let openssl = |tool: &str, options: &str| {
        into_place(&format!("openssl {tool}{inform} -in {name}{options}"))
    };
    let (holds, advice) = match (wanted, kind) {
        (Wanted::Certificate, Kind::Certificate) => (
            "holds a certificate in DER, not in PEM",
            openssl("x509", ""),
        ),
        (Wanted::Certificate, Kind::TrustedCertificate) => (
            "holds a certificate with trust settings of OpenSSL (TRUSTED CERTIFICATE)",
            // Every certificate: x509 reads only the first.
            into_place(&format!(
                "openssl crl2pkcs7 -nocrl -certfile {name} | openssl pkcs7 -print_certs"
            )),
        ),
        (Wanted::Certificate, Kind::Pkcs7) => (
            "holds certificates in PKCS#7, not in PEM",
            openssl("pkcs7", " -print_certs"),
        ),
        (Wanted::Certificate, Kind::Pkcs12) => (
            "holds PKCS#12, not PEM",
            into_place(&format!("openssl pkcs12 -in {name} -nokeys")),
        ),
        (Wanted::Key, Kind::Pkcs12) => (
            "holds PKCS#12, not PEM",
            into_place(&format!("openssl pkcs12 -in {name} -nocerts -nodes")),
        ),
        (Wanted::Key, Kind::EncryptedKey) => (
            "holds a private key that is encrypted with a passphrase, which nobody can type in at a start",
            openssl("pkey", ""),
        ),
        (Wanted::Key, Kind::Key) => (
            "holds a private key in DER, not in PEM",
            openssl("pkey", ""),
        ),
        (Wanted::Key, Kind::OpenSshKey) => (
            "holds no private key for TLS, but one of OpenSSH",
            format!("ssh-keygen -p -m PKCS8 -f {name}"),
        ),
        (Wanted::Certificate, kind) => {
            return broken(
                file,
                match kind {
                    Kind::Request => {
                        "holds no certificate, but a request for one: put there what the CA has sent back for it (openssl req \
                 shows whom it is for)"
                    }
                    Kind::Key | Kind::EncryptedKey | Kind::OpenSshKey => {
                        "holds no certificate, but a private key"
                    }
                    Kind::PublicKey => "holds no certificate, but a public key",
                    _ => "holds no certificate",
                },
            );
        }
        (Wanted::Key, kind) => {
            return broken(
                file,
                match kind {
                    Kind::Certificate | Kind::TrustedCertificate | Kind::Pkcs7 => {
                        "holds no private key, but a certificate"
                    }
                    Kind::Request => "holds no private key, but a request for a certificate",
                    Kind::PublicKey => {
                        "holds no private key, but a public one: the private one is in another file"
                    }
                    _ => "holds no private key",
                },
            );
        }
    };
    CertificateError::Unfit {
        file: file.to_owned(),
        holds,
        advice,
    }
}

/// Quoted for a shell.
fn quoted(file: &Path) -> String {
    let name = file.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,@:".contains(&byte);
    match name.bytes().all(is_plain) {
        true => name,
        false => format!("'{}'", name.replace('\'', "'\\''")),
    }
}

/// The error for a private key that TLS cannot sign with.
pub(super) fn unusable_key(file: &Path, key: &PrivateKeyDer<'_>) -> CertificateError {
    const ADVICE: &str = "it must be a whole one of RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) or Ed25519. \
                          This makes one, for which the certificate has to be issued anew: openssl genpkey \
                          -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out";
    CertificateError::Unfit {
        file: file.to_owned(),
        holds: key_kind(key),
        advice: format!("{ADVICE} {}", quoted(file)),
    }
}

/// The kind of an unusable key, as far as it can be told.
fn key_kind(key: &PrivateKeyDer<'_>) -> &'static str {
    let der = key.secret_der();
    let has = |oid: &[u8]| der.windows(oid.len()).any(|window| window == oid);
    const EC: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    const CURVES: [&[u8]; 3] = [
        &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
        &[6, 5, 0x2b, 0x81, 4, 0, 0x22],
        &[6, 5, 0x2b, 0x81, 4, 0, 0x23],
    ];
    let is_rsa = has(&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1])
        || matches!(key, PrivateKeyDer::Pkcs1(_)) && der.starts_with(&[0x30, 0x82]);
    // A key of 2048 bits has about 1,190 bytes, one of 8192 about 4,680.
    if is_rsa && der.len() < 1000 {
        return "holds a key that cannot be used, RSA of less than 2048 bits";
    }
    if is_rsa && der.len() > 4800 {
        return "holds a key that cannot be used, RSA of more than 8192 bits";
    }
    if has(&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10]) {
        return "holds a key that cannot be used, RSA-PSS";
    }
    if has(&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1]) {
        return "holds a key that cannot be used, DSA";
    }
    let of_edwards = |last| has(&[0x30, 5, 6, 3, 0x2b, 0x65, last]);
    if of_edwards(113) {
        return "holds a key that cannot be used, Ed448";
    }
    if of_edwards(110) || of_edwards(111) {
        return "holds a key that cannot be used, for key exchange alone (X25519 or X448)";
    }
    let is_ec = has(EC) || matches!(key, PrivateKeyDer::Sec1(_)) && has(&[6, 5, 0x2b]);
    if is_ec && !CURVES.iter().any(|curve| has(curve)) {
        return "holds a key that cannot be used, ECDSA on a curve that TLS clients do not take";
    }
    "holds a key that cannot be used"
}
