//! Names that clients ask for in TLS: whatever they are, there is the one certificate. And what the log says of those who
//! are turned away.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::Stdio;
use std::sync::Mutex;

use rustls::version::{TLS12, TLS13};
use tokio::io::DuplexStream;
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
    for (name, is_hidden) in [
        ("localhost:8443", true),
        ("[::1]", true),
        ("my_host.example", false),
        ("a-", true),
        ("-a.example", true),
        ("b\u{fc}cher.example", true),
        ("a..b", true),
        ("localhost", false),
        ("unknown.example", false),
        ("192.0.2.7", false),
    ] {
        for version in ["-tls1_2", "-tls1_3"] {
            let first = ["-sess_out", session];
            // The server knows no X448: it asks again.
            let asked_again = ["-groups", "X448:P-256"];
            let resumed = ["-sess_in", session];
            for how in [&first, &asked_again, &resumed] {
                let more = [version, how[0], how[1]];
                let answer = openssl(&server, dir.path(), name, &more).await;
                // What comes after a HelloRetryRequest is not looked at.
                let is_refused = is_hidden && version == "-tls1_3" && how == &asked_again;
                let is_answered = answer.contains("\r\n\r\nhello");
                assert_eq!(
                    is_answered, !is_refused,
                    "{name} {version} {how:?}: {answer}"
                );
            }
        }
    }
    server.stop().await;
}

/// What somebody on the way makes of a client's first record.
type Rewrite = fn(Vec<u8>) -> Vec<u8>;

/// Connects a client that asks for `localhost` through somebody who writes its first record anew.
async fn connect_rewritten(
    server: &Server,
    config: ClientConfig,
    rewrite: Rewrite,
) -> std::io::Result<TlsStream<DuplexStream>> {
    let (client, mut middle) = tokio::io::duplex(1 << 16);
    let mut tcp = server.connect().await;
    tokio::spawn(async move {
        let mut record = vec![0; 5];
        middle.read_exact(&mut record).await.unwrap();
        let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
        record.resize(5 + length, 0);
        middle.read_exact(&mut record[5..]).await.unwrap();
        tcp.write_all(&rewrite(record)).await.unwrap();
        // Either end may be gone by then.
        let _ = tokio::io::copy_bidirectional(&mut middle, &mut tcp).await;
    });
    let name = ServerName::try_from("localhost").unwrap();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, client);
    let connected = tokio::time::timeout(PATIENCE, connecting);
    connected.await.expect("no end of the handshake")
}

/// The same message in records of 40 bytes each.
fn cut(record: Vec<u8>) -> Vec<u8> {
    let pieces = record[5..].chunks(40);
    let records = pieces.map(|piece| [&record[..3], &[0, piece.len() as u8], piece].concat());
    records.collect::<Vec<_>>().concat()
}

/// Gives the extension of the server name the number that hidden ones have.
fn renumbered(mut record: Vec<u8>) -> Vec<u8> {
    let name = b"localhost";
    let at = record
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    // Before the name: the numbers and lengths of the extension, of the list and of the name.
    let number = &mut record[at - 9..at - 7];
    assert_eq!(number, [0, 0]);
    number.copy_from_slice(&[0xff, 0x5e]);
    record
}

#[tokio::test]
async fn a_hello_that_was_changed_on_its_way_is_noticed_and_one_that_comes_in_pieces_is_not_another()
 {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Some(open_tls(dir.path())), options()).await;
    let rewrites: [(&str, Rewrite, bool); 4] = [
        ("as it is", |record| record, true),
        ("cut", cut, true),
        ("renumbered", renumbered, false),
        (
            "renumbered and cut",
            |record| cut(renumbered(record)),
            false,
        ),
    ];
    for (how, rewrite, is_connected) in rewrites {
        for version in [&TLS12, &TLS13] {
            let config = client(dir.path(), &[version]);
            let connected = connect_rewritten(&server, config, rewrite).await;
            assert_eq!(connected.is_ok(), is_connected, "{how}, {version:?}");
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
        "peer=127.0.0.1 ",
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
