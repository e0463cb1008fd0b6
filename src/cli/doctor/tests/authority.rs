//! Findings about the CA of a certificate made by relaybox.

use super::certificates::{made_and_running, made_here};
use super::*;

/// As [`made_here`], with a CA of other origin.
fn made_by_another_ca(facts: &mut Facts) {
    made_here(facts);
    tls(facts).certificates.is_authority_made_here = false;
}

fn ca(facts: &mut Facts) -> &mut Certificate {
    tls(facts).certificates.authority.as_mut().unwrap()
}

#[test]
fn the_ca_of_made_certificates_is_judged() {
    use Check::CertificateAuthority;
    use State::{Ok, Problem, Warning};
    hold(&[
        (
            "",
            made_here,
            (CertificateAuthority, Ok, "good until 2034-02-10"),
        ),
        (
            "",
            |f| {
                made_here(f);
                ca(f).not_before_s = NOW_S + DAY_S;
            },
            (
                CertificateAuthority,
                Warning,
                "on only, and is made anew at the next start: clients must",
            ),
        ),
        (
            "",
            |f| {
                made_and_running(f);
                ca(f).not_before_s = NOW_S + DAY_S;
            },
            (
                CertificateAuthority,
                Problem,
                "good from 2025-11-25 on only, and the running server could not",
            ),
        ),
        (
            "",
            |f| {
                made_by_another_ca(f);
                ca(f).not_before_s = NOW_S + DAY_S;
            },
            (
                CertificateAuthority,
                Problem,
                "is this machine's clock right? If so, move ca.pem",
            ),
        ),
        (
            "",
            |f| {
                made_here(f);
                ca(f).not_after_s = NOW_S + 89 * DAY_S;
            },
            (
                CertificateAuthority,
                Warning,
                "2026-02-21, and is made anew at the next start: clients must",
            ),
        ),
        (
            "",
            |f| {
                made_here(f);
                ca(f).not_after_s = NOW_S - DAY_S;
            },
            (
                CertificateAuthority,
                Warning,
                "is made anew at the next start: clients must",
            ),
        ),
        (
            "",
            |f| {
                made_here(f);
                tls(f).certificates_writable = false;
                ca(f).not_after_s = NOW_S;
            },
            (
                CertificateAuthority,
                Problem,
                "cannot be made anew: let the server write there",
            ),
        ),
        (
            "",
            |f| {
                made_and_running(f);
                ca(f).not_after_s = NOW_S + 88 * DAY_S;
            },
            (CertificateAuthority, Problem, "could not make it anew"),
        ),
        (
            "",
            |f| {
                made_and_running(f);
                ca(f).not_after_s = NOW_S + 89 * DAY_S;
            },
            (CertificateAuthority, Ok, "good until"),
        ),
        (
            "",
            |f| {
                made_by_another_ca(f);
                ca(f).not_after_s = NOW_S + 89 * DAY_S;
            },
            (
                CertificateAuthority,
                Warning,
                "have clients trust the new ca.pem",
            ),
        ),
        (
            "",
            |f| {
                made_by_another_ca(f);
                ca(f).not_after_s = NOW_S + 30 * DAY_S;
            },
            (
                CertificateAuthority,
                Problem,
                "signs nothing more: move ca.pem, ca-key.pem, cert.pem and key.pem",
            ),
        ),
        (
            "",
            |f| {
                made_here(f);
                ca(f).is_constrained = false;
            },
            (CertificateAuthority, Warning, "may sign for any name"),
        ),
        (
            "",
            |f| {
                made_here(f);
                tls(f).certificates_writable = false;
            },
            (CertificateAuthority, Warning, "cannot be written beside"),
        ),
    ]);
}

#[test]
fn by_a_clock_that_shows_less_than_2025_nothing_is_said_to_be_made_anew() {
    let mut facts = healthy();
    made_here(&mut facts);
    facts.now_us = 1_000_000;
    let findings = judge(&config(""), &facts).0;
    for check in [Check::CertificateDates, Check::CertificateAuthority] {
        let mut found = findings.iter().filter(|found| found.check == check);
        let one = found.next().unwrap();
        assert_eq!(one.state, State::Problem, "{one:?}");
        assert!(
            one.says.ends_with("is this machine's clock right?"),
            "{one:?}"
        );
        assert!(found.next().is_none());
    }
}

#[test]
fn the_manual_says_what_messages_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATING.md");
    let manual = std::fs::read_to_string(path).unwrap();
    let plain = manual.replace('`', "");
    let words: Vec<_> = plain.split_whitespace().collect();
    assert!(words.join(" ").contains(crate::net::REPLACE_CA));
}
