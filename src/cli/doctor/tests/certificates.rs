//! Findings about certificates.

use std::path::PathBuf;

use super::*;
use crate::net::CertificateError;

pub(super) fn leaf(facts: &mut Facts) -> &mut Certificate {
    &mut tls(facts).certificates.chain[0]
}

/// The server is down, with a certificate made by relaybox.
pub(super) fn made_here(facts: &mut Facts) {
    facts.server = ServerStatus::None;
    tls(facts).port = Port::Free;
    let ca = Certificate {
        is_self_signed: true,
        not_after_s: NOW_S + 3000 * DAY_S,
        not_before_s: NOW_S,
        ..intermediate()
    };
    tls(facts).certificates.is_made_here = true;
    tls(facts).certificates.authority = Some(ca.clone());
    tls(facts).certificates.is_authority_made_here = true;
    tls(facts).certificates.chain[1] = ca;
}

/// As [`made_here`], with the CA's key removed.
fn lost_its_ca(facts: &mut Facts) {
    made_here(facts);
    tls(facts).certificates.is_made_here = false;
    tls(facts).certificates.has_lost_its_ca = true;
}

/// As [`made_here`], with the server running.
pub(super) fn made_and_running(facts: &mut Facts) {
    let server = healthy();
    made_here(facts);
    facts.server = server.server;
    tls(facts).port = server.tls.unwrap().port;
}

fn shown(facts: &mut Facts, left_days: i64) {
    tls(facts).port = Port::Shows(Box::new(Certificate {
        der: vec![9],
        not_after_s: NOW_S + left_days * DAY_S,
        ..certificate()
    }));
}

fn ends_in(facts: &mut Facts, days: i64) {
    leaf(facts).not_after_s = NOW_S + days * DAY_S;
}

/// Valid from `begin_days` to `end_days` after now.
fn good(facts: &mut Facts, begin_days: i64, end_days: i64) {
    leaf(facts).not_before_s = NOW_S + begin_days * DAY_S;
    ends_in(facts, end_days);
}

#[test]
fn files_keys_and_names_are_judged() {
    use Check::{CertificateDates, CertificateFiles, CertificateKey, CertificateNames, KeyRights};
    use State::{Ok, Problem, Warning};
    fn nothing_there(facts: &mut Facts) {
        tls(facts).certificates.pair = Pair::Absent;
        tls(facts).certificates.chain.clear();
        tls(facts).certificates.key_modes.clear();
        facts.server = ServerStatus::None;
        tls(facts).port = Port::Free;
    }
    fn local(facts: &mut Facts) {
        leaf(facts).dns_names = vec!["localhost".to_owned()];
        leaf(facts).addresses = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    }
    const HOSTS: &str = "host = ['chat.example', 'b.example']";
    hold(&[
        (
            "",
            |f| tls(f).certificates.pair = Pair::Unusable(CertificateError::Host("x".to_owned())),
            (CertificateFiles, Problem, "no server starts: the host"),
        ),
        (
            "",
            |f| {
                tls(f).certificates.pair = Pair::Unusable(CertificateError::Mismatch {
                    key: PathBuf::from("k"),
                    certificate: PathBuf::from("c"),
                });
            },
            (
                CertificateKey,
                Problem,
                "k is not the key of the certificate in c",
            ),
        ),
        (
            "host = ['chat.example']",
            nothing_there,
            (CertificateFiles, Ok, "the first start makes it"),
        ),
        ("", nothing_there, (CertificateNames, Warning, "--host")),
        (
            "host = ['chat.example']",
            |f| {
                nothing_there(f);
                tls(f).certificates_writable = false;
            },
            (CertificateFiles, Problem, "cannot be made"),
        ),
        (
            "host = ['chat.example']",
            |f| {
                nothing_there(f);
                f.server = ServerStatus::Running {
                    process: None,
                    domains: 1,
                    not_writable: None,
                };
                tls(f).port = Port::Answers;
            },
            (CertificateFiles, Warning, "are gone"),
        ),
        (
            "",
            |f| tls(f).certificates.notes = vec!["k holds PKCS#7, too".to_owned()],
            (CertificateFiles, Warning, "k holds PKCS#7, too"),
        ),
        (
            "",
            |f| tls(f).certificates.key_modes[0].1 = 0o644,
            (KeyRights, Warning, "certs/key.pem (mode 0644): chmod 600"),
        ),
        (
            "host = ['chat.example']",
            |_| {},
            (CertificateNames, Ok, "for chat.example"),
        ),
        (
            HOSTS,
            |_| {},
            (CertificateNames, Problem, "not for b.example (--host)"),
        ),
        (
            HOSTS,
            made_here,
            (CertificateNames, Ok, "made anew at the next start"),
        ),
        (
            "",
            |f| {
                lost_its_ca(f);
                ends_in(f, -1);
            },
            (CertificateDates, Ok, "and is made anew at the next start"),
        ),
        (
            "",
            |f| {
                lost_its_ca(f);
                good(f, -300, 20);
            },
            (CertificateDates, Warning, "in 20 days: another CA makes"),
        ),
        (
            HOSTS,
            made_and_running,
            (CertificateNames, Warning, "start the server again"),
        ),
        (
            "",
            |f| leaf(f).dns_names.clear(),
            (CertificateNames, Problem, "names no host"),
        ),
        (
            "",
            |f| leaf(f).dns_names = (1..=7).map(|n| format!("{n}.example")).collect(),
            (CertificateNames, Ok, "5.example and 2 more"),
        ),
        (
            "",
            local,
            (
                CertificateNames,
                Warning,
                "have one issued for the server's name",
            ),
        ),
        (
            "",
            |f| {
                made_here(f);
                local(f);
            },
            (CertificateNames, Warning, "with --host"),
        ),
        (
            "listen = '127.0.0.1:1'\nplain = '127.0.0.1:2'",
            local,
            (CertificateNames, Ok, "for localhost, 127.0.0.1, ::1"),
        ),
    ]);
}

#[test]
fn dates_are_judged() {
    use Check::{CertificateDates, CertificateServed};
    use State::{Ok, Problem, Warning};
    hold(&[
        (
            "",
            |f| good(f, -60, 31),
            (CertificateDates, Ok, "until 2025-12-25"),
        ),
        (
            "",
            |f| good(f, -62, 30),
            (CertificateDates, Warning, "in 30 days: renew it"),
        ),
        // For short lifetimes, a third.
        (
            "",
            |f| good(f, -3, 3),
            (CertificateDates, Ok, "until 2025-11-27"),
        ),
        (
            "",
            |f| good(f, -4, 2),
            (CertificateDates, Warning, "in 2 days: renew it"),
        ),
        (
            "",
            |f| good(f, -29, 16),
            (CertificateDates, Ok, "until 2025-12-10"),
        ),
        (
            "",
            |f| good(f, -30, 15),
            (CertificateDates, Warning, "in 15 days: renew it"),
        ),
        (
            "",
            |f| ends_in(f, 0),
            (CertificateDates, Problem, "expired on 2025-11-24"),
        ),
        (
            "",
            |f| leaf(f).not_before_s = NOW_S + 1,
            (CertificateDates, Problem, "good from 2025-11-24 on only"),
        ),
        (
            "",
            |f| {
                made_here(f);
                leaf(f).not_before_s = NOW_S + DAY_S;
            },
            (CertificateDates, Ok, "made anew at the next start"),
        ),
        (
            "",
            |f| {
                made_and_running(f);
                leaf(f).not_before_s = NOW_S + DAY_S;
            },
            (CertificateDates, Problem, "not make it anew (its log says)"),
        ),
        (
            "",
            |f| tls(f).certificates.chain[1].not_before_s = NOW_S + DAY_S,
            (
                CertificateDates,
                Problem,
                "its issuer (CN=Intermediate) is good from 2025-11-25 on only",
            ),
        ),
        (
            "",
            |f| tls(f).certificates.chain[1].not_after_s = NOW_S,
            (
                CertificateDates,
                Problem,
                "its issuer (CN=Intermediate) expired",
            ),
        ),
        (
            "",
            |f| ends_in(f, 800),
            (CertificateDates, Warning, "good for 830 days"),
        ),
        (
            "",
            |f| {
                made_here(f);
                ends_in(f, -1);
            },
            (CertificateDates, Ok, "made anew at the next start"),
        ),
        (
            "",
            |f| {
                made_and_running(f);
                good(f, -300, 29);
            },
            (CertificateDates, Warning, "could not make it anew"),
        ),
        (
            "",
            |f| {
                made_and_running(f);
                ends_in(f, 0);
            },
            (CertificateDates, Problem, "could not make it anew"),
        ),
        (
            "",
            |f| shown(f, 5),
            (CertificateServed, Warning, "one until 2025-11-29"),
        ),
        (
            "",
            |f| shown(f, -5),
            (CertificateServed, Problem, "expired on 2025-11-19"),
        ),
    ]);
}

#[test]
fn a_made_certificate_that_cannot_be_made_anew_is_a_problem() {
    let mut facts = healthy();
    made_here(&mut facts);
    ends_in(&mut facts, 3);
    tls(&mut facts).certificates_writable = false;
    let text = judge(&config(""), &facts).text();
    assert!(text.contains("problem  certificate-dates: "), "{text}");
    assert!(
        text.contains("cannot be made anew: let the server write there"),
        "{text}"
    );
}
