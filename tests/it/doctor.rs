//! `relaybox doctor` as an operator and a script see it: PROTOCOL section 8.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::support::{DEMO, Home, Options, PROJECT_TOKEN, Server};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, PKCS_ED25519, SanType,
};
use relaybox::net::{REPLACE_CA, Tls};
use serde_json::Value;

/// An address of this machine that no other test listens on.
const ELSEWHERE: &str = "127.0.0.77:0";

/// Port 0 takes a free one: nothing can be in its way.
const ANY_PORT: &str = "127.0.0.1:0";

/// What was found: the worst state of each check, and all that is said of it.
struct Report {
    code: Option<i32>,
    states: BTreeMap<String, String>,
    says: BTreeMap<String, String>,
    text: String,
}

impl Report {
    #[track_caller]
    fn expect(&self, check: &str, state: &str, words: &str) {
        let found = self.states.get(check).map(String::as_str);
        assert_eq!(found, Some(state), "{check} in {}", self.text);
        let says = &self.says[check];
        assert!(says.contains(words), "no {words:?} in {says:?}");
        let expected = i32::from(self.states.values().any(|state| state == "problem"));
        assert_eq!(self.code, Some(expected), "{}", self.text);
    }

    /// The checks that found a problem.
    fn problems(&self) -> Vec<&str> {
        let bad = self.states.iter().filter(|(_, state)| *state == "problem");
        bad.map(|(check, _)| check.as_str()).collect()
    }
}

/// Runs it for a home, with these flags beside those of the directories.
async fn doctor(home: &Home, flags: &[&str]) -> Report {
    let (data, certs) = (home.data(), home.certs());
    let mut args = vec!["doctor", "--json", "--data", data.to_str().unwrap()];
    args.extend(["--certs", certs.to_str().unwrap()]);
    args.extend(flags);
    let outcome = home.cli_bare(&args).await;
    let json: Value = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("no JSON ({error}): {outcome:?}"));
    let mut report = Report {
        code: outcome.code,
        states: BTreeMap::new(),
        says: BTreeMap::new(),
        text: format!("{outcome:?}"),
    };
    let mut counts = BTreeMap::new();
    for finding in json["checks"].as_array().unwrap() {
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        let (check, state, says) = (text("check"), text("state"), text("says"));
        *counts.entry(state.clone()).or_insert(0) += 1;
        let worst = report.states.entry(check.clone()).or_insert(state.clone());
        // By their names, the worse comes later.
        if rank(&state) > rank(worst) {
            *worst = state;
        }
        let said = report.says.entry(check).or_default();
        *said = format!("{said}{says}\n");
    }
    for (state, name) in [("problem", "problems"), ("warning", "warnings")] {
        let count = counts.get(state).copied().unwrap_or(0);
        assert_eq!(json[name], count, "{}", report.text);
    }
    report
}

fn rank(state: &str) -> usize {
    let known = ["ok", "warning", "problem"];
    known.iter().position(|known| *known == state).unwrap()
}

/// A home on which a server was started once.
async fn healthy() -> Arc<Home> {
    let mut server = Server::start().await;
    server.stop().await;
    server.home.clone()
}

/// Puts a certificate for `localhost` into the home; answers its PEM.
fn certify(home: &Home, change: impl FnOnce(&mut CertificateParams)) -> String {
    certify_by(home, KeyPair::generate().unwrap(), change)
}

/// As [`certify`], of this key; signed by a CA that is behind it in the file.
fn certify_by(home: &Home, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = days(-10);
    params.not_after = days(90);
    change(&mut params);
    let leaf = params.signed_by(&key, &ca).unwrap().pem();
    home.write("certs/cert.pem", format!("{leaf}{}", ca.pem()));
    let file = home.write("certs/key.pem", key.serialize_pem());
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    leaf
}

fn days(days: i64) -> time::OffsetDateTime {
    let day = Duration::from_secs(24 * 3600 * days.unsigned_abs());
    let now = SystemTime::now();
    if days < 0 {
        (now - day).into()
    } else {
        (now + day).into()
    }
}

#[tokio::test]
async fn a_healthy_directory_is_no_problem_and_is_left_as_it_is() {
    let home = healthy().await;
    let before = list(&home);
    let report = doctor(&home, &["--listen", ANY_PORT]).await;
    assert_eq!(report.problems(), Vec::<&str>::new(), "{}", report.text);
    assert_eq!(report.code, Some(0));
    // Names that scripts rely on.
    let names: Vec<_> = report.states.keys().map(String::as_str).collect();
    let expected = [
        "certificate-authority",
        "certificate-chain",
        "certificate-dates",
        "certificate-files",
        "certificate-key",
        "certificate-names",
        "certificate-use",
        "clock",
        "data-directory",
        "data-rights",
        "disk-space",
        "domains",
        "file-size",
        "file-system",
        "history-open",
        "key-rights",
        "listen",
        "metrics",
        "open-files",
        "plain",
        "port",
        "retention",
        "server",
        "settings",
        "store",
    ];
    assert_eq!(names, expected);
    report.expect("server", "ok", "none runs");
    report.expect("domains", "ok", "some have been made");
    report.expect("data-rights", "ok", "closed to other users");
    assert_eq!(list(&home), before);
}

/// All files of a home.
fn list(home: &Home) -> Vec<std::path::PathBuf> {
    let mut dirs = vec![home.path("")];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path.clone());
            }
            files.push(path);
        }
    }
    files.sort();
    files
}

#[tokio::test]
async fn before_the_first_start_it_makes_nothing() {
    let home = Home::new();
    let report = doctor(&home, &["--listen", ANY_PORT]).await;
    report.expect("data-directory", "ok", "the first start makes it");
    report.expect("certificate-files", "ok", "the first start makes it");
    report.expect("domains", "ok", "makes `demo`");
    assert_eq!(list(&home), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn certificates_that_keep_clients_out_are_told() {
    let home = healthy().await;
    for file in ["ca.pem", "ca-key.pem"] {
        fs::remove_file(home.certs().join(file)).unwrap();
    }
    let look = async |flags: &[&str]| {
        let args = [&["--listen", ANY_PORT], flags].concat();
        doctor(&home, &args).await
    };
    certify(&home, |_| {});
    let report = look(&["--host", "localhost"]).await;
    assert_eq!(report.problems(), Vec::<&str>::new(), "{}", report.text);
    report.expect("certificate-chain", "ok", "2 certificates lead to");

    certify(&home, |params| params.not_after = days(-1));
    look(&[])
        .await
        .expect("certificate-dates", "problem", "expired on");

    certify(&home, |params| params.not_before = days(2));
    look(&[])
        .await
        .expect("certificate-dates", "problem", "good from");

    certify(&home, |params| params.not_after = days(4));
    look(&[])
        .await
        .expect("certificate-dates", "warning", "renew it");

    certify(&home, |_| {});
    let report = look(&["--host", "chat.example", "--host", "localhost"]).await;
    report.expect("certificate-names", "problem", "not for chat.example");

    certify_by(&home, KeyPair::generate_for(&PKCS_ED25519).unwrap(), |_| {});
    look(&[])
        .await
        .expect("certificate-use", "warning", "Ed25519");

    let leaf = certify(&home, |_| {});
    home.write("certs/cert.pem", &leaf);
    look(&[])
        .await
        .expect("certificate-chain", "warning", "no intermediate");
    let stranger = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
    home.write("certs/cert.pem", format!("{leaf}{}", stranger.cert.pem()));
    look(&[]).await.expect(
        "certificate-chain",
        "problem",
        "is not signed by the one behind it",
    );

    certify(&home, |_| {});
    home.write(
        "certs/key.pem",
        KeyPair::generate().unwrap().serialize_pem(),
    );
    let report = look(&[]).await;
    report.expect(
        "certificate-key",
        "problem",
        "is not the key of the certificate",
    );
    report.expect("certificate-dates", "ok", "good until");

    home.write("certs/key.pem", "no key");
    look(&[])
        .await
        .expect("certificate-files", "problem", "holds no private key");
    fs::remove_file(home.certs().join("key.pem")).unwrap();
    look(&[])
        .await
        .expect("certificate-files", "problem", "key.pem is not");
}

#[tokio::test]
async fn a_name_beyond_those_of_the_made_ca_is_told_before_the_start_that_makes_another() {
    let home = healthy().await;
    let words = "is made anew at the next start: clients must trust the new ca.pem";
    for file in ["", "cert.pem", "key.pem"] {
        if !file.is_empty() {
            fs::remove_file(home.certs().join(file)).unwrap();
        }
        let look = async |host| doctor(&home, &["--listen", ANY_PORT, "--host", host]).await;
        let report = look("new.example").await;
        report.expect("certificate-authority", "warning", words);
        let report = look("localhost").await;
        report.expect("certificate-authority", "ok", "is good until");
    }
}

#[tokio::test]
async fn signatures_and_keys_of_old_are_told() {
    let home = healthy().await;
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates");
    for (name, words) in [
        ("rsa-1024.pem", "CN=rsa-1024 has 1024 bits"),
        ("sha1.pem", "CN=sha1 is signed by sha1WithRSAEncryption"),
    ] {
        let old = format!("{files}/{name}");
        fs::copy(old, home.certs().join("cert.pem")).unwrap();
        let report = doctor(&home, &["--listen", ANY_PORT]).await;
        report.expect("certificate-use", "problem", words);
    }
}

/// What doctor says of a certificate directory, and what is done about it.
struct Advice {
    check: &'static str,
    words: &'static str,
    /// Brings about what is wrong.
    spoil: fn(&Home),
    /// Does what the sentence says, and nothing else.
    follow: fn(&Home, &str),
    /// Flags before and after.
    flags: [&'static [&'static str]; 2],
}

const LOCAL: &[&str] = &["--listen", ANY_PORT];
const OPEN: &[&str] = &["--listen", "0.0.0.0:0"];
const NAMED: &[&str] = &["--listen", "0.0.0.0:0", "--host", "chat.example"];

/// What a start does.
fn start(home: &Home, hosts: &[&str]) {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    Tls::open(&home.certs(), &hosts).unwrap();
}

/// Of a file that a start has made, half of what it was; the whole one is kept elsewhere.
fn start_and_cut(home: &Home, name: &str) {
    start(home, &[]);
    rename(home, &[[name, &format!("elsewhere/{name}")]]);
    let whole = fs::read(home.certs().join("elsewhere").join(name)).unwrap();
    fs::write(home.certs().join(name), &whole[..whole.len() / 2]).unwrap();
}

fn start_again(home: &Home, _: &str) {
    start(home, &[]);
}

fn start_with_name(home: &Home, _: &str) {
    start(home, &["chat.example"]);
}

/// Has one issued that is as it should be.
fn issue(home: &Home, _: &str) {
    certify(home, |_| {});
}

fn issue_with_name(home: &Home, _: &str) {
    certify(home, |leaf| {
        leaf.subject_alt_names.push(san("chat.example"))
    });
}

fn san(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn rename(home: &Home, pairs: &[[&str; 2]]) {
    fs::create_dir_all(home.path("certs/elsewhere")).unwrap();
    for [from, to] in pairs {
        fs::rename(home.certs().join(from), home.certs().join(to)).unwrap();
    }
}

/// The files that a sentence names behind "move", those and no others, and then "start the server again".
fn replace_ca(home: &Home, says: &str) {
    let (_, advice) = says.split_once("move ").expect(says);
    let words = advice.split([',', ' ']).filter(|word| !word.is_empty());
    let names = words.take_while(|word| word.ends_with(".pem") || *word == "and");
    let names: Vec<_> = names.filter(|word| *word != "and").collect();
    assert_eq!(names.len(), 4, "{says}");
    for name in names {
        rename(home, &[[name, &format!("elsewhere/{name}")]]);
    }
    start(home, &[]);
}

/// A CA of this name, and a certificate that a start has made by it, both with so many days behind and before them.
fn put_ca(home: &Home, name: &str, ca_days: [i64; 2], leaf_days: [i64; 2]) {
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.distinguished_name.push(DnType::CommonName, name);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut leaf = CertificateParams::new(names).unwrap();
    for (params, [begin, end]) in [(&mut ca, ca_days), (&mut leaf, leaf_days)] {
        (params.not_before, params.not_after) = (days(begin), days(end));
    }
    let [ca_key, key] = [(); 2].map(|()| KeyPair::generate().unwrap());
    home.write("certs/ca-key.pem", ca_key.serialize_pem());
    home.write("certs/key.pem", key.serialize_pem());
    let ca = CertifiedIssuer::self_signed(ca, ca_key).unwrap();
    let leaf = leaf.signed_by(&key, &ca).unwrap().pem();
    home.write("certs/ca.pem", ca.pem());
    home.write("certs/cert.pem", format!("{leaf}{}", ca.pem()));
    for file in ["ca-key.pem", "key.pem"] {
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(home.certs().join(file), mode).unwrap();
    }
}

/// A certificate of other origin beside what was made, under these names.
fn put_beside(home: &Home, [certificate, key]: [&str; 2]) {
    start(home, &[]);
    rename(
        home,
        &[["cert.pem", "elsewhere/1"], ["key.pem", "elsewhere/2"]],
    );
    issue(home, "");
    rename(home, &[["cert.pem", certificate], ["key.pem", key]]);
    rename(
        home,
        &[["elsewhere/1", "cert.pem"], ["elsewhere/2", "key.pem"]],
    );
}

#[tokio::test]
async fn every_advice_about_certificates_is_followed_to_the_letter_and_helps() {
    let told = |check, words, spoil: fn(&Home), follow: fn(&Home, &str)| Advice {
        check,
        words,
        spoil,
        follow,
        flags: [LOCAL, LOCAL],
    };
    let with = |flags, advice: Advice| Advice { flags, ..advice };
    let names = |words, spoil, follow| {
        let advice = told("certificate-names", words, spoil, follow);
        with([OPEN, NAMED], advice)
    };
    let dates = |words, spoil, follow| told("certificate-dates", words, spoil, follow);
    let files = |words, spoil, follow| told("certificate-files", words, spoil, follow);
    let chain = |words, spoil, follow| told("certificate-chain", words, spoil, follow);
    let uses = |words, spoil| told("certificate-use", words, spoil, issue);
    let ca = |words, spoil, follow| told("certificate-authority", words, spoil, follow);
    let due = "is made anew at the next start: clients must trust the new ca.pem";
    let table = [
        names("give the server's name with --host", |_| {}, |_, _| {}),
        names(
            "give the server's name with --host",
            |home| start(home, &[]),
            start_with_name,
        ),
        names(
            "have one issued for the server's name",
            |home| issue(home, ""),
            issue_with_name,
        ),
        with(
            [NAMED, NAMED],
            names(
                "have one issued for it",
                |home| issue(home, ""),
                issue_with_name,
            ),
        ),
        with(
            [NAMED, NAMED],
            names(
                "have it issued for the server's names",
                |home| _ = certify(home, |leaf| leaf.subject_alt_names.clear()),
                issue_with_name,
            ),
        ),
        told(
            "key-rights",
            ": chmod 600 ",
            |home| {
                start(home, &[]);
                let open = fs::Permissions::from_mode(0o644);
                fs::set_permissions(home.certs().join("ca-key.pem"), open).unwrap();
            },
            |_, says| {
                let (_, line) = says.split_once("): ").unwrap();
                let done = std::process::Command::new("sh").args(["-c", line]).status();
                assert!(done.unwrap().success(), "{line}");
            },
        ),
        dates(
            "put a new one in its place",
            |home| _ = certify(home, |leaf| leaf.not_after = days(-1)),
            issue,
        ),
        dates(
            ": renew it, and",
            |home| _ = certify(home, |leaf| leaf.not_after = days(5)),
            issue,
        ),
        dates(
            "have one issued for less",
            |home| _ = certify(home, |leaf| leaf.not_after = days(900)),
            issue,
        ),
        dates(
            "take the chain that the CA has now",
            |home| {
                put_ca(home, "Our own CA", [-300, -1], [-10, 300]);
                rename(
                    home,
                    &[["ca.pem", "elsewhere/1"], ["ca-key.pem", "elsewhere/2"]],
                );
            },
            issue,
        ),
        dates(
            "unless its own is there again with its key",
            |home| {
                put_ca(home, "relaybox local CA", [-10, 3000], [-300, 20]);
                rename(home, &[["ca-key.pem", "elsewhere/ca-key.pem"]]);
            },
            |home, _| rename(home, &[["elsewhere/ca-key.pem", "ca-key.pem"]]),
        ),
        files(
            "if relaybox made it, move it to another folder",
            |home| start_and_cut(home, "cert.pem"),
            |home, _| {
                rename(home, &[["cert.pem", "elsewhere/half"]]);
                start(home, &[]);
            },
        ),
        files(
            "if relaybox made it, move it to another folder",
            |home| start_and_cut(home, "key.pem"),
            |home, _| {
                rename(home, &[["key.pem", "elsewhere/half"]]);
                start(home, &[]);
            },
        ),
        files(
            "put there again what was there",
            |home| start_and_cut(home, "ca.pem"),
            |home, _| rename(home, &[["elsewhere/ca.pem", "ca.pem"]]),
        ),
        files(
            REPLACE_CA,
            |home| start_and_cut(home, "ca-key.pem"),
            replace_ca,
        ),
        chain(
            "a public CA gives a file with the chain (fullchain.pem)",
            |home| {
                let leaf = certify(home, |_| {});
                rename(home, &[["cert.pem", "elsewhere/fullchain.pem"]]);
                home.write("certs/cert.pem", leaf);
            },
            |home, _| rename(home, &[["elsewhere/fullchain.pem", "cert.pem"]]),
        ),
        chain(
            "put behind each that of its issuer",
            |home| {
                let leaf = certify(home, |_| {});
                rename(home, &[["cert.pem", "elsewhere/right.pem"]]);
                let other = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
                home.write("certs/cert.pem", leaf + &other.cert.pem());
            },
            |home, _| rename(home, &[["elsewhere/right.pem", "cert.pem"]]),
        ),
        uses("have it issued anew", |home| {
            issue(home, "");
            let old = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/sha1.pem");
            fs::copy(old, home.certs().join("cert.pem")).unwrap();
        }),
        uses(
            "have a certificate issued for ECDSA (P-256) or RSA",
            |home| {
                certify_by(home, KeyPair::generate_for(&PKCS_ED25519).unwrap(), |_| {});
            },
        ),
        uses("have one issued for TLS servers", |home| {
            let client = ExtendedKeyUsagePurpose::ClientAuth;
            certify(home, |leaf| leaf.extended_key_usages = vec![client]);
        }),
        uses("sign one with it that is not", |home| {
            let authority = IsCa::Ca(BasicConstraints::Unconstrained);
            certify(home, |leaf| leaf.is_ca = authority);
        }),
        ca(
            REPLACE_CA,
            |home| put_ca(home, "Our own CA", [-300, 60], [-10, 60]),
            replace_ca,
        ),
        ca(
            "is at its end and signs nothing more: move",
            |home| put_ca(home, "Our own CA", [-300, 20], [-10, 20]),
            replace_ca,
        ),
        ca(
            "is this machine's clock right? If so, move",
            |home| put_ca(home, "Our own CA", [2, 900], [-10, 300]),
            replace_ca,
        ),
        ca(
            "may sign for any name",
            |home| put_ca(home, "relaybox local CA", [-10, 3000], [-10, 300]),
            replace_ca,
        ),
        with(
            [NAMED, NAMED],
            ca(due, |home| start(home, &[]), start_with_name),
        ),
        ca(
            due,
            |home| put_ca(home, "relaybox local CA", [-10, 50], [-10, 50]),
            start_again,
        ),
        files(
            "put it there as cert.pem, with its chain, and its key as key.pem",
            |home| put_beside(home, ["server.crt", "server.key"]),
            |home, _| {
                rename(
                    home,
                    &[["server.crt", "cert.pem"], ["server.key", "key.pem"]],
                )
            },
        ),
        files(
            "move that and its key to another folder",
            |home| put_beside(home, ["tls.crt", "tls.key"]),
            |home, _| {
                rename(
                    home,
                    &[["cert.pem", "elsewhere/1"], ["key.pem", "elsewhere/2"]],
                )
            },
        ),
        files(
            "put both there again",
            |home| {
                start(home, &[]);
                rename(
                    home,
                    &[["ca.pem", "elsewhere/1"], ["ca-key.pem", "elsewhere/2"]],
                );
            },
            |home, _| {
                rename(
                    home,
                    &[["elsewhere/1", "ca.pem"], ["elsewhere/2", "ca-key.pem"]],
                )
            },
        ),
        files(
            "put its certificate there",
            |home| {
                start(home, &[]);
                issue(home, "");
                rename(home, &[["cert.pem", "elsewhere/cert.pem"]]);
            },
            |home, _| rename(home, &[["elsewhere/cert.pem", "cert.pem"]]),
        ),
        files(
            "put the other one beside it",
            |home| {
                issue(home, "");
                rename(home, &[["key.pem", "elsewhere/key.pem"]]);
            },
            |home, _| rename(home, &[["elsewhere/key.pem", "key.pem"]]),
        ),
        files(
            "they are swapped, exchange them",
            |home| {
                issue(home, "");
                rename(
                    home,
                    &[["key.pem", "x"], ["cert.pem", "key.pem"], ["x", "cert.pem"]],
                );
            },
            |home, _| {
                rename(
                    home,
                    &[["key.pem", "x"], ["cert.pem", "key.pem"], ["x", "cert.pem"]],
                );
            },
        ),
        told(
            "certificate-key",
            "put the files of one certificate there, both",
            |home| {
                issue(home, "");
                home.write(
                    "certs/key.pem",
                    KeyPair::generate().unwrap().serialize_pem(),
                );
            },
            issue,
        ),
    ];
    for Advice {
        check,
        words,
        spoil,
        follow,
        flags: [before, after],
    } in table
    {
        let home = Home::new();
        spoil(&home);
        let report = doctor(&home, before).await;
        assert_ne!(report.states[check], "ok", "{words}: {}", report.text);
        let mut lines = report.says[check].lines();
        let says = lines.find(|line| line.contains(words));
        let says = says.unwrap_or_else(|| panic!("no {words:?} in {}", report.text));
        follow(&home, says);
        let report = doctor(&home, after).await;
        // Before the first start there is nothing to be judged.
        let state = report.states.get(check).map_or("ok", String::as_str);
        assert_eq!(state, "ok", "{says}\n{}", report.text);
    }
}

#[tokio::test]
async fn every_advice_about_the_certificate_of_a_running_server_is_followed_and_helps() {
    let mut server = Server::start().await;
    let home = server.home.clone();
    let look = async |server: &Server, flags: &[&str]| {
        let args = [&["--listen", &server.address], flags].concat();
        doctor(&home, &args).await
    };
    let host = ["--host", "chat.example"];
    let report = look(&server, &host).await;
    let words = "start the server again, and it is made anew";
    report.expect("certificate-names", "warning", words);
    server.change(Options::new().args(&host));
    server.restart().await;
    let report = look(&server, &host).await;
    report.expect("certificate-names", "ok", "chat.example");

    for file in ["cert.pem", "key.pem"] {
        fs::remove_file(home.certs().join(file)).unwrap();
    }
    let report = look(&server, &[]).await;
    let words = "goes on with what it has, and the next start makes others";
    report.expect("certificate-files", "warning", words);
    server.restart().await;
    let report = look(&server, &host).await;
    report.expect("certificate-files", "ok", "can be served");

    // "it takes a good one within seconds, and else its log says why not"
    issue(&home, "");
    rename(&home, &[["key.pem", "elsewhere/key.pem"]]);
    home.write(
        "certs/key.pem",
        KeyPair::generate().unwrap().serialize_pem(),
    );
    let report = look(&server, &[]).await;
    let words = "takes a good one within seconds, and else its log says why not";
    report.expect("certificate-served", "warning", words);
    server.says("is not the key of the certificate").await;
    rename(&home, &[["elsewhere/key.pem", "key.pem"]]);
    server
        .says("the certificates have changed and were read")
        .await;
    let report = look(&server, &[]).await;
    report.expect("certificate-served", "ok", "that is in the file");
    server.stop().await;
}

#[tokio::test]
async fn rights_that_let_others_in_are_told() {
    let home = healthy().await;
    let chmod = |name: &str, mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(home.path(name), mode).unwrap();
    };
    chmod("certs/key.pem", 0o644);
    chmod("data", 0o755);
    let report = doctor(&home, &["--listen", ANY_PORT]).await;
    report.expect("key-rights", "warning", "key.pem (mode 0644)");
    report.expect("data-rights", "warning", "(mode 0755)");
    chmod("data", 0o777);
    let report = doctor(&home, &["--listen", ANY_PORT]).await;
    report.expect("data-rights", "problem", "chmod 700");
    // Through a link, what counts is what it leads to.
    fs::rename(home.path("certs/key.pem"), home.path("key")).unwrap();
    symlink(home.path("key"), home.path("certs/key.pem")).unwrap();
    chmod("key", 0o600);
    let report = doctor(&home, &["--listen", ANY_PORT]).await;
    report.expect("key-rights", "ok", "no key is open");
}

#[tokio::test]
async fn a_data_directory_that_no_server_starts_on_is_told() {
    let home = healthy().await;
    home.write("data/VERSION", "99\n");
    let report = doctor(&home, &["--listen", ANY_PORT]).await;
    report.expect("store", "problem", "has version 99");
    let no_directory = home.write("file", "");
    let outcome = home
        .cli_bare(&[
            "doctor",
            "--listen",
            ANY_PORT,
            "--data",
            no_directory.to_str().unwrap(),
        ])
        .await;
    outcome.failure(1, &["1 problem"]);
    assert!(
        outcome.stdout.contains("problem  data-directory: "),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn addresses_are_tried() {
    let home = healthy().await;
    let other = TcpListener::bind(ELSEWHERE).unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let report = doctor(&home, &["--listen", &taken]).await;
    report.expect("port", "problem", "another program has it");
    let report = doctor(&home, &["--listen", ANY_PORT, "--plain", &taken]).await;
    report.expect("plain-port", "problem", "another port with --plain");
    drop(other);
    let report = doctor(&home, &["--listen", &taken]).await;
    report.expect("port", "ok", "is free");
    report.expect("listen", "warning", "only programs on this machine");
    let open = [
        "--listen",
        "0.0.0.0:0",
        "--plain",
        "0.0.0.0:0",
        "--history-open",
    ];
    let report = doctor(&home, &open).await;
    report.expect("plain", "warning", "unencrypted");
    report.expect("history-open", "warning", "every mailbox");
    report.expect("certificate-names", "warning", "--host");
}

#[tokio::test]
async fn names_are_held_against_the_address_that_is_listened_on() {
    let options = Options::new().args(&["--listen", "[::]:0"]);
    let server = Server::with(options).await;
    let listen = format!("[::]:{}", server.port());
    let hosts = ["--host", "127.0.0.1", "--host", "192.0.2.7"];
    let flags = [&["--listen", &listen], &hosts[..]].concat();
    let report = doctor(&server.home, &flags).await;
    let words = "192.0.2.7 leads to 192.0.2.7, which this machine does not have";
    report.expect("host-addresses", "ok", words);
    let words = format!("127.0.0.1 leads to 127.0.0.1, which {listen} listens on");
    report.expect("host-addresses", "ok", &words);
    // Nobody gives up a handshake for it.
    let metrics = server.get("/metrics", None).await.body;
    let failed = "\nrelaybox_tls_handshakes_failed_total{reason=\"tls\"} 0\n";
    assert!(metrics.contains(failed), "{metrics}");

    let behind = [&flags[..], &["--trusted-proxies", "127.0.0.1"]].concat();
    let report = doctor(&server.home, &behind).await;
    assert_eq!(report.states.get("host-addresses"), None, "{}", report.text);
}

#[tokio::test]
async fn a_running_server_is_asked_and_connected_to() {
    let home = Arc::new(Home::new());
    let kept = certify(&home, |_| {});
    fs::copy(home.certs().join("cert.pem"), home.ca()).unwrap();
    let mut server = Server::at(home.clone(), Options::new()).await;
    let (address, pid) = (server.address.clone(), server.pid());
    let look = async || doctor(&home, &["--listen", &address]).await;
    let report = look().await;
    assert_eq!(report.problems(), Vec::<&str>::new(), "{}", report.text);
    report.expect("server", "ok", &format!("process {pid}"));
    report.expect("port", "ok", "the running server answers");
    report.expect("certificate-served", "ok", "that is in the file");
    report.expect(
        "open-files",
        &report.states["open-files"],
        "the running server's limit",
    );
    report.expect("domains", "ok", "1 domain");

    // Another certificate without its key: the server keeps what it has, and says so.
    let key = fs::read(home.certs().join("key.pem")).unwrap();
    let other = certify(&home, |_| {});
    assert_ne!(kept, other);
    home.write("certs/key.pem", key);
    let report = look().await;
    report.expect("certificate-key", "problem", "is not the key");
    report.expect("certificate-served", "warning", "another certificate");

    // Something else at the address that it is said to have.
    let noise = TcpListener::bind(ELSEWHERE).unwrap();
    let elsewhere = noise.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || drop(noise.accept().unwrap()));
    let report = doctor(&home, &["--listen", &elsewhere]).await;
    report.expect("port", "problem", "cannot be talked to");
    answering.join().unwrap();
    let report = doctor(&home, &["--listen", &elsewhere]).await;
    report.expect("port", "warning", "other settings");
    server.user("u1").await;
    server.stop().await;
}

#[tokio::test]
async fn it_takes_the_settings_of_serve_and_tells_no_token() {
    let home = healthy().await;
    let declared = format!(
        "token = [\"{DEMO}={PROJECT_TOKEN}\"]\nretention = \"30days\"\ntrusted_proxies = \"::1\"\n"
    );
    home.write("data/relaybox.toml", &declared);
    let report = doctor(&home, &["--listen", ANY_PORT]).await;
    report.expect("settings", "ok", "all are known");
    report.expect("retention", "ok", "30days");
    report.expect("domains", "ok", "1 project token");
    assert!(!report.text.contains(PROJECT_TOKEN), "{}", report.text);
    let args = ["doctor", "--listen", ANY_PORT, "--token"];
    let token = format!("{DEMO}={PROJECT_TOKEN}");
    let outcome = home.cli(&[&args[..], &[&token]].concat()).await;
    assert!(
        !format!("{outcome:?}").contains(PROJECT_TOKEN),
        "{outcome:?}"
    );
    let text = outcome.success();
    assert!(
        text.lines().last().unwrap().starts_with("0 problems, "),
        "{text}"
    );

    for flags in [
        &["--listen", "nowhere"][..],
        &["--json", "--segment-bytes", "1"],
    ] {
        let outcome = home.cli(&[&["doctor"], flags].concat()).await;
        outcome.failure(2, &["setting"]);
        assert_eq!(outcome.stdout, "");
    }
    home.write("data/relaybox.toml", declared + "lisen = 1\n");
    let outcome = home.cli(&["doctor"]).await;
    outcome.failure(2, &["relaybox.toml:4", "did you mean `listen`?"]);
}
