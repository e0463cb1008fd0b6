//! Files that are not whole any more: made here, they never keep a server from starting; of other origin, none is touched.

use std::fs;
use std::os::unix::fs::symlink;

use rcgen::{KeyPair, PKCS_RSA_SHA256};
use relaybox::net::TRUST_NEW_CA;
use relaybox::net::inspect::{Inspected, Pair};

use super::authority::{is_trusted, write_signed};
use super::certificates::{FILES, contents, open_logged, write_own};
use super::*;

/// What becomes of a file.
type Spoil = fn(&[u8]) -> Vec<u8>;

const SPOILS: [(&str, Spoil); 6] = [
    ("empty", |_| Vec::new()),
    ("zeros", |whole| vec![0; whole.len()]),
    ("cut in the middle", |whole| {
        whole[..whole.len() / 2].to_vec()
    }),
    ("cut in its first line", |whole| whole[..20].to_vec()),
    ("cut in its last line", |whole| {
        whole[..whole.len() - 8].to_vec()
    }),
    ("something else", |_| (0..=255).cycle().take(4096).collect()),
];

fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    open_tls(dir.path());
    dir
}

fn spoil(dir: &Path, file: &str, spoil: Spoil) -> Vec<u8> {
    let spoilt = spoil(&fs::read(dir.join(file)).unwrap());
    fs::write(dir.join(file), &spoilt).unwrap();
    spoilt
}

/// Every file of a directory and what it holds.
fn all(dir: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let mut all: Vec<_> = entries
        .map(|entry| {
            (
                entry.file_name(),
                fs::read(entry.path()).unwrap_or_default(),
            )
        })
        .collect();
    all.sort_unstable();
    all
}

/// A start goes well, with a certificate that the CA beside it has signed.
#[track_caller]
fn starts(dir: &Path, case: &str) {
    Tls::open(dir, &[]).unwrap_or_else(|error| panic!("{case}: {error}"));
    let found = Inspected::of(dir);
    assert!(matches!(found.pair, Pair::Usable), "{case}: {found:?}");
    let [leaf, ca] = found.chain.as_slice() else {
        panic!("{case}: {:?}", found.chain)
    };
    assert_eq!(leaf.is_signed_by_next, Some(true), "{case}");
    assert!(leaf.covers("localhost") && leaf.covers("::1"), "{case}");
    let beside = found.authority.unwrap();
    assert!(beside.der == ca.der && beside.is_self_signed, "{case}");
    assert!(found.is_authority_made_here, "{case}");
    assert!(found.is_made_here || found.has_lost_its_ca, "{case}");
}

#[tokio::test]
async fn a_damaged_file_of_our_making_is_kept_and_another_is_made_as_doctor_says() {
    for (at, file) in FILES.iter().enumerate() {
        for (how, spoiled) in SPOILS {
            let case = format!("{file}, {how}");
            let dir = made();
            let dir = dir.path();
            let before = contents(dir);
            let spoilt = spoil(dir, file, spoiled);
            let unchanged = all(dir);
            let notes = Inspected::of(dir).notes;
            assert_eq!(all(dir), unchanged, "{case}: doctor changes nothing");
            let (_, log) = open_logged(dir, &[]);
            let says = notes.iter().find(|note| note.contains("is damaged"));
            let says = says.expect(&case);
            let told = log.lines().find(|line| line.contains(says.as_str()));
            assert!(told.is_some_and(|line| line.contains("ERROR")), "{log}");
            starts(dir, &case);
            assert!(is_trusted(dir, dir).await, "{case}");
            let kept = fs::read(dir.join(format!("{file}.damaged-1"))).unwrap();
            assert!(kept == spoilt, "{case}");
            let after = contents(dir);
            for other in (0..4).filter(|other| *other != at) {
                // A new key needs a new certificate.
                let is_same = after[other] == before[other];
                assert_eq!(is_same, (*file, other) != ("key.pem", 2), "{case}: {other}");
            }
            // The certificate's file holds the CA's, too.
            assert_eq!(after[at] == before[at], *file == "ca.pem", "{case}");
            let (_, log) = open_logged(dir, &[]);
            assert!(!log.contains("ERROR"), "{case}: {log}");
        }
    }
}

#[tokio::test]
async fn several_of_them_may_be_damaged_at_once() {
    for damaged in 1..16_u8 {
        let is_damaged = |at: usize| damaged & (1 << at) != 0;
        for (how, spoiled) in [SPOILS[0], SPOILS[2], SPOILS[5]] {
            let dir = made();
            let dir = dir.path();
            let files = FILES.iter().enumerate();
            for (_, file) in files.filter(|(at, _)| is_damaged(*at)) {
                spoil(dir, file, spoiled);
            }
            let case = format!("{damaged:04b} {how}");
            let (_, log) = open_logged(dir, &[]);
            // What clients trust is gone, or the key that could have signed the next.
            let is_another = is_damaged(0) && is_damaged(2) || is_damaged(1) && damaged & 12 != 0;
            assert_eq!(log.contains(TRUST_NEW_CA), is_another, "{case}: {log}");
            starts(dir, &case);
            assert!(is_trusted(dir, dir).await, "{case}");
            let (_, log) = open_logged(dir, &[]);
            assert!(!log.contains("ERROR"), "{case}: {log}");
        }
    }
}

#[test]
fn a_byte_that_is_another_keeps_no_server_from_starting() {
    let whole = made();
    let before = contents(whole.path());
    for (file, content) in FILES.iter().zip(&before) {
        // All of them would take minutes.
        for at in (0..content.len()).step_by(11) {
            let bit = [0x01, 0x20, 0x80][at % 3];
            let dir = tempfile::tempdir().unwrap();
            let dir = dir.path();
            for (file, content) in FILES.iter().zip(&before) {
                fs::write(dir.join(file), content).unwrap();
            }
            let mut bytes = content.clone().into_bytes();
            bytes[at] ^= bit;
            fs::write(dir.join(file), bytes).unwrap();
            starts(dir, &format!("{file}, byte {at} xor {bit}"));
        }
    }
}

#[test]
fn a_first_start_that_was_interrupted_is_taken_up_by_the_next() {
    // In the order in which they are made.
    let made_files = ["ca-key.pem", "ca.pem", "cert.pem", "key.pem"];
    for count in 0..4 {
        let dir = made();
        let dir = dir.path();
        for file in &made_files[count..] {
            fs::remove_file(dir.join(file)).unwrap();
            fs::write(dir.join(format!("{file}.new")), "-----BEG").unwrap();
        }
        starts(dir, &format!("{count} files"));
    }
    // And that is the order: a key is never alone.
    for file in made_files {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        // Root may write everywhere, but not over a directory.
        fs::create_dir(dir.join(format!("{file}.new"))).unwrap();
        let error = Tls::open(dir, &[]).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{file} cannot be written")),
            "{error}"
        );
        let is_there = |file: &&&str| dir.join(file).exists();
        let left: Vec<_> = made_files.iter().filter(is_there).collect();
        let expected = made_files.iter().take_while(|other| **other != file);
        assert!(left.into_iter().eq(expected), "{file}");
        fs::remove_dir(dir.join(format!("{file}.new"))).unwrap();
        starts(dir, file);
    }
}

#[test]
fn nothing_of_other_origin_is_touched() {
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let rsa = rsa.serialize_pem();
    let foreign = |dir: &Path| write_own(dir, -1, 100);
    let by_other_ca = |dir: &Path| {
        let key = KeyPair::generate().unwrap();
        write_signed(dir, "Our own CA", &key, [-9, 300], [-9, 300]);
    };
    let nothing = |_: &Path| {};
    let alone = |dir: &Path| {
        for file in ["ca.pem", "ca-key.pem"] {
            fs::remove_file(dir.join(file)).unwrap();
        }
    };
    type Change<'a> = &'a dyn Fn(&Path);
    let cut = |file: &'static str| move |dir: &Path| _ = spoil(dir, file, SPOILS[2].1);
    let empty = |file: &'static str| move |dir: &Path| _ = spoil(dir, file, SPOILS[0].1);
    let put = |file: &'static str, text: String| {
        move |dir: &Path| fs::write(dir.join(file), &text).unwrap()
    };
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let linked = |dir: &Path| {
        fs::remove_file(dir.join("key.pem")).unwrap();
        fs::write(dir.join("elsewhere"), "").unwrap();
        symlink("elsewhere", dir.join("key.pem")).unwrap();
    };
    let (rsa_key, encrypted) = (put("key.pem", rsa), put("key.pem", encrypted.to_owned()));
    let cases: [(&str, [Change<'_>; 3]); 9] = [
        (
            "a pair beside a CA of ours",
            [&foreign, &cut("cert.pem"), &nothing],
        ),
        ("its key", [&foreign, &cut("key.pem"), &nothing]),
        ("its key, empty", [&foreign, &empty("key.pem"), &nothing]),
        (
            "a key that is made elsewhere",
            [&empty("cert.pem"), &rsa_key, &nothing],
        ),
        ("an encrypted key", [&encrypted, &nothing, &nothing]),
        ("a link", [&linked, &nothing, &nothing]),
        (
            "a pair alone",
            [&alone, &empty("cert.pem"), &empty("key.pem")],
        ),
        ("another CA", [&by_other_ca, &cut("cert.pem"), &nothing]),
        (
            "another CA's key",
            [&by_other_ca, &empty("key.pem"), &empty("ca-key.pem")],
        ),
    ];
    for (case, changes) in cases {
        let dir = made();
        let dir = dir.path();
        for change in changes {
            change(dir);
        }
        let before = all(dir);
        let error = Tls::open(dir, &[]).expect_err(case).to_string();
        assert!(
            error.contains("cert.pem") || error.contains("key.pem"),
            "{error}"
        );
        assert!(all(dir) == before, "{case}: {error}");
        match Inspected::of(dir).pair {
            Pair::Unusable(told) => assert_eq!(told.to_string(), error, "{case}"),
            other => panic!("{case}: {other:?}"),
        }
    }
}

#[test]
fn a_running_server_leaves_its_pair_alone_and_mends_its_ca() {
    for file in ["cert.pem", "key.pem"] {
        let dir = made();
        let running = open_tls(dir.path());
        spoil(dir.path(), file, SPOILS[2].1);
        let before = all(dir.path());
        let error = running.reload().unwrap_err().to_string();
        assert!(error.contains(file), "{error}");
        assert!(all(dir.path()) == before, "{file}");
    }
    let dir = made();
    let running = open_tls(dir.path());
    let before = contents(dir.path());
    spoil(dir.path(), "ca.pem", SPOILS[2].1);
    running.reload().unwrap();
    assert_eq!(contents(dir.path()), before);
}
