//! Handshakes of clients of either version.

use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn clients_of_1_2_and_1_3_are_served_under_every_name() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = ["chat.example".to_owned(), "192.0.2.7".to_owned()];
    let tls = Tls::open(dir.path(), &hosts).unwrap();
    let server = Server::start(Some(tls), options()).await;
    let names = ["localhost", "127.0.0.1", "::1", "chat.example", "192.0.2.7"];
    for (version, expected) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        for name in names {
            let mut config = client(dir.path(), &[version]);
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            let mut stream = connect_tls(&server, config, name).await.unwrap();
            let answer = ask(&mut stream, GET, "hello").await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            let (_, session) = stream.get_ref();
            assert_eq!(session.protocol_version(), Some(expected));
            assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        }
        let refused = connect_tls(&server, client(dir.path(), &[version]), "other.example");
        assert!(refused.await.is_err());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_its_session() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Some(open_tls(dir.path())), options()).await;
    for version in [&TLS12, &TLS13] {
        let connector = TlsConnector::from(Arc::new(client(dir.path(), &[version])));
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = connector
                .connect(name, server.connect().await)
                .await
                .unwrap();
            ask(&mut stream, GET, "hello").await;
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
        }
        assert_ne!(kinds[0], HandshakeKind::Resumed);
        assert_eq!(kinds[1], HandshakeKind::Resumed);
    }
    server.stop().await;
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Some(open_tls(dir.path())), options()).await;
    let mut stream = server.connect().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    let answer = String::from_utf8(until_closed(&mut stream).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("speaks https"), "{answer}");

    let mut noise = server.connect().await;
    noise.write_all(b"\x00\x01\x02 no protocol").await.unwrap();
    until_closed(&mut noise).await;
    server.stop().await;
}

#[tokio::test]
async fn the_peer_address_reaches_the_handler() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Some(open_tls(dir.path())), options()).await;
    let mut stream = connect_tls(&server, client(dir.path(), &[&TLS13]), "localhost")
        .await
        .unwrap();
    let peer = stream.get_ref().0.local_addr().unwrap().ip().to_string();
    let request = "GET /peer HTTP/1.1\r\nhost: x\r\n\r\n";
    ask(&mut stream, request, &peer).await;
    server.stop().await;
}

#[tokio::test]
async fn a_reload_serves_the_new_certificate_and_a_failed_one_keeps_the_old() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tls = open_tls(old.path());
    let ours = tempfile::tempdir().unwrap();
    let copy = |from: &tempfile::TempDir, file: &str| {
        std::fs::copy(from.path().join(file), ours.path().join(file)).unwrap();
    };
    drop(tls);
    open_tls(new.path());
    for file in ["cert.pem", "key.pem"] {
        copy(&old, file);
    }
    let tls = open_tls(ours.path());
    let server = Server::start(Some(tls.clone()), options()).await;
    let trusts = async |dir: &tempfile::TempDir| {
        let config = client(dir.path(), &[&TLS13]);
        connect_tls(&server, config, "localhost").await.is_ok()
    };
    assert!(trusts(&old).await && !trusts(&new).await);

    copy(&new, "cert.pem");
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("is not the key of"), "{error}");
    assert!(trusts(&old).await);

    for file in ["cert.pem", "key.pem"] {
        std::fs::remove_file(ours.path().join(file)).unwrap();
    }
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("cert.pem"), "{error}");
    assert!(!ours.path().join("cert.pem").exists(), "none is made");
    assert!(trusts(&old).await);

    for file in ["cert.pem", "key.pem"] {
        copy(&new, file);
    }
    let mut before = connect_tls(&server, client(old.path(), &[&TLS13]), "localhost")
        .await
        .unwrap();
    tls.reload().unwrap();
    assert!(trusts(&new).await && !trusts(&old).await);
    ask(&mut before, GET, "hello").await;
    server.stop().await;
}

#[tokio::test]
async fn an_upgraded_connection_ends_with_close_and_close_notify() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Some(open_tls(dir.path())), options()).await;
    for version in [&TLS12, &TLS13] {
        let mut stream = connect_tls(&server, client(dir.path(), &[version]), "localhost")
            .await
            .unwrap();
        let answer = ask(&mut stream, UPGRADE, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let empty_text = b"\x81\x80\x01\x02\x03\x04";
        let answer_to_close = b"\x88\x82\x01\x02\x03\x04\x02\xea";
        stream.write_all(empty_text).await.unwrap();
        stream.write_all(answer_to_close).await.unwrap();
        let mut rest = Vec::new();
        // Without a close_notify this read would end in an error.
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"\x88\x05\x03\xe8bye");
    }
    server.stop().await;
}
