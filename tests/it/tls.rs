//! Certificates, made and brought: PROTOCOL section 8.

use std::sync::Arc;

use crate::support::{Home, Options, Server, tls, until};
use rustix::process::Signal;
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ExtendedKeyUsage;
use x509_parser::prelude::FromDer as _;

const HOST: &str = "chat.example.org";

/// Whether a client that trusts the server's own CA accepts it under this name.
async fn known_as(server: &Server, name: &str) -> bool {
    let roots = tls::roots(&server.home.ca());
    tls::connect(&server.address, name, &roots, None)
        .await
        .is_ok()
}

/// A self-signed certificate for `localhost` and its key, as PEM.
fn own_pem() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A home with these files in its certificate directory.
fn home_with(cert: Option<&str>, key: Option<&str>) -> Arc<Home> {
    let home = Home::new();
    for (name, pem) in [("certs/cert.pem", cert), ("certs/key.pem", key)] {
        if let Some(pem) = pem {
            home.write(name, pem);
        }
    }
    Arc::new(home)
}

/// The certificate that the server shows to one who trusts this PEM file.
async fn shown(server: &Server, trusted: &std::path::Path) -> Option<Vec<u8>> {
    let roots = tls::roots(trusted);
    let stream = tls::connect(&server.address, "localhost", &roots, None)
        .await
        .ok()?;
    let chain = stream.get_ref().1.peer_certificates()?;
    Some(chain.first()?.to_vec())
}

#[tokio::test]
async fn a_first_start_makes_a_ca_and_a_certificate_for_its_names() {
    let server = Server::with(Options::new().args(&["--host", HOST, "--host", "192.0.2.7"])).await;
    for name in [HOST, "192.0.2.7", "localhost", "127.0.0.1", "::1"] {
        assert!(known_as(&server, name).await, "{name}");
    }
    for name in ["example.org", "other.example.org", "192.0.2.8"] {
        assert!(!known_as(&server, name).await, "{name}");
    }
    let mut keys = 0;
    for entry in std::fs::read_dir(server.home.certs()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        if text.contains("PRIVATE KEY") {
            keys += 1;
            assert_eq!(server.home.mode(&path), 0o600, "{path:?}");
        }
    }
    assert_eq!(keys, 2, "the CA's key and the certificate's");
}

#[tokio::test]
async fn host_is_taken_as_people_write_it_and_a_wrong_one_is_named() {
    let given = ["--host", "[2001:db8::2]", "--host", "b\u{fc}cher.example"];
    let server = Server::with(Options::new().args(&given)).await;
    for name in ["2001:db8::2", "xn--bcher-kva.example"] {
        assert!(known_as(&server, name).await, "{name}");
    }
    for wrong in [
        "https://b.example",
        "b.example:8443",
        "[b.example]",
        "b..example",
        "",
    ] {
        let mut args = vec!["--host", "a.example", "--host", wrong];
        args.extend(["--host", "c.example"]);
        let refused = Home::new().serve_fails(&Options::new().args(&args)).await;
        let words = ["setting host", "value 2 of 3", "a host name such as"];
        refused.failure(2, &words);
    }
}

#[tokio::test]
async fn only_tls_1_2_and_1_3_are_spoken() {
    let server = Server::start().await;
    let roots = tls::roots(&server.home.ca());
    for (version, spoken) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let stream = tls::connect(&server.address, "localhost", &roots, Some(version)).await;
        assert_eq!(stream.unwrap().get_ref().1.protocol_version(), Some(spoken));
    }
}

#[tokio::test]
async fn what_is_made_serves_servers_and_nothing_else() {
    let server = Server::start().await;
    let ca = server.home.ca();
    let server_alone = ExtendedKeyUsage {
        any: false,
        server_auth: true,
        client_auth: false,
        code_signing: false,
        email_protection: false,
        time_stamping: false,
        ocsp_signing: false,
        other: Vec::new(),
    };
    for file in [ca.with_file_name("cert.pem"), ca] {
        let made = CertificateDer::from_pem_file(&file).unwrap();
        let (_, made) = X509Certificate::from_der(&made).unwrap();
        let usage = made.extended_key_usage().unwrap();
        let usage = usage.map(|usage| usage.value);
        assert_eq!(usage, Some(&server_alone), "{}", file.display());
    }
}

#[tokio::test]
async fn a_client_that_does_not_know_the_ca_refuses_the_server() {
    let server = Server::start().await;
    let other = Home::new();
    let stranger = other.write("ca.pem", own_pem().0);
    assert!(shown(&server, &stranger).await.is_none());
    server.user("u1").await;
}

#[tokio::test]
async fn made_certificates_are_kept_over_restarts_and_made_anew_for_new_names() {
    let mut server = Server::start().await;
    let read = |server: &Server, name: &str| std::fs::read(server.home.certs().join(name)).unwrap();
    let names = ["ca.pem", "cert.pem", "key.pem"];
    let before: Vec<_> = names.iter().map(|name| read(&server, name)).collect();
    server.restart().await;
    let after: Vec<_> = names.iter().map(|name| read(&server, name)).collect();
    assert!(before == after, "made anew without need");

    server.change(Options::new().args(&["--host", HOST]));
    server.restart().await;
    assert!(known_as(&server, HOST).await);
    // The CA may sign for these names alone: it is another one, and the log says so.
    assert!(read(&server, "ca.pem") != before[0], "the old CA");
    server.says("the CA was made anew").await;
}

#[tokio::test]
async fn own_files_are_used_and_left_as_they_are() {
    let (cert, key) = own_pem();
    let home = home_with(Some(&cert), Some(&key));
    let server = Server::at(home.clone(), Options::new().args(&["--host", HOST])).await;
    let expected = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    let found = shown(&server, &home.certs().join("cert.pem"))
        .await
        .unwrap();
    assert!(found == expected.as_ref(), "another certificate is shown");
    for (name, text) in [("cert.pem", &cert), ("key.pem", &key)] {
        let now = std::fs::read_to_string(home.certs().join(name)).unwrap();
        assert!(now == *text, "{name} was changed");
    }
    assert!(!home.ca().exists(), "a CA that nobody needs");
}

#[tokio::test]
async fn broken_files_are_named_and_nothing_is_started_or_changed() {
    let (cert, key) = own_pem();
    let (_, other_key) = own_pem();
    let cut = |pem: &str| pem.lines().take(3).collect::<Vec<_>>().join("\n");
    let garbled = cert.replace("MII", "!!!");
    let empty_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    // case, certificate, key, the file to be named
    let cases = [
        (
            "another's key",
            Some(cert.clone()),
            Some(other_key),
            "key.pem",
        ),
        (
            "no PEM at all",
            Some("hello".into()),
            Some(key.clone()),
            "cert.pem",
        ),
        ("empty", Some(String::new()), Some(key.clone()), "cert.pem"),
        ("cut short", Some(cut(&cert)), Some(key.clone()), "cert.pem"),
        ("garbled", Some(garbled), Some(key.clone()), "cert.pem"),
        (
            "not DER",
            Some(empty_certificate.into()),
            Some(key.clone()),
            "cert.pem",
        ),
        (
            "a key as certificate",
            Some(key.clone()),
            Some(key.clone()),
            "cert.pem",
        ),
        (
            "no PEM key",
            Some(cert.clone()),
            Some("hello".into()),
            "key.pem",
        ),
        (
            "empty key",
            Some(cert.clone()),
            Some(String::new()),
            "key.pem",
        ),
        (
            "key cut short",
            Some(cert.clone()),
            Some(cut(&key)),
            "key.pem",
        ),
        (
            "a certificate as key",
            Some(cert.clone()),
            Some(cert.clone()),
            "key.pem",
        ),
        ("the key is missing", Some(cert.clone()), None, "key.pem"),
        (
            "the certificate is missing",
            None,
            Some(key.clone()),
            "cert.pem",
        ),
    ];
    for (case, cert, key, named) in cases {
        let home = home_with(cert.as_deref(), key.as_deref());
        let outcome = home.serve_fails(&Options::new()).await;
        assert!(outcome.stderr.contains(named), "{case}: {outcome:?}");
        assert!(!outcome.stdout.contains("ready"), "{case}: {outcome:?}");
        outcome.failure(1, &[]);
        if let Some(key) = &key {
            let line = key.lines().nth(1).unwrap_or("PRIVATE KEY");
            assert!(
                !outcome.stderr.contains(line),
                "{case}: a key's bytes are logged"
            );
        }
        let now = std::fs::read_to_string(home.certs().join("cert.pem")).ok();
        assert!(now == cert, "{case}: cert.pem was changed");
        let now = std::fs::read_to_string(home.certs().join("key.pem")).ok();
        assert!(now == key, "{case}: key.pem was changed");
    }
}

#[tokio::test]
async fn sighup_takes_new_files_and_keeps_sessions() {
    let (cert, key) = own_pem();
    let home = home_with(Some(&cert), Some(&key));
    let server = Server::at(home.clone(), Options::new()).await;
    let first = home.certs().join("cert.pem");
    let old = shown(&server, &first).await.unwrap();

    // Broken files are refused, and the good ones stay in use.
    home.write("certs/cert.pem", "broken");
    server.signal(Signal::HUP);
    until("the reload to be refused", async || {
        server.stderr().contains("cert.pem").then_some(())
    })
    .await;
    let trusted = home.write("old.pem", &cert);
    assert!(shown(&server, &trusted).await.unwrap() == old);

    let (cert, key) = own_pem();
    home.write("certs/cert.pem", &cert);
    home.write("certs/key.pem", &key);
    server.signal(Signal::HUP);
    let new = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    until("the new certificate", async || {
        (shown(&server, &first).await? == new.as_ref()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn changed_files_are_taken_without_a_signal_and_a_session_lives_on() {
    let (cert, key) = own_pem();
    let home = home_with(Some(&cert), Some(&key));
    let (new_cert, new_key) = own_pem();
    home.write("certs/ca.pem", format!("{cert}{new_cert}"));
    let server = Server::at(home.clone(), Options::new()).await;
    let mut session = server.user("u1").await;

    home.write("certs/cert.pem", "broken");
    let refused = "the certificates stay as they were";
    until("the broken file to be told of", async || {
        server.stderr().contains(refused).then_some(())
    })
    .await;
    let log = server.stderr();
    let line = log.lines().find(|line| line.contains(refused)).unwrap();
    assert!(
        line.contains("ERROR") && line.contains("cert.pem"),
        "{line}"
    );
    let old = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    assert!(shown(&server, &home.ca()).await.unwrap() == old.as_ref());

    home.write("certs/cert.pem", &new_cert);
    home.write("certs/key.pem", &new_key);
    let new = CertificateDer::from_pem_slice(new_cert.as_bytes()).unwrap();
    until("the new certificate", async || {
        (shown(&server, &home.ca()).await? == new.as_ref()).then_some(())
    })
    .await;
    let mut other = server.user("u2").await;
    other.say("u1", "still there?").await;
    assert_eq!(session.message().await["content"], "still there?");
    assert_eq!(server.stderr().matches(refused).count(), 1);
}
