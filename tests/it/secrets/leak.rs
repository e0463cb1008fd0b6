//! What shows a secret, and whether a text does.

use std::collections::{BTreeMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Bytes of a secret in a row that give it away.
const RUN: usize = 4;

/// Every way to write four bytes in a row of a secret: as text, in hexadecimal, as numbers, in base64.
#[derive(Default)]
pub struct Secret {
    texts: Forms,
    /// Lists of numbers, written without spaces.
    lists: Forms,
}

/// By their lengths.
type Forms = BTreeMap<usize, HashSet<Vec<u8>>>;

fn add(forms: &mut Forms, form: String) {
    let of_length = forms.entry(form.len()).or_default();
    of_length.insert(form.into_bytes());
}

fn list(run: &[u8], write: impl Fn(&u8) -> String) -> String {
    run.iter().map(write).collect::<Vec<_>>().join(",")
}

/// Whether it is none of the words and numbers of our sentences but by an odd chance.
fn is_telling(form: &str) -> bool {
    let has = |is: fn(&u8) -> bool| form.bytes().any(|byte| is(&byte));
    let is_long = form.len() > RUN && has(u8::is_ascii_lowercase);
    has(u8::is_ascii_uppercase) && (has(u8::is_ascii_digit) || is_long)
}

impl Secret {
    /// All of these bytes are secret but what also stands in `open`.
    pub fn add(&mut self, secret: &[u8], open: &[&[u8]]) {
        let is_open = |run: &[u8]| {
            open.iter()
                .any(|open| open.windows(RUN).any(|it| it == run))
        };
        for run in secret.windows(RUN).filter(|run| !is_open(run)) {
            let hex: String = run.iter().map(|byte| format!("{byte:02x}")).collect();
            add(&mut self.texts, hex.to_uppercase());
            add(&mut self.texts, hex);
            let text = std::str::from_utf8(run).unwrap_or_default();
            let mut base64 = Vec::new();
            for engine in [&STANDARD, &URL_SAFE] {
                // The characters that these bytes alone decide, wherever they stand in what is encoded.
                for (before, own) in [(0, 0..5), (1, 2..6), (2, 3..8)] {
                    let encoded = engine.encode([&[0; 2][..before], run].concat());
                    base64.push(encoded[own].to_owned());
                }
            }
            base64.push(text.to_owned());
            for form in base64.into_iter().filter(|form| is_telling(form)) {
                add(&mut self.texts, form);
            }
            add(&mut self.lists, list(run, u8::to_string));
            add(&mut self.lists, list(run, |byte| format!("{byte:x}")));
            add(&mut self.lists, list(run, |byte| format!("{byte:02X}")));
            add(&mut self.lists, list(run, |byte| format!("0x{byte:02x}")));
        }
    }

    /// Four letters of a passphrase tell it, too, although they might be of any word.
    pub fn add_passphrase(&mut self, passphrase: &str) {
        self.add(passphrase.as_bytes(), &[]);
        for run in passphrase.as_bytes().windows(RUN) {
            add(&mut self.texts, String::from_utf8_lossy(run).into_owned());
        }
    }

    /// A part of the secret that the text shows.
    pub fn shown_in(&self, text: &str) -> Option<String> {
        let packed: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let found = |forms: &Forms, text: &[u8]| {
            forms.iter().find_map(|(length, forms)| {
                let mut runs = text.windows(*length);
                runs.find(|run| forms.contains(*run)).map(<[u8]>::to_vec)
            })
        };
        let found = found(&self.texts, text.as_bytes()).or_else(|| found(&self.lists, &packed));
        found.map(|run| String::from_utf8_lossy(&run).into_owned())
    }
}

#[test]
fn every_way_to_write_a_secret_is_found() {
    let token = "A1B2C3D4E5F6G7H8";
    let mut secret = Secret::default();
    secret.add(token.as_bytes(), &[]);
    for from in 0..8 {
        let part = &token.as_bytes()[from..from + 8];
        for said in [
            String::from_utf8_lossy(part).into_owned(),
            format!("{part:?}"),
            format!("{part:#?}"),
            format!("{part:x?}"),
            format!("{part:02X?}"),
            part.iter().map(|byte| format!("{byte:02x}")).collect(),
            part.iter().map(|byte| format!("{byte:02X}")).collect(),
            STANDARD.encode(part),
            URL_SAFE.encode(part),
            STANDARD.encode([b"x", part].concat()),
            STANDARD.encode([b"xy", part].concat()),
        ] {
            assert!(secret.shown_in(&said).is_some(), "{said}");
        }
    }
    let mut passphrase = Secret::default();
    passphrase.add_passphrase("wyvern-quokka");
    assert!(
        passphrase
            .shown_in("the key \"yvern\" is unknown")
            .is_some()
    );
    assert_eq!(
        passphrase.shown_in("every vernier"),
        Some("vern".to_owned())
    );
    for said in ["A1 and B2", "key.pem is not PEM", "[1, 2, 3, 4]", "A1B"] {
        assert_eq!(secret.shown_in(said), None, "{said}");
    }
}
