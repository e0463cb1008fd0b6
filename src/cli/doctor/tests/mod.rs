//! Every finding, from made-up facts.

#![allow(clippy::unwrap_used)]

mod authority;
mod certificates;
mod data;
mod hosts;
mod surroundings;
mod trust;

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use super::facts::{
    Address, Directory, Disk, Facts, Host, Kind, OpenFiles, Port, Rights, ServerStatus, WithTls,
};
use super::finding::{Check, Finding, State};
use super::judge::judge;
use crate::config::{self, Config, Env, FileText};
use crate::model::{self, MsgId};
use crate::net::inspect::{Certificate, Inspected, Key, Pair};
use crate::store::Survey;

const NOW_S: i64 = 1_764_000_000;
const DAY_S: i64 = 24 * 3600;
const GIB: u64 = 1 << 30;

/// A leaf signed by a public CA, with 60 days left.
fn certificate() -> Certificate {
    Certificate {
        der: vec![1],
        subject: "CN=chat.example".to_owned(),
        issuer: "CN=Intermediate".to_owned(),
        not_before_s: NOW_S - 30 * DAY_S,
        not_after_s: NOW_S + 60 * DAY_S,
        dns_names: vec!["chat.example".to_owned()],
        addresses: Vec::new(),
        is_authority: false,
        is_self_signed: false,
        is_constrained: true,
        is_for_servers: true,
        key: Key::Ecdsa,
        refused_signature: None,
        is_signed_by_next: Some(true),
    }
}

fn intermediate() -> Certificate {
    Certificate {
        der: vec![2],
        subject: "CN=Intermediate".to_owned(),
        issuer: "CN=Root".to_owned(),
        not_after_s: NOW_S + 600 * DAY_S,
        dns_names: Vec::new(),
        is_authority: true,
        is_signed_by_next: None,
        ..certificate()
    }
}

/// A running server in perfect order.
fn healthy() -> Facts {
    Facts {
        warnings: Vec::new(),
        now_us: NOW_S as u64 * 1_000_000,
        is_synchronised: true,
        server: ServerStatus::Running {
            process: Some(42),
            domains: 2,
            not_writable: None,
        },
        hosts: Vec::new(),
        tls: Some(with_tls()),
        plain: None,
        metrics: None,
        open_files: OpenFiles {
            limit: Some(100_000),
            connections: 51_000,
            of_server: true,
        },
        file_bytes: None,
        data: Directory::There(rights()),
        disk: Some(disk()),
        store: Ok(Some(store())),
    }
}

fn with_tls() -> WithTls {
    WithTls {
        port: Port::Shows(Box::new(certificate())),
        certificates: Inspected {
            certificate: PathBuf::from("certs/cert.pem"),
            key: PathBuf::from("certs/key.pem"),
            ca: PathBuf::from("certs/ca.pem"),
            pair: Pair::Usable,
            is_made_here: false,
            has_lost_its_ca: false,
            chain: vec![certificate(), intermediate()],
            authority: None,
            is_authority_made_here: false,
            key_modes: vec![(PathBuf::from("certs/key.pem"), 0o640)],
            notes: Vec::new(),
        },
        certificates_writable: true,
    }
}

fn tls(facts: &mut Facts) -> &mut WithTls {
    facts.tls.as_mut().unwrap()
}

fn rights() -> Rights {
    Rights {
        mode: 0o700,
        owner: 998,
        user: 998,
        foreign: None,
        written: Ok(()),
    }
}

fn disk() -> Disk {
    Disk {
        kind: Kind::Disk,
        total_bytes: 100 * GIB,
        free_bytes: 50 * GIB,
        total_files: 1_000_000,
        free_files: 900_000,
    }
}

fn store() -> Survey {
    let day_us = DAY_S as u64 * 1_000_000;
    let now_us = NOW_S as u64 * 1_000_000;
    Survey {
        bytes: 10 * GIB,
        oldest: MsgId(now_us - 100 * day_us),
        newest: MsgId(now_us - 1),
        has_domains: Some(true),
        clock_hold: None,
        retention: model::Retention {
            all: Some(Duration::from_secs(30 * DAY_S as u64)),
            ..model::Retention::default()
        },
    }
}

/// Settings parsed from the text of a settings file.
fn config(text: &str) -> Config {
    let file = FileText {
        path: PathBuf::from("relaybox.toml"),
        text: text.to_owned(),
    };
    let loaded = config::resolve(&[].into(), &Env::new(), Some(&file), None);
    loaded.unwrap().config
}

/// A case: settings, changes to the facts, and the expected finding.
type Case = (&'static str, fn(&mut Facts), (Check, State, &'static str));

/// Asserts that the findings are exactly those expected, apart from `Ok`.
fn hold(cases: &[Case]) {
    for (settings, change, (check, state, words)) in cases {
        let mut facts = healthy();
        change(&mut facts);
        let findings = judge(&config(settings), &facts).0;
        let fits = |finding: &&Finding| finding.check == *check && finding.says.contains(words);
        let found = findings.iter().find(fits);
        let told = found.map(|finding| finding.state);
        assert_eq!(told, Some(*state), "{check:?} {words:?} in {findings:#?}");
        let mut others = findings.iter().filter(|other| Some(*other) != found);
        assert!(
            others.all(|other| other.state == State::Ok),
            "more than {check:?} {words:?}: {findings:#?}"
        );
    }
}

#[test]
fn a_healthy_server_is_told_so_by_every_check() {
    let findings = judge(&config(""), &healthy());
    assert_eq!(findings.summary(), "0 problems, 0 warnings");
    let text = findings.text();
    assert!(
        text.lines().all(|line| line.starts_with("ok       ")),
        "{text}"
    );
    let needs_more = [
        Check::PlainPort,
        Check::MetricsPort,
        Check::HostAddresses,
        Check::CertificateAuthority,
    ];
    for check in Check::ALL {
        let told = findings
            .0
            .iter()
            .filter(|found| found.check == *check)
            .count();
        let expected = usize::from(!needs_more.contains(check));
        assert_eq!(told, expected, "{check:?}");
    }
}

#[test]
fn without_tls_nothing_is_said_of_it() {
    let mut facts = healthy();
    facts.tls = None;
    facts.plain = Some(Port::Answers);
    for (plain, summary) in [
        ("127.0.0.1:80", "0 problems, 0 warnings"),
        ("0.0.0.0:80", "0 problems, 1 warning"),
    ] {
        let config = config(&format!("listen = 'off'\nplain = '{plain}'"));
        let findings = judge(&config, &facts);
        assert_eq!(findings.summary(), summary, "{findings:?}");
        let text = findings.text();
        for name in ["port", "listen", "certificate", "key-rights"] {
            assert!(!text.contains(&format!(" {name}")), "{name} in {text}");
        }
        let reads = format!("the running server answers on {plain}");
        assert!(text.contains(&reads), "{text}");
    }
}

#[test]
fn before_the_first_start_nothing_is_wrong() {
    let mut facts = healthy();
    facts.server = ServerStatus::None;
    tls(&mut facts).port = Port::Free;
    tls(&mut facts).certificates.pair = Pair::Absent;
    tls(&mut facts).certificates.chain.clear();
    tls(&mut facts).certificates.key_modes.clear();
    facts.data = Directory::Absent { can_be_made: true };
    facts.store = Ok(None);
    let findings = judge(&config("host = ['chat.example']"), &facts);
    assert_eq!(findings.summary(), "0 problems, 0 warnings", "{findings:?}");
    let text = findings.text();
    assert!(text.contains("makes `demo` and prints its token"), "{text}");
}

#[test]
fn no_token_is_told_and_nothing_moves_the_cursor() {
    let mut facts = healthy();
    tls(&mut facts).certificates.chain[0].dns_names = vec!["\u{1b}[2Jchat.example".to_owned()];
    let findings = judge(&config("token = ['demo=very-secret']"), &facts);
    for told in [findings.text(), findings.json().to_string()] {
        assert!(
            !told.contains("very-secret") && !told.contains('\u{1b}'),
            "{told}"
        );
    }
}

fn manual() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATING.md");
    std::fs::read_to_string(path).unwrap()
}

/// The manual may omit lines, or cut them short.
#[test]
fn the_example_of_the_manual_is_what_it_prints() {
    let mut facts = healthy();
    let end_s = 1_773_187_200; // 2026-03-11
    facts.now_us = (end_s - 9 * DAY_S) as u64 * 1_000_000;
    facts.server = ServerStatus::Running {
        process: Some(1812),
        domains: 1,
        not_writable: None,
    };
    let leaf = &mut tls(&mut facts).certificates.chain[0];
    (leaf.not_before_s, leaf.not_after_s) = (end_s - 90 * DAY_S, end_s);
    leaf.dns_names = vec!["example.com".to_owned()];
    let findings = judge(&config("host = ['chat.example.com']"), &facts);
    let printed = format!("{}\nrelaybox: {}", findings.text(), findings.summary());
    let mut printed = printed.lines();

    let manual = manual();
    let examples: Vec<_> = manual.split("\n```text\n").skip(1).collect();
    assert_eq!(examples.len(), 1, "each example is held by a test");
    let (example, _) = examples[0].split_once("\n```\n").unwrap();
    let lines = example.lines().filter(|line| *line != "…");
    for line in lines.skip_while(|line| line.starts_with("$ relaybox doctor ")) {
        let begin = line.trim_end_matches('…');
        let is_printed = printed.any(|found| found.starts_with(begin));
        assert!(is_printed, "{line} in {}", findings.text());
    }
}

#[test]
fn every_check_is_in_the_manual() {
    let manual = manual();
    for check in Check::ALL {
        let row = format!("| `{}` |", check.name());
        assert!(manual.contains(&row), "no {row}");
    }
}
