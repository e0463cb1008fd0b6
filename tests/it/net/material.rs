//! Files of keys and certificates as people have them: taken where there is no doubt, else named for what they are.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::process::{Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair};
use relaybox::net::inspect::{Inspected, Pair, gap};

use super::certificates::{days_from_now, open_logged, write_own};
use super::*;

/// A leaf, its intermediate and its key, in PEM.
fn issued() -> [String; 3] {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let root = KeyPair::generate().unwrap();
    let root = CertifiedIssuer::self_signed(authority("Root"), root).unwrap();
    let between = KeyPair::generate().unwrap();
    let between = CertifiedIssuer::signed_by(authority("Between"), between, &root).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &between).unwrap();
    [leaf.pem(), between.pem(), key.serialize_pem()]
}

/// What a start, a reload of a server that runs, and doctor say of a directory: the same.
#[track_caller]
fn refused(dir: &Path, running: &Tls) -> String {
    let start = Tls::open(dir, &[]).unwrap_err().to_string();
    assert_eq!(running.reload().unwrap_err().to_string(), start);
    match Inspected::of(dir).pair {
        Pair::Unusable(error) => assert_eq!(error.to_string(), start),
        other => panic!("{other:?} though {start}"),
    }
    start
}

fn utf_16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let text = format!("\u{feff}{text}");
    text.encode_utf16().flat_map(unit).collect()
}

#[test]
fn files_are_taken_as_people_have_them() {
    let [leaf, between, key] = issued();
    let other = KeyPair::generate().unwrap().serialize_pem();
    let chain = format!("{leaf}{between}");
    let bytes = |text: &str| text.as_bytes().to_vec();
    let line = |text: &str| bytes(&text.replace('\n', " "));
    let cases = [
        ("as it should be", bytes(&chain), bytes(&key)),
        (
            "a mark in front",
            bytes(&format!("\u{feff}{chain}")),
            bytes(&format!("\u{feff}{key}")),
        ),
        (
            "a mark in between",
            bytes(&format!("{leaf}\u{feff}{between}")),
            bytes(&key),
        ),
        (
            "UTF-16",
            utf_16(&chain, u16::to_le_bytes),
            utf_16(&key, u16::to_be_bytes),
        ),
        (
            "indented",
            bytes(&chain.replace('\n', "\n    ")),
            bytes(&format!("\t{key}")),
        ),
        (
            "intermediate first",
            bytes(&format!("{between}{leaf}")),
            bytes(&key),
        ),
        (
            "the leaf twice",
            bytes(&format!("{leaf}{leaf}{between}")),
            bytes(&key),
        ),
        ("one line", line(&chain), line(&key)),
        (
            "a variable",
            bytes(&chain),
            bytes(&format!("KEY=\"{}\"\n", key.replace('\n', "\\n"))),
        ),
        (
            "joined",
            bytes(&format!("{}{between}", leaf.trim_end())),
            bytes(&key),
        ),
        (
            "returns",
            bytes(&chain.replace('\n', "\r")),
            bytes(&key.replace('\n', "\r\n")),
        ),
        (
            "an old label",
            bytes(&chain.replace("CERTIFICATE", "X509 CERTIFICATE")),
            bytes(&key),
        ),
        (
            "all in both",
            bytes(&format!("{key}{chain}")),
            bytes(&format!("{chain}{key}")),
        ),
        (
            "another key in front",
            bytes(&chain),
            bytes(&format!("{other}{key}")),
        ),
    ];
    for (case, certificate, key) in cases {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cert.pem"), certificate).unwrap();
        fs::write(dir.path().join("key.pem"), key).unwrap();
        let (tls, log) = open_logged(dir.path(), &[]);
        tls.reload()
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(!log.contains("WARN"), "{case}: {log}");
        let found = Inspected::of(dir.path());
        assert!(
            matches!(found.pair, Pair::Usable),
            "{case}: {:?}",
            found.pair
        );
        assert_eq!(found.chain.len(), 2, "{case}");
        assert!(
            found.chain[0].covers("localhost"),
            "{case}: not the server's own"
        );
        assert_eq!(gap(&found.chain), None, "{case}");
    }
}

#[test]
fn of_several_certificates_with_a_key_the_one_that_clients_take_is_served() {
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "Root");
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::from_params(&ca, &ca_key);
    let leaf = |begin_days, end_days| {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = days_from_now(begin_days);
        params.not_after = days_from_now(end_days);
        params.signed_by(&key, &issuer).unwrap().pem()
    };
    let (expired, good) = (leaf(-90, -1), leaf(-30, 60));
    let (ends_sooner, not_yet) = (leaf(-60, 30), leaf(5, 300));
    let keys = [&ca_key, &key].map(KeyPair::serialize_pem);
    let of_leaf = keys[1].clone();
    for (case, certificates, keys) in [
        ("a CA's", format!("{good}{ca_pem}"), keys.concat()),
        ("a CA's, in front", format!("{ca_pem}{good}"), keys.concat()),
        (
            "expired",
            format!("{expired}{good}{ca_pem}"),
            of_leaf.clone(),
        ),
        (
            "of a shorter time",
            format!("{ends_sooner}{good}{ca_pem}"),
            of_leaf.clone(),
        ),
        (
            "good later",
            format!("{not_yet}{good}{ca_pem}"),
            of_leaf.clone(),
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cert.pem"), certificates).unwrap();
        fs::write(dir.path().join("key.pem"), keys).unwrap();
        open_tls(dir.path());
        let found = Inspected::of(dir.path());
        let end_s = days_from_now(60).unix_timestamp();
        let shown_s = found.chain[0].not_after_s;
        assert!(
            (shown_s - end_s).abs() < 3600,
            "{case}: {:?}",
            found.chain[0]
        );
        assert_eq!(found.chain[0].is_signed_by_next, Some(true), "{case}");
    }
}

#[test]
fn what_is_left_out_or_missing_of_a_chain_is_told_at_the_start_in_the_words_of_doctor() {
    let [leaf, between, key] = issued();
    let [_, stranger, _] = issued();
    let request = "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n";
    let odd = "-----BEGIN NEWS-----\nMIIB\n-----END NEWS-----\n";
    for (case, certificate, words) in [
        (
            "no intermediate",
            leaf.clone(),
            "do not know CN=Between refuse it",
        ),
        (
            "another's",
            format!("{leaf}{stranger}"),
            "number 1 a certificate that is not signed by",
        ),
        (
            "a request",
            format!("{leaf}{between}{request}"),
            "a request for a certificate, too",
        ),
        (
            "an unknown block",
            format!("{leaf}{between}{odd}"),
            "a kind that is not known here, too",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cert.pem"), certificate).unwrap();
        fs::write(dir.path().join("key.pem"), &key).unwrap();
        let (_, log) = open_logged(dir.path(), &[]);
        let warned = log.lines().find(|line| line.contains(words));
        assert!(
            warned.is_some_and(|line| line.contains("WARN")),
            "{case}: {log}"
        );
        let found = Inspected::of(dir.path());
        let gap = gap(&found.chain).map(|gap| gap.to_string());
        let said: Vec<_> = gap.into_iter().chain(found.notes).collect();
        assert!(
            said.len() == 1 && said[0].contains(words),
            "{case}: {said:?}"
        );
    }
}

/// Runs a line of shell in a directory, without a terminal; a passphrase that is asked for is `secret`.
fn shell(dir: &Path, line: &str) -> bool {
    let mut child = Command::new("setsid")
        .args(["-w", "sh", "-ec", line])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Who asks for nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(b"secret\nsecret\n");
    child.wait().unwrap().success()
}

/// Whether these tests can make their files; says so where not.
fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok();
    if !found {
        eprintln!("skipped: there is no openssl");
    }
    found
}

#[test]
fn what_cannot_be_taken_is_named_and_the_line_that_is_given_makes_it_right() {
    if !has_openssl() {
        return;
    }
    let running_dir = tempfile::tempdir().unwrap();
    for (spoil, words) in [
        (
            "openssl pkcs8 -topk8 -in key.pem -passout pass:secret -out k",
            "is encrypted with a passphrase",
        ),
        (
            "openssl ec -in key.pem -aes128 -passout pass:secret -out k",
            "is encrypted with a passphrase",
        ),
        (
            "openssl pkcs8 -topk8 -in key.pem -passout pass:secret -outform DER -out k",
            "is encrypted with a passphrase",
        ),
        (
            "openssl pkey -in key.pem -outform DER -out k",
            "key.pem holds a private key in DER",
        ),
        (
            "openssl ec -in key.pem -outform DER -out k",
            "key.pem holds a private key in DER",
        ),
        (
            "openssl x509 -in cert.pem -outform DER -out c",
            "cert.pem holds a certificate in DER",
        ),
        (
            "openssl x509 -in cert.pem -trustout -out c",
            "TRUSTED CERTIFICATE",
        ),
        (
            "openssl crl2pkcs7 -nocrl -certfile cert.pem -out c",
            "certificates in PKCS#7",
        ),
        (
            "openssl crl2pkcs7 -nocrl -certfile cert.pem -outform DER -out c",
            "certificates in PKCS#7",
        ),
        (
            "openssl pkcs12 -export -inkey key.pem -in cert.pem -passout pass:secret -out c",
            "cert.pem holds PKCS#12",
        ),
        (
            "openssl pkcs12 -export -inkey key.pem -in cert.pem -passout pass:secret -out k",
            "key.pem holds PKCS#12",
        ),
    ] {
        let parent = tempfile::tempdir().unwrap();
        // The line has to work for such a name, too.
        let dir = parent.path().join("it's here");
        fs::create_dir(&dir).unwrap();
        write_own(&dir, -1, 100);
        let running = open_tls(&dir);
        assert!(shell(&dir, spoil), "{spoil}");
        for (made, file) in [("k", "key.pem"), ("c", "cert.pem")] {
            let made = dir.join(made);
            if made.exists() {
                fs::rename(made, dir.join(file)).unwrap();
            }
        }
        let message = refused(&dir, &running);
        assert!(message.contains(words), "{spoil}: {message}");
        let (_, line) = message.split_once(": openssl ").expect(&message);
        let files = ["cert.pem", "key.pem"].map(|file| dir.join(file));
        for file in &files {
            fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
            // Who is not root has files of one owner alone.
            let _ = chown(file, Some(12_345), Some(12_346));
        }
        let rights = || {
            let found = files.iter().map(|file| fs::metadata(file).unwrap());
            let rights = found.map(|found| (found.uid(), found.gid(), found.mode()));
            rights.collect::<Vec<_>>()
        };
        let before = rights();
        assert!(
            shell(running_dir.path(), &format!("openssl {line}")),
            "{message}"
        );
        assert_eq!(rights(), before, "{message}");
        running
            .reload()
            .unwrap_or_else(|error| panic!("{spoil}: {error}"));
    }
}

#[test]
fn a_chain_with_trust_settings_is_made_right_as_a_whole() {
    if !has_openssl() {
        return;
    }
    let [leaf, between, key] = issued();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("key.pem"), key).unwrap();
    fs::write(dir.join("cert.pem"), "").unwrap();
    for (name, pem) in [("1", leaf), ("2", between)] {
        fs::write(dir.join(name), pem).unwrap();
        let line = format!("openssl x509 -in {name} -trustout >> cert.pem");
        assert!(shell(dir, &line));
    }
    let message = Tls::open(dir, &[]).unwrap_err().to_string();
    let (_, line) = message.split_once(": openssl ").expect(&message);
    assert!(shell(dir, &format!("openssl {line}")), "{message}");
    open_tls(dir);
    let found = Inspected::of(dir);
    assert_eq!((found.chain.len(), gap(&found.chain)), (2, None));
}

#[test]
fn keys_that_tls_cannot_use_are_named() {
    if !has_openssl() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (how, words) in [
        (
            "-algorithm RSA -pkeyopt rsa_keygen_bits:1024",
            "RSA of less than 2048 bits",
        ),
        ("-algorithm RSA-PSS", "RSA-PSS"),
        ("-algorithm ED448", "Ed448"),
        ("-algorithm X25519", "for key exchange alone"),
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1",
            "ECDSA on a curve that TLS",
        ),
        (
            "-genparam -algorithm DSA -out p && openssl genpkey -paramfile p",
            "DSA",
        ),
    ] {
        write_own(dir, -1, 100);
        let running = open_tls(dir);
        assert!(
            shell(dir, &format!("openssl genpkey {how} -out key.pem")),
            "{how}"
        );
        let message = refused(dir, &running);
        assert!(
            message.contains(&format!("cannot be used, {words}")),
            "{how}: {message}"
        );
        let (_, line) = message.split_once(": openssl ").expect(&message);
        assert!(shell(dir, &format!("openssl {line}")), "{message}");
        // It is a good one, of another certificate: as the sentence says.
        let message = refused(dir, &running);
        assert!(
            message.contains("is not the key of the certificate"),
            "{message}"
        );
    }
}

#[test]
fn files_in_the_place_of_others_are_named() {
    let [leaf, between, key] = issued();
    let (certificate, other) = (format!("{leaf}{between}"), KeyPair::generate().unwrap());
    let request = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let request = request.serialize_request(&other).unwrap().pem().unwrap();
    let (other, public) = (other.serialize_pem(), other.public_key_pem());
    for (cert, key, words) in [
        (&key, &certificate, "they are swapped, exchange them"),
        (
            &key,
            &key,
            "cert.pem holds no certificate, but a private key",
        ),
        (
            &request,
            &key,
            "cert.pem holds no certificate, but a request for one",
        ),
        (
            &public,
            &key,
            "cert.pem holds no certificate, but a public key",
        ),
        (
            &certificate,
            &certificate,
            "key.pem holds no private key, but a certificate",
        ),
        (
            &certificate,
            &request,
            "key.pem holds no private key, but a request",
        ),
        (
            &certificate,
            &public,
            "key.pem holds no private key, but a public one",
        ),
        (
            &certificate,
            &other,
            "key.pem is not the key of the certificate in",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        write_own(dir.path(), -1, 100);
        let running = open_tls(dir.path());
        fs::write(dir.path().join("cert.pem"), cert).unwrap();
        fs::write(dir.path().join("key.pem"), key).unwrap();
        let message = refused(dir.path(), &running);
        assert!(message.contains(words), "no {words:?} in {message:?}");
    }
}
