//! A certificate and its key, read from their two files.
//!
//! Changes nothing. Invariant: what is returned can be served, that is, the key belongs to the first certificate.

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::certificate::ordered;
use super::certificate_error::CertificateError;
use super::files::Files;
use super::leaf::Leaf;
use super::material;

/// Reads what can be served: the certificate of the key comes first, and its issuers behind it, however they stand in
/// the file. Of several with a key the [best](fitness) one.
///
/// # Errors
/// A sentence that names the file.
pub(super) fn load(
    files: &Files,
    provider: &CryptoProvider,
    now_s: i64,
) -> Result<CertifiedKey, CertificateError> {
    let chain =
        material::certificates(&files.certificate).map_err(|error| swapped(files, error))?;
    let mut refused = None;
    let mut found = Vec::new();
    for key in material::keys(&files.key)? {
        let Ok(signer) = provider.key_provider.load_private_key(key.clone_key()) else {
            refused = refused.or(Some(key));
            continue;
        };
        let public = signer.public_key();
        let spki = public.as_ref().map(AsRef::<[u8]>::as_ref);
        for (at, der) in chain.iter().enumerate() {
            let Ok((_, one)) = X509Certificate::from_der(der) else {
                continue;
            };
            if spki.is_none_or(|spki| one.public_key().raw == spki) {
                found.push((fitness(&one, now_s), at, signer.clone()));
            }
        }
    }
    // Of equals the last counts here, and the first in the files.
    let best = found.into_iter().rev().max_by_key(|(fitness, ..)| *fitness);
    if let Some((_, at, signer)) = best {
        return Ok(CertifiedKey::new(ordered(chain, at), signer));
    }
    // What is wrong with the key, or with the certificate, keeps them from being a pair.
    if let Some(key) = refused {
        return Err(material::unusable_key(&files.key, &key));
    }
    Leaf::parse(&files.certificate, &chain[0])?;
    Err(CertificateError::Mismatch {
        key: files.key.clone(),
        certificate: files.certificate.clone(),
    })
}

/// How well a certificate serves, the greater the better: one of a server better than a CA's, one that is valid now better
/// than another, and of those the one with the later end.
fn fitness(certificate: &X509Certificate<'_>, now_s: i64) -> (bool, bool, i64) {
    let validity = certificate.validity();
    let end_s = validity.not_after.timestamp();
    let is_valid = validity.not_before.timestamp() <= now_s && now_s < end_s;
    (!certificate.is_ca(), is_valid, end_s)
}

/// What is wrong with the certificate's file, seen together with the key's.
fn swapped(files: &Files, error: CertificateError) -> CertificateError {
    let is_swapped = matches!(error, CertificateError::Broken { .. })
        && material::keys(&files.certificate).is_ok()
        && material::certificates(&files.key).is_ok();
    match is_swapped {
        true => CertificateError::Swapped {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
        },
        false => error,
    }
}
