//! Names that clients ask for in TLS: whatever they are, there is the one certificate. And what the log says of those who
//! are turned away.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::Stdio;
use std::sync::Mutex;

use rustls::version::TLS13;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// The answer to a GET by OpenSSL's client, which asks for this name and trusts this CA.
async fn openssl(server: &Server, dir: &Path, name: &str, more: &[&str]) -> String {
    let address = server.address.to_string();
    let ca = dir.join("ca.pem");
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-ign_eof", "-verify_return_error"])
        .args(["-connect", &address, "-servername", name, "-CAfile"])
        .arg(ca)
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = client.stdin.take().unwrap();
    // Who was turned away reads nothing.
    let _ = stdin.write_all(GET).await;
    let output = tokio::time::timeout(PATIENCE, client.wait_with_output());
    let output = output.await.expect("no answer").unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    format!("{}{told}", String::from_utf8_lossy(&output.stdout))
}

#[tokio::test]
async fn whatever_name_a_client_asks_for_it_gets_the_one_certificate() {
    if std::process::Command::new("openssl")
        .arg("version")
        .output()
        .is_err()
    {
        return eprintln!("skipped: there is no openssl");
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Some(open_tls(dir.path())), options()).await;
    let session = dir.path().join("session");
    let session = session.to_str().unwrap();
    for name in [
        "localhost:8443",
        "[::1]",
        "my_host.example",
        "a-",
        "-a.example",
        "b\u{fc}cher.example",
        "a..b",
        "localhost",
        "unknown.example",
        "192.0.2.7",
    ] {
        for version in ["-tls1_2", "-tls1_3"] {
            let first = ["-sess_out", session];
            // The server knows no X448: it asks again.
            let asked_again = ["-groups", "X448:P-256"];
            let resumed = ["-sess_in", session];
            for how in [&first, &asked_again, &resumed] {
                let more = [version, how[0], how[1]];
                let answer = openssl(&server, dir.path(), name, &more).await;
                assert!(
                    answer.contains("\r\n\r\nhello"),
                    "{name} {version} {how:?}: {answer}"
                );
            }
        }
    }
    server.stop().await;
}

/// What is logged in this thread from now on, at info and above.
fn logged() -> (File, tracing::subscriber::DefaultGuard) {
    let log = tempfile::tempfile().unwrap();
    let writer = Mutex::new(log.try_clone().unwrap());
    let lines = tracing_subscriber::fmt().with_ansi(false);
    let subscriber = lines.with_writer(writer).finish();
    (log, tracing::subscriber::set_default(subscriber))
}

fn text(log: &mut File) -> String {
    let mut text = String::new();
    log.rewind().unwrap();
    log.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn who_is_turned_away_is_told_of_once_with_the_reason_and_the_name() {
    let (dir, stranger) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(Some(open_tls(dir.path())), options()).await;
    open_tls(stranger.path());
    let (mut log, _guard) = logged();
    // Who only connects is no client that is kept out.
    drop(server.connect().await);
    for _ in 0..3 {
        let config = client(stranger.path(), &[&TLS13]);
        connect_tls(&server, config, "localhost").await.unwrap_err();
    }
    server.stop().await;
    let log = text(&mut log);
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("handshake"))
        .collect();
    let [line] = lines.as_slice() else {
        panic!("{log}");
    };
    for words in [
        "INFO",
        "the client does not know the CA of the certificate",
        "name=\"localhost\"",
        "peer=127.0.0.1:",
        "times=1",
    ] {
        assert!(line.contains(words), "no {words:?} in {line}");
    }
}

#[tokio::test]
async fn what_ends_a_handshake_that_asks_for_nothing_known_is_told_too() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Some(open_tls(dir.path())), options()).await;
    let (mut log, _guard) = logged();
    let mut config = client(dir.path(), &[&TLS13]);
    config.alpn_protocols = vec![b"h2".to_vec()];
    connect_tls(&server, config, "localhost").await.unwrap_err();
    server.stop().await;
    let log = text(&mut log);
    assert!(
        log.contains("name=\"localhost\"") && log.contains("any known protocol"),
        "{log}"
    );
}
