//! Which pair of a directory is served, and that none is served beside others without a word.

use std::fs;

use relaybox::net::inspect::{Inspected, Pair};
use rustls::version::TLS13;

use super::certificates::{open_logged, write_own};
use super::*;

/// A certificate of somebody else's making, and its key, under these names.
fn put(dir: &Path, certificate: &str, key: &str) -> Vec<u8> {
    let made = tempfile::tempdir().unwrap();
    write_own(made.path(), -1, 100);
    fs::copy(made.path().join("key.pem"), dir.join(key)).unwrap();
    let pem = fs::read(made.path().join("cert.pem")).unwrap();
    fs::write(dir.join(certificate), &pem).unwrap();
    CertificateDer::from_pem_slice(&pem).unwrap().to_vec()
}

/// The certificate that is served from a directory.
async fn served(dir: &Path) -> Vec<u8> {
    let trusted = tempfile::tempdir().unwrap();
    let server = Server::start(Some(open_tls(dir)), options()).await;
    let found = Inspected::of(dir);
    let file = found.certificate.with_file_name("ca.pem");
    let trust = if file.exists() {
        file
    } else {
        found.certificate
    };
    fs::copy(trust, trusted.path().join("ca.pem")).unwrap();
    let config = client(trusted.path(), &[&TLS13]);
    let stream = connect_tls(&server, config, "localhost").await.unwrap();
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    let shown = chain[0].to_vec();
    drop(stream);
    server.stop().await;
    shown
}

#[tokio::test]
async fn a_pair_of_certbot_or_kubernetes_is_taken_where_it_is_the_only_one() {
    for [certificate, key] in [["fullchain.pem", "privkey.pem"], ["tls.crt", "tls.key"]] {
        let dir = tempfile::tempdir().unwrap();
        let expected = put(dir.path(), certificate, key);
        // What else certbot puts there.
        if key == "privkey.pem" {
            fs::copy(dir.path().join(certificate), dir.path().join("cert.pem")).unwrap();
        }
        let before = fs::read_dir(dir.path()).unwrap().count();
        let (tls, log) = open_logged(dir.path(), &["chat.example".to_owned()]);
        assert!(!log.contains("WARN"), "{log}");
        assert!(served(dir.path()).await == expected, "{certificate}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before);
        let found = Inspected::of(dir.path());
        assert!(found.certificate.ends_with(certificate) && found.key.ends_with(key));
        // A renewal is taken.
        put(dir.path(), certificate, key);
        tls.reload().unwrap();
        assert_eq!(tls.exchanges().exchanged, 1);
        fs::remove_file(dir.path().join(key)).unwrap();
        let error = tls.reload().unwrap_err().to_string();
        let words = match key {
            "privkey.pem" => "holds cert.pem, fullchain.pem, but no certificate together",
            _ => "is there but",
        };
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn no_made_pair_is_served_beside_others_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    open_tls(dir.path());
    let expected = put(dir.path(), "fullchain.pem", "privkey.pem");
    let (_, log) = open_logged(dir.path(), &[]);
    let words = "privkey.pem are not used, since ";
    assert!(
        log.lines()
            .any(|line| line.contains("WARN") && line.contains(words)),
        "{log}"
    );
    let notes = Inspected::of(dir.path()).notes.join("\n");
    assert!(notes.contains(words), "{notes}");
    assert!(served(dir.path()).await != expected);
    // As the sentence says.
    fs::remove_file(dir.path().join("cert.pem")).unwrap();
    fs::remove_file(dir.path().join("key.pem")).unwrap();
    let (_, log) = open_logged(dir.path(), &[]);
    assert!(!log.contains("WARN"), "{log}");
    let found = Inspected::of(dir.path());
    assert!(found.certificate.ends_with("fullchain.pem") && found.notes.is_empty());

    // Names that nobody knows.
    let dir = tempfile::tempdir().unwrap();
    let expected = put(dir.path(), "server.crt", "server.key");
    let words = "beside other files (server.crt, server.key), which are not used: for a";
    let notes = Inspected::of(dir.path()).notes.join("\n");
    assert!(notes.contains(words), "{notes}");
    for _ in 0..2 {
        let (_, log) = open_logged(dir.path(), &[]);
        assert!(
            log.lines()
                .any(|line| line.contains("WARN") && line.contains(words)),
            "{log}"
        );
    }
    for [from, to] in [["server.crt", "cert.pem"], ["server.key", "key.pem"]] {
        fs::rename(dir.path().join(from), dir.path().join(to)).unwrap();
    }
    for file in ["ca.pem", "ca-key.pem"] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    let (_, log) = open_logged(dir.path(), &[]);
    assert!(!log.contains("WARN"), "{log}");
    assert!(served(dir.path()).await == expected);
}

#[tokio::test]
async fn nothing_is_made_beside_a_half_of_another_pair_and_the_advice_helps() {
    type Names = [&'static str; 2];
    let cases: [(Names, &str); 4] = [
        (["fullchain.pem", "key.pem"], "key.pem, fullchain.pem"),
        (["cert.pem", "privkey.pem"], "cert.pem, privkey.pem"),
        (["fullchain.pem", "tls.key"], "fullchain.pem, tls.key"),
        (["tls.crt", "key.pem"], "key.pem, tls.crt"),
    ];
    for has_ca in [true, false] {
        for (names, found) in cases {
            let dir = tempfile::tempdir().unwrap();
            let dir = dir.path();
            let mut running = None;
            if has_ca {
                running = Some(open_tls(dir));
                for file in ["cert.pem", "key.pem"] {
                    fs::remove_file(dir.join(file)).unwrap();
                }
            }
            let expected = put(dir, names[0], names[1]);
            let before = fs::read_dir(dir).unwrap().count();
            let error = Tls::open(dir, &[]).unwrap_err().to_string();
            let says = format!("{} holds {found}, but no certificate", dir.display());
            assert!(error.starts_with(&says), "{error}");
            if let Some(running) = running {
                assert_eq!(running.reload().unwrap_err().to_string(), error);
            }
            match Inspected::of(dir).pair {
                Pair::Unusable(told) => assert_eq!(told.to_string(), error),
                other => panic!("{names:?}: {other:?}"),
            }
            assert_eq!(fs::read_dir(dir).unwrap().count(), before, "{names:?}");

            // "name the certificate cert.pem, with its chain, and its key key.pem"
            for (from, to) in names.iter().zip(["cert.pem", "key.pem"]) {
                fs::rename(dir.join(from), dir.join(to)).unwrap();
            }
            for file in ["ca.pem", "ca-key.pem"] {
                let _ = fs::remove_file(dir.join(file));
            }
            assert!(served(dir).await == expected, "{names:?}");
        }
    }
}

#[test]
fn a_half_beside_a_made_pair_is_told_of() {
    for half in ["fullchain.pem", "privkey.pem", "tls.crt", "tls.key"] {
        let dir = tempfile::tempdir().unwrap();
        open_tls(dir.path());
        fs::copy(dir.path().join("key.pem"), dir.path().join(half)).unwrap();
        let (_, log) = open_logged(dir.path(), &[]);
        let words = format!("beside other files ({half}), which are not used");
        let told = log.lines().find(|line| line.contains(&words));
        assert!(told.is_some_and(|line| line.contains("WARN")), "{log}");
        let notes = Inspected::of(dir.path()).notes.join("\n");
        assert!(notes.contains(&words), "{notes}");
    }
}

#[test]
fn of_two_pairs_none_is_guessed() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "fullchain.pem", "privkey.pem");
    put(dir.path(), "tls.crt", "tls.key");
    let error = Tls::open(dir.path(), &[]).unwrap_err().to_string();
    assert!(
        error.contains("more than one certificate in ") && error.ends_with("its key key.pem"),
        "{error}"
    );
    match Inspected::of(dir.path()).pair {
        Pair::Unusable(told) => assert_eq!(told.to_string(), error),
        other => panic!("{other:?}"),
    }
    fs::rename(dir.path().join("tls.crt"), dir.path().join("cert.pem")).unwrap();
    fs::rename(dir.path().join("tls.key"), dir.path().join("key.pem")).unwrap();
    open_tls(dir.path());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}
