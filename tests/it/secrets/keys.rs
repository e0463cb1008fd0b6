//! Private keys: those that can be read without their line ends, and those that cannot be read.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use relaybox::net::Tls;
use relaybox::net::client::Trust;
use relaybox::net::inspect::{Inspected, Pair};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::leak::Secret;
use super::spoil::{Slip, slip, spoiled};
use crate::support::{Home, Options, Server, until};

const CERTIFICATES: [&str; 2] = ["cert.pem", "ca.pem"];
const KEYS: [&str; 2] = ["key.pem", "ca-key.pem"];

/// A certificate directory, and its keys.
struct Made {
    files: Vec<(&'static str, String)>,
    secret: Secret,
}

static MADE: LazyLock<Made> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    Tls::open(dir.path(), &[]).unwrap();
    let read = |file: &&'static str| (*file, fs::read_to_string(dir.path().join(file)).unwrap());
    let files: Vec<_> = KEYS.iter().chain(&CERTIFICATES).map(read).collect();
    let mut open = Vec::new();
    for (_, pem) in &files[KEYS.len()..] {
        open.extend(CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap));
    }
    let open: Vec<&[u8]> = open.iter().map(AsRef::as_ref).collect();
    let mut secret = Secret::default();
    for (_, pem) in &files[..KEYS.len()] {
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        // It begins as those of all keys of its kind.
        secret.add(&base64.as_bytes()[36..], &open);
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        secret.add(&key.secret_der()[27..], &open);
    }
    Made { files, secret }
});

impl Made {
    fn file(&self, name: &str) -> &str {
        let (_, text) = self.files.iter().find(|(file, _)| *file == name).unwrap();
        text
    }

    fn put(&self, dir: &Path) {
        for (file, text) in &self.files {
            fs::write(dir.join(file), text).unwrap();
        }
    }

    #[track_caller]
    fn assert_hidden(&self, said: &str) {
        let shown = self.secret.shown_in(said);
        assert_eq!(shown, None, "of a key in: {said}");
    }
}

/// All that an error can be made to say.
fn tell(said: &mut String, error: &dyn Error) {
    writeln!(said, "{error}\n{error:?}").unwrap();
    if let Some(cause) = error.source() {
        tell(said, cause);
    }
}

/// Whatever serve, a reload, the watch, doctor and the client's `--ca` say of a directory.
fn said_of(dir: &Path, running: &Tls) -> String {
    let mut said = String::new();
    // A further name: the certificate is made anew, with both keys.
    for hosts in [vec![], vec!["chat.example".to_owned()]] {
        match Tls::open(dir, &hosts) {
            Ok(tls) => writeln!(said, "{tls:?}").unwrap(),
            Err(error) => tell(&mut said, &error),
        }
    }
    let reloaded = running.reload();
    let looked = [running.check_files(), running.check_files()];
    for error in looked
        .into_iter()
        .filter_map(Result::err)
        .chain(reloaded.err())
    {
        tell(&mut said, &error);
    }
    writeln!(said, "{:?}", Inspected::of(dir)).unwrap();
    for file in KEYS.iter().chain(&CERTIFICATES) {
        if let Err(error) = Trust::in_file(&dir.join(file)) {
            tell(&mut said, &error);
        }
    }
    said.replace(&dir.display().to_string(), "DIR")
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_key_is_in_what_is_said_of_it(
        key in select(KEYS.to_vec()),
        place in select(KEYS.iter().chain(&CERTIFICATES).copied().collect::<Vec<_>>()),
        slips in vec(slip(), 0..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        MADE.put(dir.path());
        let running = Tls::open(dir.path(), &[]).unwrap();
        fs::write(dir.path().join(place), spoiled(MADE.file(key).as_bytes(), &slips)).unwrap();
        MADE.assert_hidden(&said_of(dir.path(), &running));
    }
}

/// Both forms in which keys come out of environment variables.
const LOST: [Slip; 2] = [Slip::LineEnds(" "), Slip::LineEnds("\\n")];

#[test]
fn keys_and_certificates_that_have_lost_their_line_ends_are_as_good() {
    for slip in LOST {
        let dir = tempfile::tempdir().unwrap();
        MADE.put(dir.path());
        let running = Tls::open(dir.path(), &[]).unwrap();
        for file in KEYS.iter().chain(&CERTIFICATES) {
            fs::write(
                dir.path().join(file),
                slip.apply(MADE.file(file).as_bytes()),
            )
            .unwrap();
        }
        let found = Inspected::of(dir.path());
        assert!(
            matches!(found.pair, Pair::Usable),
            "{slip:?}: {:?}",
            found.pair
        );
        assert!(found.is_made_here && found.chain.len() == 2, "{slip:?}");
        running.reload().unwrap();
        Trust::in_file(&dir.path().join("ca.pem")).unwrap();
        // Made anew by the CA's key as it is.
        Tls::open(dir.path(), &["chat.example".to_owned()]).unwrap();
        let found = Inspected::of(dir.path());
        assert!(
            matches!(found.pair, Pair::Usable),
            "{slip:?}: {:?}",
            found.pair
        );
        assert!(found.chain[0].covers("chat.example"), "{slip:?}");
        assert_eq!(found.chain[0].is_signed_by_next, Some(true));
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_in_a_sentence() {
    let key = MADE.file("key.pem");
    let half = &key[..key.len() / 2];
    let no_base64 = key.replacen('M', "*", 1);
    let public = key.replace("PRIVATE KEY", "PUBLIC KEY");
    let rsa = key.replace("PRIVATE KEY", "RSA PRIVATE KEY");
    for (file, text, says) in [
        ("key.pem", half, "is not followed by its -----END"),
        ("key.pem", &no_base64, "something that is not base64"),
        ("key.pem", &public, "holds no private key"),
        ("key.pem", &rsa, "holds a key that cannot be used"),
        (
            "key.pem",
            &key.replace("Y-----\n", "Y----\n"),
            "a line begins with -----BEGIN but",
        ),
        ("cert.pem", key, "holds no certificate"),
        (
            "cert.pem",
            &key.replace("PRIVATE KEY", "CERTIFICATE"),
            "holds a certificate that cannot be read",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        MADE.put(dir.path());
        let file = dir.path().join(file);
        fs::write(&file, text).unwrap();
        let error = Tls::open(dir.path(), &[]).unwrap_err().to_string();
        assert!(error.starts_with(&file.display().to_string()), "{error}");
        assert!(error.contains(says), "no {says:?} in {error:?}");
    }
}

#[tokio::test]
async fn a_running_server_its_start_and_doctor_keep_a_spoiled_key_to_themselves() {
    let home = Arc::new(Home::new());
    fs::create_dir_all(home.certs()).unwrap();
    MADE.put(&home.certs());
    let mut server = Server::at(home, Options::new()).await;
    // All on one line, and a hyphen short: neither form, and all of it in one line.
    let line = MADE.file("key.pem").replace('\n', "");
    let told = "the certificates stay as they were";
    for (times, text) in [
        (1, line.replace("-----BEGIN", "----BEGIN")),
        (2, line.replace("-----END", "----END")),
    ] {
        fs::write(server.home.certs().join("key.pem"), text).unwrap();
        until("the sentence", || {
            let found = server.stderr().matches(told).count() >= times;
            async move { found.then_some(()) }
        })
        .await;
        server.signal(Signal::HUP);
        let certs = server.home.certs().display().to_string();
        let doctor = server.home.bare_command(["doctor", "--certs", &certs]);
        let doctor = server.home.run(doctor).await;
        doctor.failure(1, &[]);
        assert!(doctor.stdout.contains("key.pem"), "{doctor:?}");
        MADE.assert_hidden(&format!("{}{}", doctor.stdout, doctor.stderr));
    }
    server.stop().await;
    MADE.assert_hidden(&server.stderr());
    let refused = server.home.serve_fails(&Options::new()).await;
    refused.failure(1, &["key.pem"]);
    MADE.assert_hidden(&format!("{}{}", refused.stdout, refused.stderr));
}
