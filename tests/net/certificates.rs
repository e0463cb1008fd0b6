//! The certificate directory: what is made, what is renewed, what is left alone, what is refused and how.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::version::TLS13;
use time::OffsetDateTime;

use super::*;

const FILES: [&str; 4] = ["ca.pem", "ca-key.pem", "cert.pem", "key.pem"];

fn contents(dir: &Path) -> Vec<String> {
    FILES
        .iter()
        .map(|file| fs::read_to_string(dir.join(file)).unwrap_or_default())
        .collect()
}

fn days_from_now(days: i64) -> OffsetDateTime {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let seconds = i64::try_from(now.as_secs()).unwrap() + days * 24 * 3600;
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

/// A certificate of somebody else's making.
fn write_own(dir: &Path, days: i64) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = days_from_now(days);
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
async fn a_new_host_name_gets_a_new_certificate_of_the_same_key_and_ca() {
    let dir = tempfile::tempdir().unwrap();
    open_tls(dir.path());
    let before = contents(dir.path());
    let hosts = ["Chat.Example".to_owned(), "2001:db8::1".to_owned()];
    let tls = Tls::open(dir.path(), &hosts).unwrap();
    let after = contents(dir.path());
    assert_eq!((&before[..2], &before[3]), (&after[..2], &after[3]));
    assert_ne!(before[2], after[2]);
    let server = Server::start(Some(tls), options()).await;
    for name in ["chat.example", "2001:db8::1", "localhost"] {
        let config = client(dir.path(), &[&TLS13]);
        connect_tls(&server, config, name).await.unwrap();
    }
    server.stop().await;
}

#[test]
fn a_made_certificate_near_its_end_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    open_tls(dir.path());
    let made = contents(dir.path());
    let issuer = Issuer::from_ca_cert_pem(&made[0], KeyPair::from_pem(&made[1]).unwrap()).unwrap();
    let key = KeyPair::from_pem(&made[3]).unwrap();
    for (days, renewed) in [(29, true), (31, false)] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
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

#[test]
fn own_files_are_never_touched_even_if_expired_or_of_other_names() {
    let dir = tempfile::tempdir().unwrap();
    for days in [-1, 10, 1000] {
        write_own(dir.path(), days);
        let before = contents(dir.path());
        Tls::open(dir.path(), &["chat.example".to_owned()]).unwrap();
        assert_eq!(contents(dir.path()), before);
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
        write_own(dir.path(), 100);
        spoil(dir.path());
        let error = error(dir.path(), &[]);
        let expected = format!("{}/{expected}", dir.path().display());
        assert!(error.starts_with(&expected), "{error:?} for {expected:?}");
    }
}

#[test]
fn a_ca_without_its_key_and_a_directory_that_cannot_be_are_named() {
    let dir = tempfile::tempdir().unwrap();
    open_tls(dir.path());
    for file in ["cert.pem", "key.pem", "ca-key.pem"] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    assert!(error(dir.path(), &[]).contains("/ca.pem is there but "));

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
