//! Findings about the issuer, algorithms and usage of a certificate.

use super::certificates::{leaf, made_here};
use super::*;

#[test]
fn trust_and_use_are_judged() {
    use Check::{CertificateChain, CertificateUse};
    use State::{Ok, Problem, Warning};
    hold(&[
        (
            "",
            |_| {},
            (CertificateChain, Ok, "2 certificates lead to CN=Root"),
        ),
        (
            "",
            made_here,
            (CertificateChain, Ok, "clients must trust certs/ca.pem"),
        ),
        (
            "",
            |f| leaf(f).is_self_signed = true,
            (CertificateChain, Warning, "self-signed"),
        ),
        (
            "",
            |f| {
                leaf(f).is_signed_by_next = None;
                tls(f).certificates.chain.truncate(1);
            },
            (CertificateChain, Warning, "do not know CN=Intermediate"),
        ),
        (
            "",
            |f| leaf(f).is_signed_by_next = Some(false),
            (
                CertificateChain,
                Problem,
                "certs/cert.pem holds as number 1 a certificate that is not signed by the one behind",
            ),
        ),
        (
            "",
            |f| leaf(f).refused_signature = Some("sha1WithRSAEncryption".to_owned()),
            (
                CertificateUse,
                Problem,
                "CN=chat.example is signed by sha1WithRSAEncryption",
            ),
        ),
        (
            "",
            |f| {
                tls(f).certificates.chain[1].is_self_signed = true;
                tls(f).certificates.chain[1].refused_signature = Some("sha1".to_owned());
            },
            (CertificateUse, Ok, "ECDSA"),
        ),
        (
            "",
            |f| leaf(f).key = Key::Rsa(2048),
            (CertificateUse, Ok, "RSA of 2048 bits"),
        ),
        (
            "",
            |f| tls(f).certificates.chain[1].key = Key::Rsa(1024),
            (CertificateUse, Problem, "CN=Intermediate has 1024 bits"),
        ),
        (
            "",
            |f| {
                leaf(f).subject.clear();
                leaf(f).key = Key::Other;
            },
            (
                CertificateUse,
                Problem,
                "the key of chat.example is of a kind",
            ),
        ),
        (
            "",
            |f| leaf(f).key = Key::Ed25519,
            (CertificateUse, Warning, "Ed25519, which browsers"),
        ),
        (
            "",
            |f| leaf(f).key = Key::EcdsaP521,
            (CertificateUse, Warning, "P-521"),
        ),
        (
            "",
            |f| leaf(f).is_for_servers = false,
            (CertificateUse, Problem, "not for servers"),
        ),
        (
            "",
            |f| leaf(f).is_authority = true,
            (CertificateUse, Warning, "that of a CA"),
        ),
    ]);
}
