//! Standard output and error; a closed pipe does not panic.

use std::io::{self, Write as _};

use anyhow::Context as _;
use serde::Serialize;

/// Prints a command's output and flushes it.
///
/// # Errors
/// The output cannot be written.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    write(format!("{text}\n").as_bytes())
}

/// Prints a value as one line of JSON and flushes it.
///
/// # Errors
/// The output cannot be written.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string(value)?)
}

/// Writes raw bytes and flushes them.
///
/// # Errors
/// The output cannot be written.
pub(super) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .context("standard output cannot be written")
}

/// Prints a hint to the operator on standard error.
pub(super) fn hint(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Reports on standard error why the command failed.
pub(super) fn complain(sentence: &str) {
    let _ = io::stderr().write_all(complaint(sentence).as_bytes());
}

/// The line that reports why a command failed.
pub(super) fn complaint(sentence: &str) -> String {
    format!("relaybox: {sentence}\n")
}

/// Text for a terminal: escapes characters that could move the cursor, reorder a row or hide in it.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() || is_invisible(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// Whether a character is invisible but affects its neighbours: the general categories Cf (format),
/// Zl (line separator) and Zp (paragraph separator) of Unicode 16.0. This includes joiners: two
/// names that differ in one look the same.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}'
        | '\u{e0020}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_reorders_or_hides_is_escaped_and_all_else_stays() {
        for (text, shown) in [
            ("a\u{1b}[2J\n", r"a\u{1b}[2J\n"),
            // Directional overrides and isolates.
            ("\u{202e}txt\u{202c}", r"\u{202e}txt\u{202c}"),
            (
                "\u{2066}a\u{2069}\u{200f}\u{61c}",
                r"\u{2066}a\u{2069}\u{200f}\u{61c}",
            ),
            ("a\u{2028}b\u{2029}", r"a\u{2028}b\u{2029}"),
            (
                "\u{feff}a\u{200b}\u{200d}\u{ad}",
                r"\u{feff}a\u{200b}\u{200d}\u{ad}",
            ),
            ("\u{e0041}\u{1d173}", r"\u{e0041}\u{1d173}"),
        ] {
            assert_eq!(plain(text), shown);
        }
        // Letters of both directions, marks, spaces, private use, emoji.
        let text = "aé e\u{301} שלום مرحبا नमस्ते 中文\u{3000}\u{a0}\u{2027}\u{202f}\u{2065}\u{e000}🦀\u{fe0f}\\\"'";
        assert_eq!(plain(text), text);
    }

    #[test]
    fn the_table_has_as_many_as_the_standard() {
        let count = ('\0'..=char::MAX).filter(|c| is_invisible(*c)).count();
        // DerivedGeneralCategory.txt of Unicode 16.0: Cf, Zl, Zp.
        assert_eq!(count, 170 + 1 + 1);
    }
}
