//! Whether clients can trust a certificate: its issuer, algorithms and usage, and which certificate
//! is presented.

use super::super::facts::{Facts, Port, WithTls};
use super::super::finding::{Check, Findings, Report};
use super::dates::{DAY_S, date};
use crate::config::Config;
use crate::net::inspect::{Certificate, Gap, Inspected, Key, Pair, gap};
use crate::net::{CertificateError, EARLIEST_S, REPLACE_CA};

/// Remaining days below which a CA of other origin signs nothing more, so that the next certificate
/// cannot be made.
const AUTHORITY_LEFT_DAYS_MIN: i64 = 31;
/// Remaining days below which a CA made by relaybox is replaced; for one of other origin, this
/// leaves time to announce its successor.
const AUTHORITY_LEFT_DAYS_DUE: i64 = 90;
/// Smallest RSA key that clients accept, in bits.
const RSA_BITS_MIN: usize = 2048;

pub(super) fn judge(config: &Config, facts: &Facts, tls: &WithTls, out: &mut Findings) {
    let found = &tls.certificates;
    if let Some(leaf) = found.chain.first() {
        chain(found, leaf, out);
        uses(found, leaf, out);
    }
    served(facts, tls, out);
    authority(config, facts, tls, out);
}

fn chain(found: &Inspected, leaf: &Certificate, out: &mut Findings) {
    let out = &mut out.on(Check::CertificateChain);
    let (certificate, ca) = (found.certificate.display(), found.ca.display());
    if found.is_made_here {
        out.ok(format!(
            "relaybox's own CA has signed the certificate: clients must trust {ca}"
        ));
        return;
    }
    if leaf.is_self_signed {
        out.warning(format!(
            "the certificate is self-signed: only clients that were told to trust {certificate} \
             accept it"
        ));
        return;
    }
    if let Some(gap) = gap(&found.chain) {
        let says = format!("{certificate} {gap}");
        return match gap {
            Gap::Unsigned { .. } => out.problem(says),
            Gap::NoIntermediate { .. } => out.warning(says),
        };
    }
    let root = found.chain.last().map_or("", |last| &last.issuer);
    let length = found.chain.len();
    out.ok(format!(
        "{length} certificates lead to {root}, which clients must know"
    ));
}

fn uses(found: &Inspected, leaf: &Certificate, out: &mut Findings) {
    let out = &mut out.on(Check::CertificateUse);
    for (at, one) in found.chain.iter().enumerate() {
        // The signature of a root is not verified.
        let counts = at == 0 || !one.is_self_signed;
        if let Some(algorithm) = one.refused_signature.as_ref().filter(|_| counts) {
            out.problem(format!(
                "the certificate of {} is signed by {algorithm}, and clients refuse that: have it \
                 issued anew",
                name_of(one)
            ));
        }
        match one.key {
            Key::Rsa(bits) if bits < RSA_BITS_MIN => out.problem(format!(
                "the key of {} has {bits} bits, and clients refuse RSA keys of less than \
                 {RSA_BITS_MIN}",
                name_of(one)
            )),
            Key::Other => out.problem(format!(
                "the key of {} is of a kind that TLS does not know: take ECDSA (P-256) or RSA",
                name_of(one)
            )),
            _ => {}
        }
    }
    let unusual = match leaf.key {
        Key::Ed25519 => Some("Ed25519"),
        Key::EcdsaP521 => Some("ECDSA on P-521"),
        _ => None,
    };
    if let Some(kind) = unusual {
        out.warning(format!(
            "the key is {kind}, which browsers do not take: have a certificate issued for ECDSA \
             (P-256) or RSA"
        ));
    }
    if !leaf.is_for_servers {
        out.problem(
            "the certificate is not for servers (extended key usage), and clients refuse it: have \
             one issued for TLS servers",
        );
    }
    if leaf.is_authority {
        out.warning(
            "the certificate is that of a CA, which many clients refuse for a server: sign one \
             with it that is not",
        );
    }
    if out.is_empty() {
        let kind = match leaf.key {
            Key::Rsa(bits) => format!("RSA of {bits} bits"),
            _ => "ECDSA".to_owned(),
        };
        out.ok(format!(
            "key ({kind}) and signature are such as clients take"
        ));
    }
}

/// Subject or names of a certificate; some have names only.
fn name_of(certificate: &Certificate) -> &str {
    if !certificate.subject.is_empty() {
        return &certificate.subject;
    }
    let name = certificate.dns_names.first();
    name.map_or("the server", String::as_str)
}

fn served(facts: &Facts, tls: &WithTls, out: &mut Findings) {
    let Port::Shows(shown) = &tls.port else {
        return;
    };
    let out = &mut out.on(Check::CertificateServed);
    let end = date(shown.not_after_s);
    let in_file = tls.certificates.chain.first();
    if in_file.is_some_and(|leaf| leaf.der == shown.der) {
        out.ok("the running server shows the certificate that is in the file");
    } else if shown.not_after_s <= facts.now_s() {
        out.problem(format!(
            "the running server shows another certificate than that in the file, one that expired \
             on {end}: its log says why the file is not taken"
        ));
    } else {
        out.warning(format!(
            "the running server shows another certificate than that in the file, one until {end}: \
             it takes a good one within seconds, and else its log says why not"
        ));
    }
}

fn authority(config: &Config, facts: &Facts, tls: &WithTls, out: &mut Findings) {
    let found = &tls.certificates;
    let signs = found.is_made_here || matches!(found.pair, Pair::Absent);
    let Some(ca) = found.authority.as_ref().filter(|_| signs) else {
        return;
    };
    let out = &mut out.on(Check::CertificateAuthority);
    let left_days = ca.not_after_s.saturating_sub(facts.now_s()) / DAY_S;
    let (file, end) = (found.ca.display(), date(ca.not_after_s));
    let is_early = ca.not_before_s > facts.now_s();
    let says = match is_early {
        true => format!("{file} is good from {} on only", date(ca.not_before_s)),
        false => format!("{file} ends on {end}"),
    };
    // With a clock that cannot be right, nothing is renewed for being too early.
    let is_told_by_clock = facts.now_s() >= EARLIEST_S;
    // A running server replaces it within seconds.
    let due_days = AUTHORITY_LEFT_DAYS_DUE - i64::from(facts.server_runs());
    if found.is_authority_made_here && (is_early && is_told_by_clock || left_days < due_days) {
        match facts.server_runs() {
            true => out.problem(format!(
                "{says}, and the running server could not make it anew: its log says why"
            )),
            false => renewal(&says, tls, out),
        }
        return;
    }
    if is_early {
        let advice = match is_told_by_clock {
            true => format!(" If so, {REPLACE_CA}"),
            false => String::new(),
        };
        out.problem(format!(
            "{says}, and clients that look at that refuse what it has signed: is this machine's \
             clock right?{advice}"
        ));
    } else if found.is_authority_made_here && !found.permits(&config.host) {
        let says = format!("{file} is bound to other names than --host has");
        renewal(&says, tls, out);
    } else if left_days < AUTHORITY_LEFT_DAYS_MIN {
        let ca = found.ca.clone();
        out.problem(CertificateError::AtEnd { ca }.to_string());
    } else if !found.is_authority_made_here && left_days < AUTHORITY_LEFT_DAYS_DUE {
        out.warning(format!("{says}: {REPLACE_CA}"));
    } else if !ca.is_constrained {
        out.warning(format!(
            "{file} may sign for any name, so that its key is worth as much as every name to \
                 those who trust it: {REPLACE_CA}"
        ));
    } else if !tls.certificates_writable {
        out.warning(format!(
            "a new certificate cannot be written beside {file} when the present one ends: let the \
             server write there"
        ));
    } else {
        out.ok(format!("{file} is good until {end}"));
    }
}

/// A CA made by relaybox that must be replaced: the next start does so, if it can write.
fn renewal(says: &str, tls: &WithTls, out: &mut Report) {
    match tls.certificates_writable {
        true => out.warning(format!(
            "{says}, and is made anew at the next start: clients must trust the new ca.pem"
        )),
        false => out.problem(format!(
            "{says}, and cannot be made anew: let the server write there"
        )),
    }
}
