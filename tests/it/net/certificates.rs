//! The certificate directory: what is made, what is renewed, what is left alone, what is refused and how.

use std::fs;
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use relaybox::clock::{Clock as _, ManualClock, SystemClock};
use rustls::version::TLS13;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::*;

pub(crate) const FILES: [&str; 4] = ["ca.pem", "ca-key.pem", "cert.pem", "key.pem"];

pub(crate) fn contents(dir: &Path) -> Vec<String> {
    FILES
        .iter()
        .map(|file| fs::read_to_string(dir.join(file)).unwrap_or_default())
        .collect()
}

pub(crate) fn days_from_now(days: i64) -> OffsetDateTime {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let seconds = i64::try_from(now.as_secs()).unwrap() + days * 24 * 3600;
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

/// The names that every made certificate has.
pub(crate) fn local_names() -> Vec<String> {
    ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into()
}

/// A certificate of somebody else's making.
pub(crate) fn write_own(dir: &Path, begin_days: i64, end_days: i64) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = days_from_now(begin_days);
    params.not_after = days_from_now(end_days);
    let certificate = params.self_signed(&key).unwrap();
    fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
}

fn error(dir: &Path, hosts: &[&str]) -> String {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    Tls::open(dir, &hosts).unwrap_err().to_string()
}

#[test]
fn what_is_missing_is_made_once_with_keys_for_the_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("new/certs");
    open_tls(&dir);
    for (file, mode) in FILES.iter().zip([0o644, 0o600, 0o644, 0o600]) {
        let found = fs::metadata(dir.join(file)).unwrap().permissions().mode();
        assert_eq!(found & 0o777 & !0o022, mode & !0o022, "{file}");
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), FILES.len());
    let before = contents(&dir);
    open_tls(&dir);
    assert_eq!(contents(&dir), before);
}

#[tokio::test]
async fn a_new_host_name_gets_a_new_certificate_of_the_same_key_and_a_ca_that_may_sign_it() {
    let dir = tempfile::tempdir().unwrap();
    open_tls(dir.path());
    let before = contents(dir.path());
    let mut hosts = vec!["Chat.Example".to_owned(), "2001:db8::1".to_owned()];
    let (tls, log) = open_logged(dir.path(), &hosts);
    let after = contents(dir.path());
    assert_eq!((&before[1], &before[3]), (&after[1], &after[3]));
    assert!(before[0] != after[0] && before[2] != after[2]);
    assert!(
        log.contains("ERROR") && log.contains("clients must trust the new ca.pem"),
        "{log}"
    );
    let server = Server::start(Some(tls), options()).await;
    for name in ["chat.example", "2001:db8::1", "localhost"] {
        let config = client(dir.path(), &[&TLS13]);
        connect_tls(&server, config, name).await.unwrap();
    }
    server.stop().await;

    // What is below a name that it may sign for needs no new one, and neither do fewer names.
    hosts.push("app.chat.example".to_owned());
    open_logged(dir.path(), &hosts);
    let again = contents(dir.path());
    assert!(again[2] != after[2] && again[..2] == after[..2]);
    let (_, log) = open_logged(dir.path(), &hosts[..1]);
    assert_eq!(contents(dir.path()), again);
    assert!(!log.contains("CA"), "{log}");
}

#[test]
fn names_that_were_made_for_once_stay_so_that_two_servers_of_one_folder_agree() {
    let dir = tempfile::tempdir().unwrap();
    let open = |host: &str| {
        let (_, log) = open_logged(dir.path(), &[host.to_owned()]);
        (contents(dir.path()), log.contains("clients must trust"))
    };
    let (one, is_told) = open("a.example");
    assert!(!is_told);
    let (both, is_told) = open("192.0.2.7");
    assert!(is_told && both[0] != one[0]);
    for host in ["a.example", "192.0.2.7", "A.example"] {
        let (again, is_told) = open(host);
        assert!(!is_told && again == both, "{host}");
    }
    // Also where the certificate is made for the CA that is there.
    for file in ["cert.pem", "key.pem"] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    open("b.example");
    let (one, _) = open("c.example");
    let (again, is_told) = open("b.example");
    assert!(!is_told && again == one);
}

#[tokio::test]
async fn what_a_made_ca_signs_for_other_names_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    open_tls(dir.path());
    let made = contents(dir.path());
    let stolen = Issuer::from_ca_cert_pem(&made[0], KeyPair::from_pem(&made[1]).unwrap()).unwrap();
    for (name, is_believed) in [
        ("localhost", true),
        ("bank.example", false),
        ("192.0.2.1", false),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = days_from_now(-1);
        params.not_after = days_from_now(90);
        let leaf = params.signed_by(&key, &stolen).unwrap();
        let theirs = tempfile::tempdir().unwrap();
        fs::write(theirs.path().join("cert.pem"), leaf.pem() + &made[0]).unwrap();
        fs::write(theirs.path().join("key.pem"), key.serialize_pem()).unwrap();
        let server = Server::start(Some(open_tls(theirs.path())), options()).await;
        let config = client(dir.path(), rustls::ALL_VERSIONS);
        let connected = connect_tls(&server, config, name).await;
        assert_eq!(connected.is_ok(), is_believed, "{name}");
        server.stop().await;
    }
}

#[test]
fn a_ca_of_an_earlier_version_goes_on_and_the_log_says_that_it_may_sign_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "relaybox local CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let mut leaf = CertificateParams::new(local_names()).unwrap();
    for params in [&mut ca, &mut leaf] {
        params.not_before = days_from_now(-9);
        params.not_after = days_from_now(300);
    }
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let leaf = leaf
        .signed_by(&key, &Issuer::from_params(&ca, &ca_key))
        .unwrap();
    fs::write(dir.path().join("ca.pem"), &ca_pem).unwrap();
    fs::write(dir.path().join("ca-key.pem"), ca_key.serialize_pem()).unwrap();
    fs::write(dir.path().join("cert.pem"), leaf.pem() + &ca_pem).unwrap();
    fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
    let before = contents(dir.path());
    let (_, log) = open_logged(dir.path(), &["chat.example".to_owned()]);
    let after = contents(dir.path());
    assert!(after[..2] == before[..2] && after[2] != before[2]);
    assert!(log.contains("may sign for any name"), "{log}");
}

#[test]
fn a_made_certificate_near_its_end_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    open_tls(dir.path());
    let made = contents(dir.path());
    let issuer = Issuer::from_ca_cert_pem(&made[0], KeyPair::from_pem(&made[1]).unwrap()).unwrap();
    let key = KeyPair::from_pem(&made[3]).unwrap();
    for (days, renewed) in [(29, true), (31, false)] {
        let mut params = CertificateParams::new(local_names()).unwrap();
        params.not_after = days_from_now(days);
        let leaf = params.signed_by(&key, &issuer).unwrap().pem();
        fs::write(dir.path().join("cert.pem"), leaf + &made[0]).unwrap();
        let before = contents(dir.path());
        open_tls(dir.path());
        let after = contents(dir.path());
        assert_eq!(before[2] != after[2], renewed, "{days} days left");
        assert_eq!((&before[..2], &before[3]), (&after[..2], &after[3]));
    }
}

/// The certificates of a file.
fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    let found = CertificateDer::pem_file_iter(file).unwrap();
    found.map(Result::unwrap).collect()
}

/// From how many seconds on, seen from now, a certificate is good; and its serial number.
fn begin_and_serial(certificate: &CertificateDer<'_>) -> (i64, Vec<u8>) {
    let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
    let begin = certificate.validity().not_before.timestamp();
    let begin = begin - days_from_now(0).unix_timestamp();
    (begin, certificate.raw_serial().to_vec())
}

/// As [`Tls::open`], with what is logged meanwhile.
pub(crate) fn open_logged(dir: &Path, hosts: &[String]) -> (Tls, String) {
    let mut log = tempfile::tempfile().unwrap();
    let writer = Mutex::new(log.try_clone().unwrap());
    let subscriber = tracing_subscriber::fmt().with_writer(writer).finish();
    let tls = tracing::subscriber::with_default(subscriber, || Tls::open(dir, hosts).unwrap());
    let mut text = String::new();
    log.rewind().unwrap();
    log.read_to_string(&mut text).unwrap();
    (tls, text)
}

/// A CA of this name, and a certificate that it signed, for these keys: as a clock makes them that is ahead.
fn write_ahead(dir: &Path, name: &str, ca_key: &KeyPair, key: &KeyPair) {
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, name);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let mut leaf = CertificateParams::new(local_names()).unwrap();
    for params in [&mut ca, &mut leaf] {
        params.not_before = days_from_now(399);
        params.not_after = days_from_now(790);
    }
    let ca_pem = ca.self_signed(ca_key).unwrap().pem();
    let issuer = Issuer::from_params(&ca, ca_key);
    let leaf = leaf.signed_by(key, &issuer).unwrap().pem();
    fs::write(dir.join("ca.pem"), &ca_pem).unwrap();
    fs::write(dir.join("ca-key.pem"), ca_key.serialize_pem()).unwrap();
    fs::write(dir.join("cert.pem"), leaf + &ca_pem).unwrap();
    fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn what_a_start_with_a_clock_ahead_has_made_is_mended_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let ahead_us = SystemClock.now_us() + 400 * 24 * 3600 * 1_000_000;
    Tls::open_by(dir.path(), &[], Arc::new(ManualClock::new(ahead_us))).unwrap();
    let before = contents(dir.path());
    let old = certificates(&dir.path().join("cert.pem"));
    // A clock that cannot be right, as on machines that have none of their own, changes nothing.
    Tls::open_by(dir.path(), &[], Arc::new(ManualClock::new(0))).unwrap();
    assert_eq!(contents(dir.path()), before);

    let server = Server::start(Some(open_tls(dir.path())), options()).await;
    let after = contents(dir.path());
    assert_eq!((&before[..2], &before[3]), (&after[..2], &after[3]));
    let config = client(dir.path(), &[&TLS13]);
    connect_tls(&server, config, "localhost").await.unwrap();
    let new = certificates(&dir.path().join("cert.pem"));
    assert_ne!(begin_and_serial(&old[0]).1, begin_and_serial(&new[0]).1);
    server.stop().await;
}

#[tokio::test]
async fn a_made_ca_from_the_future_is_made_anew_with_its_key_and_one_of_other_origin_is_not() {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mark = &ca_key.public_key_raw()[1..5];
    let mark: String = mark.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!("relaybox local CA {mark}");
    let (old, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_ahead(dir.path(), &name, &ca_key, &key);
    let before = contents(dir.path());
    fs::write(old.path().join("ca.pem"), &before[0]).unwrap();
    let (tls, log) = open_logged(dir.path(), &[]);
    let told = log
        .lines()
        .any(|line| line.contains("ERROR") && line.contains("clients must trust the new ca.pem"));
    assert!(told, "{log}");
    let server = Server::start(Some(tls), options()).await;
    let after = contents(dir.path());
    assert_eq!((&before[1], &before[3]), (&after[1], &after[3]));
    assert!(after[2].ends_with(&after[0]), "the old CA is shown");
    let [was, is] = [old.path(), dir.path()].map(|dir| certificates(&dir.join("ca.pem")));
    let (was, is) = (begin_and_serial(&was[0]), begin_and_serial(&is[0]));
    assert!(is.0 < 0, "good in {} s", is.0);
    assert_ne!(was.1, is.1);
    // Also whoever trusts the old one, and does not look at its dates, lets the server in.
    for trusted in [old.path(), dir.path()] {
        let config = client(trusted, &[&TLS13]);
        connect_tls(&server, config, "localhost").await.unwrap();
    }
    server.stop().await;

    // As if the start had ended between the two files.
    fs::write(dir.path().join("cert.pem"), &before[2]).unwrap();
    open_tls(dir.path());
    let again = contents(dir.path());
    assert!(again[0] == after[0], "the CA is made once");
    assert!(again[2] != before[2] && again[2].ends_with(&after[0]));

    write_ahead(dir.path(), "Our own CA", &ca_key, &key);
    let before = contents(dir.path());
    open_tls(dir.path());
    let after = contents(dir.path());
    assert_eq!((&before[..2], &before[3]), (&after[..2], &after[3]));
}

#[test]
fn own_files_are_never_touched_even_if_expired_or_of_other_names() {
    let dir = tempfile::tempdir().unwrap();
    for (begin, end) in [(-100, -1), (-100, 10), (-100, 1000), (10, 100)] {
        write_own(dir.path(), begin, end);
        let before = contents(dir.path());
        Tls::open(dir.path(), &["chat.example".to_owned()]).unwrap();
        assert_eq!(contents(dir.path()), before);
    }
}

#[test]
fn the_log_warns_of_an_end_when_a_third_of_the_lifetime_is_left() {
    for (begin, end, warns) in [
        (0, 6, false),
        (-3, 3, false),
        (-5, 1, true),
        (-1, 44, false),
        (-32, 13, true),
        (-300, 31, false),
        (-300, 29, true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        write_own(dir.path(), begin, end);
        let (_, log) = open_logged(dir.path(), &[]);
        assert_eq!(log.contains("ends soon"), warns, "{begin} {end}: {log}");
    }
}

#[test]
fn an_existing_ca_signs_a_certificate_that_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    open_tls(dir.path());
    let before = contents(dir.path());
    fs::remove_file(dir.path().join("cert.pem")).unwrap();
    fs::remove_file(dir.path().join("key.pem")).unwrap();
    open_tls(dir.path());
    let after = contents(dir.path());
    assert_eq!(before[..2], after[..2]);
    assert!(after[2].ends_with(&before[0]));
}

#[test]
fn every_flaw_is_a_sentence_that_names_the_file() {
    type Spoil = fn(&Path);
    let cases: &[(&str, Spoil)] = &[
        ("cert.pem is there but ", |dir| {
            fs::remove_file(dir.join("key.pem")).unwrap();
        }),
        ("key.pem is there but ", |dir| {
            fs::remove_file(dir.join("cert.pem")).unwrap();
        }),
        ("cert.pem holds no certificate", |dir| {
            fs::write(dir.join("cert.pem"), "hello").unwrap();
        }),
        ("cert.pem is not PEM", |dir| {
            fs::write(
                dir.join("cert.pem"),
                "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
            )
            .unwrap();
        }),
        ("cert.pem holds a certificate that cannot be", |dir| {
            fs::write(
                dir.join("cert.pem"),
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            )
            .unwrap();
        }),
        ("key.pem holds no private key", |dir| {
            fs::copy(dir.join("cert.pem"), dir.join("key.pem")).unwrap();
        }),
        ("key.pem holds a key that cannot be used", |dir| {
            fs::write(
                dir.join("key.pem"),
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            )
            .unwrap();
        }),
        ("key.pem is not the key of the certificate in ", |dir| {
            fs::write(
                dir.join("key.pem"),
                KeyPair::generate().unwrap().serialize_pem(),
            )
            .unwrap();
        }),
        ("key.pem cannot be read", |dir| {
            fs::remove_file(dir.join("key.pem")).unwrap();
            fs::create_dir(dir.join("key.pem")).unwrap();
        }),
    ];
    for (expected, spoil) in cases {
        let dir = tempfile::tempdir().unwrap();
        write_own(dir.path(), -1, 100);
        spoil(dir.path());
        let error = error(dir.path(), &[]);
        let expected = format!("{}/{expected}", dir.path().display());
        assert!(error.starts_with(&expected), "{error:?} for {expected:?}");
    }
}

#[test]
fn a_directory_that_cannot_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(error(&file.join("certs"), &[]).contains("/file/certs"));
}

#[test]
fn a_host_that_cannot_stand_in_a_certificate_is_named_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    for host in [
        "",
        "a b",
        "\u{4f60}.example",
        "https://x",
        "-a.example",
        "a..b",
    ] {
        let error = error(dir.path(), &[host]);
        assert!(error.contains(&format!("{host:?}")), "{error}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
