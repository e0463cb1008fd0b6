//! PEM files (RFC 7468) as found in the wild, read whole and bounded.
//!
//! Never reveals a file's contents: flaws are described in sentences of this source.

#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use rustls::pki_types::pem::{Error, PemObject};

use super::certificate_error::{CertificateError, unreadable};

/// A larger file holds neither a certificate nor a key.
const BYTES_MAX: u64 = 1 << 20;

/// Encloses a label, and never occurs in base64.
const HYPHENS: &str = "-----";

pub(super) fn read(file: &Path) -> Result<Vec<u8>, CertificateError> {
    read_bounded(file).map_err(|error| unreadable(file, error))
}

pub(super) fn read_bounded(file: &Path) -> io::Result<Vec<u8>> {
    // A read from a pipe could block forever.
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    let mut bounded = fs::File::open(file)?.take(BYTES_MAX + 1);
    bounded.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// One -----BEGIN …----- and its -----END …-----.
pub(super) struct Block {
    pub(super) label: String,
    /// The text between the two, without headers.
    base64: String,
    /// Whether a header marks it as encrypted (RFC 1421, 4.6.1.1).
    pub(super) is_encrypted: bool,
}

impl Block {
    /// The block as PEM, under this label.
    pub(super) fn text(&self, label: &str) -> String {
        let base64 = &self.base64;
        format!("-----BEGIN {label}-----\n{base64}-----END {label}-----\n")
    }

    /// The block's contents, decoded as if this were its label.
    ///
    /// # Errors
    /// A description of the flaw.
    pub(super) fn decode<T: PemObject>(&self, label: &str) -> Result<T, &'static str> {
        T::from_pem_slice(self.text(label).as_bytes()).map_err(|error| flaw(&error))
    }
}

/// Our own wording: the library's messages contain the line it did not understand.
fn flaw(error: &Error) -> &'static str {
    match error {
        Error::Base64Decode(_) => {
            "is not PEM: between -----BEGIN …----- and -----END …----- stands something that is not base64"
        }
        _ => "is not PEM",
    }
}

/// All blocks of a text.
///
/// # Errors
/// A description of the flaw.
pub(super) fn blocks(bytes: &[u8]) -> Result<Vec<Block>, &'static str> {
    const CUT: &str =
        "is not PEM: -----BEGIN …----- is not followed by its -----END …----- (cut short?)";
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in in_lines(&text(bytes)).lines() {
        let label = |prefix| line.strip_prefix(prefix);
        if let Some(label) = label("-----BEGIN ") {
            let Some(label) = label.strip_suffix(HYPHENS) else {
                return Err(
                    "is not PEM: a line begins with -----BEGIN but is not -----BEGIN …-----",
                );
            };
            if open.is_some() {
                return Err(CUT);
            }
            open = Some(Block {
                label: label.to_owned(),
                base64: String::new(),
                is_encrypted: false,
            });
        } else if let Some(label) = label("-----END ") {
            let Some(block) = open.take() else {
                return Err("is not PEM: -----END …----- without its -----BEGIN …-----");
            };
            if label.strip_suffix(HYPHENS) != Some(&block.label) {
                return Err(CUT);
            }
            blocks.push(block);
        } else if let Some(block) = &mut open {
            if line.starts_with("Proc-Type:") {
                block.is_encrypted = true;
            } else {
                block.base64.extend([line, "\n"]);
            }
        }
    }
    match open {
        Some(_) => Err(CUT),
        None => Ok(blocks),
    }
}

/// UTF-8 or UTF-16, as Windows writes it, with or without a byte order mark. Non-text bytes may surround the PEM.
fn text(bytes: &[u8]) -> String {
    let unit: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] | [b'-', 0, b'-', 0, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] | [0, b'-', 0, b'-', ..] => u16::from_be_bytes,
        _ => return String::from_utf8_lossy(bytes).replace('\u{feff}', ""),
    };
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let decoded = char::decode_utf16(units).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER));
    decoded.filter(|read| *read != '\u{feff}').collect()
}

/// Splits PEM into lines of one label or of base64 each, wherever the intention is unambiguous: lost line ends (turned
/// into spaces or into a literal `\n`, as in environment variables, or missing at the end of one of two concatenated
/// files), indentation, quotes, a name in front. Base64 has neither hyphens nor backslashes.
fn in_lines(pem: &str) -> String {
    let mut lines = String::with_capacity(pem.len() + 1);
    for line in pem.split(['\n', '\r']).map(str::trim) {
        let label = ["-----BEGIN ", "-----END "]
            .iter()
            .filter_map(|label| line.find(label))
            .min();
        match label {
            // A comment that mentions a block is not one.
            Some(at) if !line[..at].contains('#') => {
                // The text before a block is a name or a quote; the text before its end, base64.
                let is_begin = line[at..].starts_with("-----BEGIN ");
                unfold(if is_begin { &line[at..] } else { line }, &mut lines);
            }
            _ if line.is_empty() => {}
            _ => lines.extend([line, "\n"]),
        }
    }
    lines
}

/// Splits a line with a label into lines of one label or of base64 each.
fn unfold(line: &str, lines: &mut String) {
    let unescaped = line.replace("\\r", "\n").replace("\\n", "\n");
    let parts: Vec<_> = unescaped.split(HYPHENS).collect();
    if parts.len().is_multiple_of(2) {
        // A label without its end is left for the reader to refuse.
        return lines.extend([line, "\n"]);
    }
    for (at, part) in parts.into_iter().enumerate() {
        if at % 2 == 1 {
            lines.extend([HYPHENS, part, HYPHENS, "\n"]);
        } else {
            let words = part.split_ascii_whitespace();
            lines.extend(words.flat_map(|word| [word, "\n"]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN A B-----\nMIIB\nAAA=\n-----END A B-----\n";

    #[test]
    fn lines_come_back_where_there_is_no_doubt() {
        let chain = PEM.repeat(2);
        for pem in [PEM, &chain] {
            for (end, what) in [
                (" ", "spaces"),
                ("\\n", "letters"),
                ("\\r\\n", "more letters"),
                ("\r", "returns"),
                ("\r\n", "both"),
                ("\n\n", "empty lines"),
                ("\n  \t", "indentation"),
                (" \n", "trailing blanks"),
            ] {
                let folded = pem.replace('\n', end);
                assert_eq!(in_lines(&folded), pem, "{what}");
                assert_eq!(in_lines(folded.trim_end()), pem, "{what}");
                assert_eq!(in_lines(&format!("{folded}\n")), pem, "{what}");
                let quoted = in_lines(&format!("KEY=\"{folded}\""));
                assert_eq!(
                    quoted.trim_end_matches(['"', '\n']),
                    pem.trim_end(),
                    "{what}"
                );
            }
        }
        let remark = format!("a remark\n{}", PEM.replace('\n', " "));
        assert_eq!(in_lines(&remark), format!("a remark\n{PEM}"));
        assert_eq!(
            in_lines(&chain.replace("-\n-", "--")),
            chain,
            "files that were joined"
        );
    }

    #[test]
    fn what_is_otherwise_wrong_stays_so() {
        for pem in [
            "",
            "MIIB\n",
            "-----BEGIN A\n",
            "-----BEGIN A----\nMIIB\n-----END A-----\n",
            "# -----BEGIN A----- stands below\n",
        ] {
            assert_eq!(in_lines(pem), pem);
        }
    }

    #[test]
    fn text_is_read_in_every_encoding_that_editors_write() {
        let wide = |unit: fn(u16) -> [u8; 2], mark: &str| -> Vec<u8> {
            let text = format!("{mark}{PEM}");
            text.encode_utf16().flat_map(unit).collect()
        };
        for mark in ["", "\u{feff}"] {
            for bytes in [
                format!("{mark}{PEM}").into_bytes(),
                wide(u16::to_le_bytes, mark),
                wide(u16::to_be_bytes, mark),
            ] {
                assert_eq!(text(&bytes), PEM, "{mark:?}");
            }
        }
    }

    #[test]
    fn no_block_is_passed_over() {
        let labels = |pem: &str| {
            let found = blocks(pem.as_bytes());
            found.map(|found| {
                found
                    .into_iter()
                    .map(|block| block.label)
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(
            labels(&format!("remark\n{PEM}\n{PEM}")),
            Ok(vec!["A B".to_owned(); 2])
        );
        for (pem, says) in [
            (&PEM[..20], "cut short"),
            (&PEM[20..], "without its -----BEGIN"),
            (&PEM.replace("END A", "END C"), "cut short"),
            (&PEM.replace("B-----\n", "B----\n"), "a line begins with"),
        ] {
            let flaw = labels(pem).err();
            assert!(
                flaw.is_some_and(|flaw| flaw.contains(says)),
                "{flaw:?} of {pem}"
            );
        }
    }
}
