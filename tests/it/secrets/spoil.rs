//! Slips with a file or a line that holds a secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One slip.
#[derive(Debug, Clone)]
pub enum Slip {
    /// Line ends became this.
    LineEnds(&'static str),
    /// It was put between these.
    Wrapped(&'static str, &'static str),
    /// A part became another.
    Replaced(&'static str, &'static str),
    /// It ends early,
    CutBehind(Index),
    /// or begins late.
    CutBefore(Index),
    /// Something stands in its midst,
    Inserted(Index, &'static [u8]),
    /// or has gone from it.
    Removed(Index),
    /// It was encoded.
    Encoded,
    /// It stands there twice.
    Doubled,
}

/// What gets into texts by mistake.
const STRAY: [&[u8]; 16] = [
    b" ",
    b"\n",
    b"\r",
    b"\t",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\\",
    b"\"",
    b"'",
    b"=",
    b"-----",
    b"%",
    b"[",
    b"#",
    b",",
];

pub fn slip() -> impl Strategy<Value = Slip> {
    let ends = [
        " ", "", "\r", "\t", "\\n", "\\r\\n", "\\\\n", "%0A", "|", "\u{b}", " \\\n", "\n\n", "\n  ",
    ];
    let wraps = [
        ("\"", "\""),
        ("'", "'"),
        ("TLS_KEY=\"", "\"\n"),
        ("export KEY=", ""),
        ("{\"key\":\"", "\"}"),
        ("key: |\n  ", ""),
        ("\u{feff}", ""),
        ("-----BEGIN ", ""),
        ("-----BEGIN X-----", "-----END X-----"),
        ("-----BEGIN PRIVATE KEY", ""),
    ];
    let parts = [
        ("-----BEGIN ", "----BEGIN "),
        ("-----BEGIN ", "-----begin "),
        ("-----END ", "----END "),
        ("KEY-----", "KEY----"),
        ("PRIVATE KEY-----\n", "PRIVATE KEY-----"),
        ("PRIVATE", "EC PRIVATE"),
        ("PRIVATE", "RSA PRIVATE"),
        ("PRIVATE", "ENCRYPTED PRIVATE"),
        ("PRIVATE KEY", "CERTIFICATE"),
        ("PRIVATE KEY", "PUBLIC KEY"),
        ("-----", ""),
        ("-", "\u{2013}"),
    ];
    prop_oneof![
        4 => select(ends.to_vec()).prop_map(Slip::LineEnds),
        2 => select(wraps.to_vec()).prop_map(|(front, back)| Slip::Wrapped(front, back)),
        3 => select(parts.to_vec()).prop_map(|(from, to)| Slip::Replaced(from, to)),
        1 => any::<Index>().prop_map(Slip::CutBehind),
        1 => any::<Index>().prop_map(Slip::CutBefore),
        2 => (any::<Index>(), select(STRAY.to_vec())).prop_map(|(at, stray)| Slip::Inserted(at, stray)),
        2 => any::<Index>().prop_map(Slip::Removed),
        1 => Just(Slip::Encoded),
        1 => Just(Slip::Doubled),
    ]
}

fn replaced(text: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        match rest.strip_prefix(from.as_bytes()) {
            Some(behind) => {
                out.extend(to.as_bytes());
                rest = behind;
            }
            None => {
                out.push(rest[0]);
                rest = &rest[1..];
            }
        }
    }
    out
}

impl Slip {
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        let place = |at: &Index| at.index(text.len() + 1);
        match self {
            Self::LineEnds(end) => replaced(text, "\n", end),
            Self::Wrapped(front, back) => [front.as_bytes(), text, back.as_bytes()].concat(),
            Self::Replaced(from, to) => replaced(text, from, to),
            Self::CutBehind(at) => text[..place(at)].to_vec(),
            Self::CutBefore(at) => text[place(at)..].to_vec(),
            Self::Inserted(at, stray) => [&text[..place(at)], stray, &text[place(at)..]].concat(),
            Self::Removed(at) => {
                let behind = text.get(place(at) + 1..).unwrap_or_default();
                [&text[..place(at)], behind].concat()
            }
            Self::Encoded => STANDARD.encode(text).into_bytes(),
            Self::Doubled => text.repeat(2),
        }
    }
}

/// A text after some slips.
pub fn spoiled(text: &[u8], slips: &[Slip]) -> Vec<u8> {
    slips
        .iter()
        .fold(text.to_vec(), |text, slip| slip.apply(&text))
}
