//! PEM files (RFC 7468), read whole and bounded.
//!
//! Never says what a file holds: its flaws are told in sentences of this source.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate_error::{CertificateError, broken, unreadable};

/// A larger file holds no certificate and no key.
const BYTES_MAX: u64 = 1 << 20;

/// What stands around a label, and cannot stand in base64.
const HYPHENS: &str = "-----";

/// The bytes of a file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, CertificateError> {
    read_bounded(file).map_err(|error| unreadable(file, error))
}

fn read_bounded(file: &Path) -> io::Result<Vec<u8>> {
    // A pipe in its place could be waited for without end.
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

/// The text of a file, in lines.
pub(super) fn text(file: &Path) -> Result<String, CertificateError> {
    // What is no text may stand beside the PEM.
    Ok(in_lines(&String::from_utf8_lossy(&read(file)?)))
}

/// The certificates of a file, at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(text(file)?.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| broken(file, flaw(&error)))?;
    if chain.is_empty() {
        return Err(broken(file, "holds no certificate"));
    }
    Ok(chain)
}

/// The first private key of a file.
pub(super) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_slice(text(file)?.as_bytes())
        .map_err(|error| broken(file, flaw(&error)))
}

/// In our words: the library's hold the line that it did not understand.
fn flaw(error: &Error) -> &'static str {
    match error {
        Error::MissingSectionEnd { .. } => {
            "is not PEM: -----BEGIN …----- is not followed by its -----END …----- (cut short?)"
        }
        Error::IllegalSectionStart { .. } => {
            "is not PEM: a line begins with -----BEGIN but is not -----BEGIN …-----"
        }
        Error::Base64Decode(_) => {
            "is not PEM: between -----BEGIN …----- and -----END …----- stands something that is not base64"
        }
        Error::NoItemsFound => "holds no private key",
        _ => "is not PEM",
    }
}

/// PEM whose line ends were lost, as it comes out of environment variables, in lines again: they have become
/// spaces, or `\n` in two letters. Base64 has neither hyphens nor backslashes, so there is no doubt about what was meant.
/// All else stays as it is.
fn in_lines(pem: &str) -> String {
    let mut lines = String::with_capacity(pem.len() + 1);
    for line in pem.lines() {
        match line.starts_with("-----BEGIN ") {
            true => unfold(line, &mut lines),
            false => lines.extend([line, "\n"]),
        }
    }
    lines
}

/// Writes a line that begins with a label in lines of one label or of base64 each.
fn unfold(line: &str, lines: &mut String) {
    let unescaped = line.replace("\\n", "\n");
    let parts: Vec<_> = unescaped.split(HYPHENS).collect();
    if parts.len().is_multiple_of(2) {
        // A label without its end: that is for the reader to refuse.
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
            for (end, what) in [(" ", "spaces"), ("\\n", "letters"), ("\r", "returns")] {
                let folded = pem.replace('\n', end);
                assert_eq!(in_lines(&folded), pem, "{what}");
                assert_eq!(in_lines(folded.trim_end()), pem, "{what}");
                assert_eq!(in_lines(&format!("{folded}\n")), pem, "{what}");
            }
        }
        let remark = format!("a remark\n{}", PEM.replace('\n', " "));
        assert_eq!(in_lines(&remark), format!("a remark\n{PEM}"));
    }

    #[test]
    fn what_is_otherwise_wrong_stays_so() {
        for pem in [
            "",
            "MIIB -----END A-----\n",
            "-----BEGIN A\n",
            "-----BEGIN A----\nMIIB\n-----END A-----\n",
            "\"-----BEGIN A-----\\nMIIB\\n-----END A-----\"\n",
            "KEY=-----BEGIN A----- MIIB -----END A-----\n",
        ] {
            assert_eq!(in_lines(pem), pem);
        }
    }
}
