//! Certificates that are exchanged while connections are open.

use std::fs;
use std::os::unix::fs::symlink;

use relaybox::clock::{Clock as _, ManualClock, SystemClock};
use relaybox::net::tls::{Exchanges, FileCheck};
use relaybox::net::watch;
use rustls::version::TLS13;

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const LOOK: Duration = Duration::from_millis(5);

/// A server that looks at its certificate all the time.
async fn watched(tls: &Tls) -> Server {
    let server = Server::start(Some(tls.clone()), options()).await;
    let watching = watch(tls.clone(), LOOK, server.token.clone());
    server.tracker.spawn(watching);
    server
}

/// Waits until a client that trusts the CA of `dir`, and nothing else, is let in.
async fn until_trusted_by(server: &Server, dir: &Path) {
    until(async || {
        let config = client(dir, &[&TLS13]);
        connect_tls(server, config, "localhost").await.is_ok()
    })
    .await;
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("it never came");
}

/// A directory with a certificate of its own CA.
fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    open_tls(dir.path());
    dir
}

/// Writes a file by a rename, so that nobody sees half of it.
fn put(dir: &Path, file: &str, content: impl AsRef<[u8]>) {
    let new = dir.join(format!("{file}.tmp"));
    fs::write(&new, content).unwrap();
    fs::rename(new, dir.join(file)).unwrap();
}

fn replace(from: &Path, to: &Path, file: &str) {
    put(to, file, fs::read(from.join(file)).unwrap());
}

#[tokio::test]
async fn changed_files_are_served_to_new_connections_and_old_ones_go_on() {
    let (old, new, ours) = (made(), made(), tempfile::tempdir().unwrap());
    for file in ["cert.pem", "key.pem"] {
        replace(old.path(), ours.path(), file);
    }
    let tls = open_tls(ours.path());
    let server = watched(&tls).await;
    let config = client(old.path(), &[&TLS13]);
    let mut before = connect_tls(&server, config, "localhost").await.unwrap();
    ask(&mut before, GET, "hello").await;
    for file in ["key.pem", "cert.pem"] {
        replace(new.path(), ours.path(), file);
    }
    until_trusted_by(&server, new.path()).await;
    ask(&mut before, GET, "hello").await;
    let config = client(old.path(), &[&TLS13]);
    assert!(connect_tls(&server, config, "localhost").await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn links_that_are_turned_elsewhere_are_followed() {
    let (old, new, ours) = (made(), made(), tempfile::tempdir().unwrap());
    // As Kubernetes does it: the files are links through a link that is replaced by a rename.
    symlink(old.path(), ours.path().join("..data")).unwrap();
    for file in ["cert.pem", "key.pem"] {
        symlink(format!("..data/{file}"), ours.path().join(file)).unwrap();
    }
    let tls = open_tls(ours.path());
    let server = watched(&tls).await;
    until_trusted_by(&server, old.path()).await;
    symlink(new.path(), ours.path().join("..data_tmp")).unwrap();
    fs::rename(ours.path().join("..data_tmp"), ours.path().join("..data")).unwrap();
    until_trusted_by(&server, new.path()).await;
    let counted = tls.exchanges();
    assert_eq!((counted.exchanged, counted.refused), (1, 0));
    server.stop().await;
}

#[tokio::test]
async fn broken_files_are_refused_once_each_and_later_good_ones_are_taken() {
    type Spoil = fn(&Path);
    let spoils: [Spoil; 5] = [
        |dir| put(dir, "cert.pem", "broken"),
        |dir| put(dir, "key.pem", ""),
        |dir| fs::remove_file(dir.join("key.pem")).unwrap(),
        |dir| fs::remove_file(dir.join("cert.pem")).unwrap(),
        |dir| fs::create_dir(dir.join("cert.pem")).unwrap(),
    ];
    let (old, ours) = (made(), tempfile::tempdir().unwrap());
    for file in ["cert.pem", "key.pem"] {
        replace(old.path(), ours.path(), file);
    }
    let tls = open_tls(ours.path());
    let server = watched(&tls).await;
    for (refused, spoil) in (1..).zip(spoils) {
        spoil(ours.path());
        until(async || tls.exchanges().refused == refused).await;
        // What cannot be used is looked at again, and never told of again.
        for _ in 0..5 {
            tls.check_files().unwrap();
        }
        assert_eq!(tls.exchanges().refused, refused);
        until_trusted_by(&server, old.path()).await;
    }
    fs::remove_dir(ours.path().join("cert.pem")).unwrap();
    let new = made();
    for file in ["cert.pem", "key.pem"] {
        replace(new.path(), ours.path(), file);
    }
    until_trusted_by(&server, new.path()).await;
    until(async || tls.exchanges().exchanged == 1).await;
    server.stop().await;
}

#[tokio::test]
async fn a_made_certificate_is_made_anew_before_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let now_us = SystemClock.now_us();
    let day_us = 24 * 3600 * 1_000_000;
    // So it ends in 29 days, which by its own clock is in 365.
    let clock = Arc::new(ManualClock::new(now_us - 336 * day_us));
    let tls = Tls::open_by(dir.path(), &[], clock.clone()).unwrap();
    let read = || fs::read(dir.path().join("cert.pem")).unwrap();
    let before = read();
    let server = watched(&tls).await;
    until_trusted_by(&server, dir.path()).await;
    clock.set_us(now_us);
    until(async || tls.exchanges().exchanged == 1).await;
    assert!(read() != before, "the file is the old one");
    let config = client(dir.path(), &[&TLS13]);
    let stream = connect_tls(&server, config, "localhost").await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    let expected = CertificateDer::from_pem_slice(&read()).unwrap();
    assert!(shown[0] == expected, "the old one is shown");
    // What it wrote itself is no change.
    for _ in 0..5 {
        tls.check_files().unwrap();
    }
    let expected = Exchanges {
        exchanged: 1,
        refused: 0,
    };
    assert_eq!(tls.exchanges(), expected);
    server.stop().await;
}

#[tokio::test]
async fn a_clock_that_was_ahead_for_a_look_leaves_no_certificate_from_the_future() {
    let dir = tempfile::tempdir().unwrap();
    let now_us = SystemClock.now_us();
    let clock = Arc::new(ManualClock::new(now_us));
    let tls = Tls::open_by(dir.path(), &[], clock.clone()).unwrap();
    let ca = fs::read(dir.path().join("ca.pem")).unwrap();
    let server = Server::start(Some(tls.clone()), options()).await;
    let is_trusted = async || {
        let config = client(dir.path(), &[&TLS13]);
        connect_tls(&server, config, "localhost").await.is_ok()
    };
    clock.set_us(now_us + 400 * 24 * 3600 * 1_000_000);
    assert!(matches!(tls.check_files(), Ok(FileCheck::Loaded)));
    assert!(!is_trusted().await, "the clock was not ahead");
    clock.set_us(now_us);
    assert!(matches!(tls.check_files(), Ok(FileCheck::Loaded)));
    assert!(is_trusted().await);
    assert!(matches!(tls.check_files(), Ok(FileCheck::Unchanged)));
    assert!(fs::read(dir.path().join("ca.pem")).unwrap() == ca);
    server.stop().await;
}
