//! The CA of a certificate directory: nothing that was made here keeps a server from starting, and every advice helps.

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P384_SHA384,
    PKCS_RSA_SHA256,
};
use relaybox::clock::{Clock as _, ManualClock, SystemClock};
use relaybox::net::REPLACE_CA;
use relaybox::net::inspect::{Inspected, Pair};
use rustls::version::TLS13;

use super::certificates::{contents, days_from_now, local_names, open_logged, write_own};
use super::*;

const TRUST: &str = "clients must trust the new ca.pem";
const DAY_US: u64 = 24 * 3600 * 1_000_000;

/// Whether a client that trusts the CA of `trusted` is let in by a server with the certificate of `dir`.
async fn is_trusted(dir: &Path, trusted: &Path) -> bool {
    let server = Server::start(Some(open_tls(dir)), options()).await;
    let config = client(trusted, &[&TLS13]);
    let connected = connect_tls(&server, config, "localhost").await;
    server.stop().await;
    connected.is_ok()
}

/// A CA and a certificate that it has signed, good for so many days from now.
fn write_signed(dir: &Path, name: &str, ca_key: &KeyPair, ca_days: [i64; 2], leaf_days: [i64; 2]) {
    let key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, name);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let mut leaf = CertificateParams::new(local_names()).unwrap();
    for (params, [begin, end]) in [(&mut ca, ca_days), (&mut leaf, leaf_days)] {
        params.not_before = days_from_now(begin);
        params.not_after = days_from_now(end);
    }
    let ca_pem = ca.self_signed(ca_key).unwrap().pem();
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&ca, ca_key));
    fs::write(dir.join("ca.pem"), &ca_pem).unwrap();
    fs::write(dir.join("ca-key.pem"), ca_key.serialize_pem()).unwrap();
    fs::write(dir.join("cert.pem"), leaf.unwrap().pem() + &ca_pem).unwrap();
    fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
}

/// The name that a CA of this key gets here.
fn own_name(key: &KeyPair) -> String {
    let mark = &key.public_key_raw()[1..5];
    let mark: String = mark.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("relaybox local CA {mark}")
}

/// Does what a message advises: takes away the files that it names behind "move", those and no others.
fn follow(dir: &Path, message: &str) {
    let (_, advice) = message.split_once("move ").expect(message);
    let words = advice.split([',', ' ']).filter(|word| !word.is_empty());
    let names = words.take_while(|word| word.ends_with(".pem") || *word == "and");
    let mut removed = 0;
    for name in names.filter(|word| *word != "and") {
        fs::remove_file(dir.join(name)).unwrap();
        removed += 1;
    }
    assert!(removed > 0, "{message}");
}

#[tokio::test]
async fn what_a_clock_far_off_has_made_is_made_anew() {
    // 1971 and 2036.
    for made_at_us in [400 * DAY_US, 24_200 * DAY_US] {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(made_at_us));
        Tls::open_by(dir.path(), &[], clock).unwrap();
        assert!(is_trusted(dir.path(), dir.path()).await, "{made_at_us}");

        // And while the server runs.
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(made_at_us));
        let tls = Tls::open_by(dir.path(), &[], clock.clone()).unwrap();
        clock.set_us(SystemClock.now_us());
        tls.check_files().unwrap();
        let server = Server::start(Some(tls), options()).await;
        let config = client(dir.path(), &[&TLS13]);
        connect_tls(&server, config, "localhost").await.unwrap();
        server.stop().await;
    }
}

#[tokio::test]
async fn a_made_ca_that_is_not_good_now_or_not_for_long_is_made_anew_and_the_log_says_whom_it_concerns()
 {
    let key = KeyPair::generate().unwrap();
    let cases = [
        ("near its end, while a leaf is due", [-3600, 20], [-300, 20]),
        ("near its end, while no leaf is due", [-3600, 80], [-5, 80]),
        ("beyond its end", [-20_000, -16_000], [-20_000, -19_000]),
        ("from the future", [399, 4000], [399, 700]),
    ];
    for (case, ca_days, leaf_days) in cases {
        for name in [own_name(&key), "relaybox local CA".to_owned()] {
            let dir = tempfile::tempdir().unwrap();
            write_signed(dir.path(), &name, &key, ca_days, leaf_days);
            let before = contents(dir.path());
            let (_, log) = open_logged(dir.path(), &[]);
            let told = log.lines().find(|line| line.contains(TRUST));
            assert!(
                told.is_some_and(|line| line.contains("ERROR")),
                "{case}: {log}"
            );
            let after = contents(dir.path());
            assert!(after[0] != before[0], "{case}: the CA is the old one");
            assert!(after[1] == before[1], "{case}: the CA's key is another");
            assert!(is_trusted(dir.path(), dir.path()).await, "{case}");
            let (_, log) = open_logged(dir.path(), &[]);
            assert!(!log.contains(TRUST), "{case}: told of twice: {log}");
            assert_eq!(contents(dir.path()), after, "{case}");
        }
    }
}

#[tokio::test]
async fn who_trusts_the_old_ca_has_time_to_trust_the_new_one() {
    let (dir, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = KeyPair::generate().unwrap();
    write_signed(dir.path(), &own_name(&key), &key, [-3600, 80], [-300, 80]);
    fs::copy(dir.path().join("ca.pem"), old.path().join("ca.pem")).unwrap();
    for trusted in [old.path(), dir.path()] {
        assert!(is_trusted(dir.path(), trusted).await);
    }
    assert!(contents(dir.path())[0] != contents(old.path())[0]);
}

#[tokio::test]
async fn a_file_that_is_missing_of_what_was_made_is_made() {
    let cases: [(&[&str], bool); 7] = [
        (&["cert.pem"], true),
        (&["key.pem"], true),
        (&["cert.pem", "key.pem", "ca.pem"], false),
        (&["cert.pem", "key.pem", "ca-key.pem"], false),
        (&["cert.pem", "ca.pem", "key.pem", "ca-key.pem"], false),
        (&["ca.pem"], true),
        (&["ca-key.pem"], true),
    ];
    for (missing, is_same_ca) in cases {
        let dir = tempfile::tempdir().unwrap();
        open_tls(dir.path());
        let before = contents(dir.path());
        for file in missing {
            fs::remove_file(dir.path().join(file)).unwrap();
        }
        let found = Inspected::of(dir.path()).pair;
        assert!(
            !matches!(found, Pair::Unusable(_)),
            "{missing:?}: {found:?}"
        );
        let (tls, log) = open_logged(dir.path(), &[]);
        drop(tls);
        let after = contents(dir.path());
        for (at, file) in super::certificates::FILES.iter().enumerate() {
            if file.ends_with("key.pem") && !missing.contains(file) {
                assert!(after[at] == before[at], "{missing:?}: {file} is another");
            }
        }
        if missing.contains(&"cert.pem") {
            assert!(is_trusted(dir.path(), dir.path()).await, "{missing:?}");
        }
        let is_told = log.contains(TRUST);
        assert!(!(is_same_ca && is_told), "{missing:?}: {log}");
    }
}

#[tokio::test]
async fn a_made_certificate_that_has_lost_its_ca_is_made_anew_by_another_at_its_end() {
    let key = KeyPair::generate().unwrap();
    let cases: [(&[&str], bool); 3] = [
        (&["ca.pem"], false),
        (&["ca-key.pem"], true),
        (&["ca.pem", "ca-key.pem"], true),
    ];
    for (missing, is_told) in cases {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write_signed(dir, &own_name(&key), &key, [-300, 900], [-300, 20]);
        for file in missing {
            fs::remove_file(dir.join(file)).unwrap();
        }
        // Until then it is only told of.
        let before = contents(dir);
        let clock = Arc::new(ManualClock::new(SystemClock.now_us()));
        let running = Tls::open_by(dir, &[], clock.clone()).unwrap();
        let (_, log) = open_logged(dir, &[]);
        let words = "goes on until its end, when another CA makes the next";
        let told = log.lines().find(|line| line.contains(words));
        assert!(told.is_some_and(|line| line.contains("WARN")), "{log}");
        let notes = Inspected::of(dir).notes.join("\n");
        assert!(notes.contains(words), "{notes}");
        assert_eq!(contents(dir), before, "{missing:?}");

        clock.set_us(SystemClock.now_us() + 20 * DAY_US + 60_000_000);
        running.check_files().unwrap();
        assert!(contents(dir)[2] != before[2], "{missing:?}: is running");

        write_signed(dir, &own_name(&key), &key, [-300, 900], [-300, -1]);
        for file in missing {
            fs::remove_file(dir.join(file)).unwrap();
        }
        let (_, log) = open_logged(dir, &[]);
        assert_eq!(log.contains(TRUST), is_told, "{missing:?}: {log}");
        assert!(is_trusted(dir, dir).await, "{missing:?}");
        assert!(Inspected::of(dir).notes.is_empty(), "{missing:?}");
    }
}

#[test]
fn what_a_ca_of_other_origin_has_signed_is_neither_overwritten_nor_made_anew_without_need() {
    let key = KeyPair::generate().unwrap();
    let write = |dir: &Path, leaf_days| write_signed(dir, "Our own CA", &key, [-9, 300], leaf_days);
    // The key's volume is not mounted for a moment.
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, [-9, 300]);
    fs::remove_file(dir.join("key.pem")).unwrap();
    std::os::unix::fs::symlink("volume/key.pem", dir.join("key.pem")).unwrap();
    let before = contents(dir);
    let error = Tls::open(dir, &[]).unwrap_err().to_string();
    assert!(error.contains("cert.pem is there but "), "{error}");
    assert_eq!(contents(dir), before);
    assert!(dir.join("key.pem").is_symlink());
    fs::remove_file(dir.join("key.pem")).unwrap();

    // The CA alone is issued anew, for its key.
    write(dir, [-9, 300]);
    let old = contents(dir);
    write(dir, [-9, 300]);
    fs::write(dir.join("cert.pem"), &old[2]).unwrap();
    fs::write(dir.join("key.pem"), &old[3]).unwrap();
    let before = contents(dir);
    assert!(before[0] != old[0]);
    open_tls(dir);
    assert_eq!(contents(dir), before);

    // Near its end, and not such as is made here.
    for (names, is_renewed) in [(vec!["localhost".to_owned()], false), (local_names(), true)] {
        let (ca, leaf_key) = (contents(dir)[0].clone(), KeyPair::generate().unwrap());
        let issuer = Issuer::from_ca_cert_pem(&ca, &key).unwrap();
        let mut leaf = CertificateParams::new(names).unwrap();
        (leaf.not_before, leaf.not_after) = (days_from_now(-300), days_from_now(20));
        let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
        fs::write(dir.join("cert.pem"), leaf.pem() + &ca).unwrap();
        fs::write(dir.join("key.pem"), leaf_key.serialize_pem()).unwrap();
        let before = contents(dir);
        open_tls(dir);
        assert_eq!(contents(dir) != before, is_renewed);
    }
}

#[tokio::test]
async fn one_file_of_other_origin_beside_a_made_ca_is_refused_and_a_key_that_may_be_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    open_tls(dir);
    write_own(dir, -1, 100);
    let key = fs::read(dir.join("key.pem")).unwrap();
    fs::remove_file(dir.join("key.pem")).unwrap();
    let error = Tls::open(dir, &[]).unwrap_err().to_string();
    assert!(error.contains("cert.pem is there but "), "{error}");

    // A key of a kind that is not made here cannot be the made one's.
    fs::remove_file(dir.join("cert.pem")).unwrap();
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    for foreign in [rsa, p384] {
        fs::write(dir.join("key.pem"), foreign.serialize_pem()).unwrap();
        let before = contents(dir);
        let error = Tls::open(dir, &[]).unwrap_err().to_string();
        assert!(error.contains("key.pem is there but "), "{error}");
        match Inspected::of(dir).pair {
            Pair::Unusable(told) => assert_eq!(told.to_string(), error),
            other => panic!("{other:?}"),
        }
        assert_eq!(contents(dir), before);
    }

    fs::write(dir.join("key.pem"), &key).unwrap();
    let notes = Inspected::of(dir).notes.join("\n");
    assert!(notes.contains("if it is yours, put its certificate there"));
    let (_, log) = open_logged(dir, &[]);
    let told = log.lines().find(|line| line.contains(&notes));
    assert!(told.is_some_and(|line| line.contains("WARN")), "{log}");
    assert!(is_trusted(dir, dir).await);
    assert!(fs::read(dir.join("key.pem")).unwrap() == key);
}

#[tokio::test]
async fn where_nothing_can_be_made_anew_the_old_certificate_is_served_and_the_log_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(SystemClock.now_us() - 340 * DAY_US));
    let tls = Tls::open_by(dir.path(), &[], clock.clone()).unwrap();
    // Root may write everywhere, but not over a directory.
    fs::create_dir(dir.path().join("cert.pem.new")).unwrap();
    let before = contents(dir.path());
    let (_, log) = open_logged(dir.path(), &[]);
    let told = log
        .lines()
        .find(|line| line.contains("cannot be made anew"));
    let told = told.expect(&log);
    assert!(
        told.contains("ERROR") && told.contains("cert.pem cannot be written"),
        "{told}"
    );
    assert!(is_trusted(dir.path(), dir.path()).await);
    clock.set_us(SystemClock.now_us());
    for refused in [1, 1] {
        let _ = tls.check_files();
        assert_eq!(
            tls.exchanges().refused,
            refused,
            "not tried, or at every look"
        );
    }
    assert_eq!(contents(dir.path()), before);

    fs::remove_dir(dir.path().join("cert.pem.new")).unwrap();
    clock.set_us(SystemClock.now_us() + DAY_US / 24);
    tls.check_files().unwrap();
    assert!(contents(dir.path()) != before, "not tried again");
}

#[tokio::test]
async fn every_advice_is_followed_to_the_letter_and_helps() {
    let key = KeyPair::generate().unwrap();
    let other = KeyPair::generate().unwrap();
    type Spoil = Box<dyn Fn(&Path)>;
    let remove = |file: &'static str| -> Spoil {
        Box::new(move |dir| fs::remove_file(dir.join(file)).unwrap())
    };
    let error = |dir: &Path| Tls::open(dir, &[]).unwrap_err().to_string();
    let own: Spoil = Box::new(|dir| write_own(dir, -1, 100));
    for (missing, flaw) in [
        ("key.pem", "cert.pem is there but "),
        ("cert.pem", "key.pem is there but "),
    ] {
        let dir = tempfile::tempdir().unwrap();
        own(dir.path());
        remove(missing)(dir.path());
        let message = error(dir.path());
        assert!(message.contains(flaw), "{message}");
        // "put the other one beside it, or move it to another folder to have both made"
        let present = message.split(' ').next().unwrap();
        assert!(message.contains("or move it to another folder to have both made"));
        fs::remove_file(present).unwrap();
        assert!(is_trusted(dir.path(), dir.path()).await);
    }

    // A CA of other origin without its key, and nothing else.
    let dir = tempfile::tempdir().unwrap();
    write_signed(dir.path(), "Our own CA", &key, [-9, 300], [-9, 300]);
    for file in ["cert.pem", "key.pem", "ca-key.pem"] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    let message = error(dir.path());
    let present = message.split(' ').next().unwrap();
    assert!(message.contains("or move it to another folder to have both made"));
    fs::remove_file(present).unwrap();
    assert!(is_trusted(dir.path(), dir.path()).await);

    // A CA of other origin that is at its end, and one of an early version that may sign for all.
    for (name, days, flaw) in [
        ("Our own CA", [-900, 20], "is at its end and signs nothing"),
        ("relaybox local CA", [-900, 300], "may sign for any name"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        write_signed(dir.path(), name, &key, days, days);
        let before = contents(dir.path());
        let (_, log) = open_logged(dir.path(), &[]);
        let told = log.lines().find(|line| line.contains(flaw));
        let told = told.expect(&log);
        assert!(told.contains(REPLACE_CA), "{told}");
        assert_eq!(contents(dir.path()), before);
        follow(dir.path(), told);
        let (_, log) = open_logged(dir.path(), &[]);
        assert!(!log.contains(flaw), "{log}");
        assert!(is_trusted(dir.path(), dir.path()).await);
    }

    let dir = tempfile::tempdir().unwrap();
    own(dir.path());
    let pair = contents(dir.path());
    fs::write(dir.path().join("key.pem"), other.serialize_pem()).unwrap();
    let message = error(dir.path());
    let advice = "put the files of one certificate there, both";
    assert!(message.ends_with(advice), "{message}");
    fs::write(dir.path().join("cert.pem"), &pair[2]).unwrap();
    fs::write(dir.path().join("key.pem"), &pair[3]).unwrap();
    open_tls(dir.path());
}
