//! The contents of a certificate, and whether the next one in its file signed it.
//!
//! Judges only what needs a certificate library: signatures, and usability for TLS.

use std::net::IpAddr;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::oid_registry::{
    self as oid, OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_SIG_ED25519, Oid, OidRegistry,
};
use x509_parser::prelude::GeneralName;
use x509_parser::public_key::PublicKey;

use super::certificate_error::CertificateError;
use super::constraints;
use super::x509::{DAY_S, address, covers, near_end_s, unreadable_certificate, x509};

/// The parsed contents of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The whole certificate.
    pub der: Vec<u8>,
    /// Distinguished name of the subject.
    pub subject: String,
    /// Distinguished name of the issuer.
    pub issuer: String,
    /// Start of validity; seconds since the Unix epoch.
    pub not_before_s: i64,
    /// End of validity; seconds since the Unix epoch.
    pub not_after_s: i64,
    /// DNS names among its subject alternative names.
    pub dns_names: Vec<String>,
    /// IP addresses among its subject alternative names.
    pub addresses: Vec<IpAddr>,
    /// Whether it may sign other certificates.
    pub is_authority: bool,
    /// Whether it is signed with its own key.
    pub is_self_signed: bool,
    /// Whether it has name constraints (RFC 5280, 4.2.1.10).
    pub is_constrained: bool,
    /// Whether a TLS server may use it (RFC 5280, 4.2.1.12).
    pub is_for_servers: bool,
    /// Kind of its public key.
    pub key: Key,
    /// Name of its signature algorithm, if TLS clients refuse that.
    pub refused_signature: Option<String>,
    /// Whether the next certificate in the file signed it; `None` for the last one.
    pub is_signed_by_next: Option<bool>,
}

/// The kind of a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// RSA, with its size in bits.
    Rsa(usize),
    /// ECDSA on the curves P-256 and P-384.
    Ecdsa,
    /// ECDSA on P-521.
    EcdsaP521,
    /// Ed25519.
    Ed25519,
    /// Any other algorithm.
    Other,
}

/// Why clients may fail to build a path from a certificate to a trusted root; continues a sentence that begins with the
/// name of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// The file holds the server's certificate alone.
    #[error(
        "holds no intermediate certificate, and clients that do not know {issuer} refuse it: a public CA \
         gives a file with the chain (fullchain.pem)"
    )]
    NoIntermediate {
        /// Name of its issuer.
        issuer: String,
    },
    /// A certificate is not signed by the one that follows it.
    #[error(
        "holds as number {place} a certificate that is not signed by the one behind it: put behind each that \
         of its issuer ({issuer})"
    )]
    Unsigned {
        /// Its position in the file, from 1 on.
        place: usize,
        /// Name of its issuer.
        issuer: String,
    },
}

/// The first gap in a chain, if any.
pub fn gap(chain: &[Certificate]) -> Option<Gap> {
    let unsigned = |one: &&Certificate| one.is_signed_by_next == Some(false);
    if let Some((at, one)) = chain.iter().enumerate().find(|(_, one)| unsigned(one)) {
        return Some(Gap::Unsigned {
            place: at + 1,
            issuer: one.issuer.clone(),
        });
    }
    match chain {
        [leaf] if !leaf.is_self_signed => Some(Gap::NoIntermediate {
            issuer: leaf.issuer.clone(),
        }),
        _ => None,
    }
}

/// The chain of the certificate at this index: each certificate is followed by its issuer as far as that is present,
/// none appears twice, and unrelated ones come last.
pub(super) fn ordered(
    mut rest: Vec<CertificateDer<'static>>,
    leaf_at: usize,
) -> Vec<CertificateDer<'static>> {
    let mut chain = vec![rest.remove(leaf_at)];
    while let Some(last) = chain.last() {
        rest.retain(|one| !chain.contains(one));
        match rest.iter().position(|one| is_signed_by(last, one)) {
            Some(at) => chain.push(rest.remove(at)),
            None => break,
        }
    }
    chain.append(&mut rest);
    chain
}

/// All certificates up to the first unreadable one.
pub(super) fn parse_chain<D: AsRef<[u8]>>(file: &Path, chain: &[D]) -> Vec<Certificate> {
    let parsed = chain.iter().enumerate().map_while(|(at, der)| {
        let mut certificate = Certificate::parse(file, der.as_ref()).ok()?;
        let next = chain.get(at + 1);
        certificate.is_signed_by_next = next.map(|next| is_signed_by(der.as_ref(), next.as_ref()));
        Some(certificate)
    });
    parsed.collect()
}

impl Certificate {
    /// Parses one certificate; `file` is named in the error.
    ///
    /// # Errors
    /// It is not an X.509 certificate.
    pub fn parse(file: &Path, der: &[u8]) -> Result<Self, CertificateError> {
        let parsed = x509(der).ok_or_else(|| unreadable_certificate(file))?;
        let (mut dns_names, mut addresses) = (Vec::new(), Vec::new());
        let names = parsed.subject_alternative_name().ok().flatten();
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        let usage = parsed.extended_key_usage().ok().flatten();
        Ok(Self {
            der: der.to_vec(),
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            not_before_s: parsed.validity().not_before.timestamp(),
            not_after_s: parsed.validity().not_after.timestamp(),
            dns_names,
            addresses,
            is_authority: parsed.is_ca(),
            is_self_signed: is_signed_by(der, der),
            is_constrained: constraints::are_in(&parsed),
            is_for_servers: usage.is_none_or(|usage| usage.value.server_auth || usage.value.any),
            key: key(&parsed),
            refused_signature: refused_signature(&parsed),
            is_signed_by_next: None,
        })
    }

    /// Whether a client accepts it for this host name or address (RFC 9525, 6.3).
    pub fn covers(&self, host: &str) -> bool {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        self.dns_names.iter().any(|name| covers(name, host))
    }

    pub(super) fn names_all<S: AsRef<str>>(&self, hosts: &[S]) -> bool {
        let mut hosts = hosts.iter().map(AsRef::as_ref);
        hosts.all(|host| match host.parse::<IpAddr>() {
            Ok(address) => self.addresses.contains(&address),
            Err(_) => self
                .dns_names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(host)),
        })
    }

    /// Start of the time in which it is [near its end](near_end_s).
    pub(super) fn near_end_s(&self) -> i64 {
        near_end_s(self.not_before_s, self.not_after_s)
    }

    pub(super) fn warn_of_dates(&self, file: &Path, now_s: i64) {
        let file = file.display();
        let days_left = (self.not_after_s - now_s) / DAY_S;
        if self.not_after_s <= now_s {
            tracing::warn!(%file, "the certificate has expired: clients will refuse it");
        } else if self.not_before_s > now_s {
            tracing::warn!(%file, "the certificate is not valid yet: clients will refuse it");
        } else if now_s >= self.near_end_s() {
            tracing::warn!(%file, days_left, "the certificate ends soon");
        }
    }
}

/// Whether one certificate was signed by the key and under the name of another.
pub(super) fn is_signed_by(der: &[u8], by: &[u8]) -> bool {
    let (Some(signed), Some(signer)) = (x509(der), x509(by)) else {
        return false;
    };
    signed.issuer().as_raw() == signer.subject().as_raw()
        && match signed.verify_signature(Some(signer.public_key())) {
            Ok(()) => true,
            // A signature that cannot be verified here: matching names have to do.
            Err(error) => error == X509Error::SignatureUnsupportedAlgorithm,
        }
}

fn key(certificate: &X509Certificate<'_>) -> Key {
    let info = certificate.public_key();
    match info.parsed() {
        Ok(PublicKey::RSA(rsa)) => Key::Rsa(rsa.key_size()),
        Ok(PublicKey::EC(_)) if info.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY => {
            let parameters = info.algorithm.parameters.as_ref();
            match parameters.and_then(|curve| curve.as_oid().ok()) {
                Some(curve) if curve == OID_EC_P256 || curve == OID_NIST_EC_P384 => Key::Ecdsa,
                Some(curve) if curve == OID_NIST_EC_P521 => Key::EcdsaP521,
                _ => Key::Other,
            }
        }
        _ if info.algorithm.algorithm == OID_SIG_ED25519 => Key::Ed25519,
        _ => Key::Other,
    }
}

/// Everything outside what rustls, browsers and operating systems verify (MD5, SHA-1, SHA-224, DSA).
fn refused_signature(certificate: &X509Certificate<'_>) -> Option<String> {
    let verified = [
        oid::OID_PKCS1_SHA256WITHRSA,
        oid::OID_PKCS1_SHA384WITHRSA,
        oid::OID_PKCS1_SHA512WITHRSA,
        oid::OID_PKCS1_RSASSAPSS,
        oid::OID_SIG_ECDSA_WITH_SHA256,
        oid::OID_SIG_ECDSA_WITH_SHA384,
        oid::OID_SIG_ECDSA_WITH_SHA512,
        oid::OID_SIG_ED25519,
    ];
    let algorithm = &certificate.signature_algorithm.algorithm;
    (!verified.contains(algorithm)).then(|| name(algorithm))
}

fn name(algorithm: &Oid<'_>) -> String {
    let registry = OidRegistry::default().with_crypto();
    let known = registry.get(algorithm).map(|entry| entry.sn().to_owned());
    known.unwrap_or_else(|| algorithm.to_id_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn for_names(names: &[&str]) -> Certificate {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Certificate::parse(Path::new("cert.pem"), made.cert.der()).unwrap()
    }

    #[test]
    fn names_count_as_clients_count_them() {
        let certificate = for_names(&["chat.example", "*.example.org", "192.0.2.7", "2001:db8::1"]);
        for host in [
            "chat.example",
            "CHAT.Example",
            "a.example.org",
            "A.EXAMPLE.ORG",
            "*.example.org",
            "192.0.2.7",
            "2001:db8:0::1",
        ] {
            assert!(certificate.covers(host), "{host}");
        }
        for host in [
            "example.org",
            "a.b.example.org",
            "a.chat.example",
            "example",
            "192.0.2.8",
            "localhost",
            "",
        ] {
            assert!(!certificate.covers(host), "{host}");
        }
    }

    #[test]
    fn a_certificate_is_told_from_one_that_its_issuer_did_not_sign() {
        let (one, other) = (for_names(&["localhost"]), for_names(&["localhost"]));
        assert_eq!(one.issuer, other.subject);
        let (one, other) = (one.der, other.der);
        assert!(is_signed_by(&one, &one));
        assert!(!is_signed_by(&one, &other));
        let chain = parse_chain(Path::new("cert.pem"), &[&one, &other]);
        assert_eq!(chain[0].is_signed_by_next, Some(false));
        assert_eq!(chain[1].is_signed_by_next, None);
        assert!(chain[0].is_self_signed && chain[0].is_for_servers);
        assert_eq!(chain[0].key, Key::Ecdsa);
        assert_eq!(chain[0].refused_signature, None);
    }
}
