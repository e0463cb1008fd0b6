//! Standard output and error, where a closed pipe is no reason to panic.

use std::io::{self, Write as _};

use anyhow::Context as _;

/// Prints what was asked for, at once.
///
/// # Errors
/// Where nobody can read it.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    write(format!("{text}\n").as_bytes())
}

/// Prints bytes as they are, at once.
///
/// # Errors
/// Where nobody can read them.
pub(super) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .context("standard output cannot be written")
}

/// Tells the operator something beside what was asked for.
pub(super) fn hint(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Says why the command did not end as asked.
pub(super) fn complain(sentence: &str) {
    let _ = io::stderr().write_all(complaint(sentence).as_bytes());
}

/// The line that says why a command did not end as asked.
pub(super) fn complaint(sentence: &str) -> String {
    format!("relaybox: {sentence}\n")
}

/// Text for a terminal: control characters, which could move its cursor, are escaped.
pub(super) fn plain(text: &str) -> String {
    let escape = |c: char| -> Box<dyn Iterator<Item = char>> {
        if c.is_control() {
            Box::new(c.escape_default())
        } else {
            Box::new(std::iter::once(c))
        }
    };
    text.chars().flat_map(escape).collect()
}
