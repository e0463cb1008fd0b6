//! Which process holds a data directory, for callers that get no answer from a server.
//!
//! Creates nothing. Its locks are shared and momentary; a start waits for them.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::{fs, io};

use super::hold::open_segment;
use super::layout::LOCK;
use crate::store::disk::{is_gone, is_locked};

/// Who has locked a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    None,
    /// This process.
    Process(u32),
    /// A process that the system does not name here, such as one in another container or on another
    /// machine.
    Unnamed,
}

/// Who has locked a directory now.
///
/// # Errors
/// That cannot be determined.
pub fn holder(dir: &Path) -> io::Result<Holder> {
    let segment = open_segment(dir);
    let paths = [Some(dir.join(LOCK)), Some(dir.to_owned()), segment];
    let (mut is_taken, mut is_told, mut failed) = (false, false, None);
    for path in paths.iter().flatten() {
        let file = match File::open(path) {
            Err(error) if is_gone(&error) => continue,
            opened => opened?,
        };
        if let Some(process) = process_of(&file)? {
            return Ok(Holder::Process(process));
        }
        match is_locked(&file) {
            Ok(false) => is_told = true,
            Ok(true) => is_taken = true,
            // Network file systems lock no directories.
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        _ if is_taken => Ok(Holder::Unnamed),
        Some(error) if !is_told => Err(error),
        _ => Ok(Holder::None),
    }
}

/// The process that has locked this file, by `/proc/locks`. That hides other PID namespaces, and on
/// some file systems has other device numbers than their files.
fn process_of(file: &File) -> io::Result<Option<u32>> {
    let found = file.metadata()?;
    let (major, minor) = (
        rustix::fs::major(found.dev()),
        rustix::fs::minor(found.dev()),
    );
    let file = format!("{major:02x}:{minor:02x}:{}", found.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    Ok(locks.lines().find_map(|line| process_of_lock(line, &file)))
}

/// A line such as `12: FLOCK  ADVISORY  WRITE 1812 fe:00:4711 0 EOF` (proc(5)); a waiter has an
/// arrow behind its number. Shared locks are those of `holder` itself.
fn process_of_lock(line: &str, file: &str) -> Option<u32> {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    match words[..] {
        ["FLOCK", _, "WRITE", process, of, ..] if of == file => process.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::hold::Hold;
    use super::*;

    #[test]
    fn the_process_that_has_it_is_known_whatever_was_removed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert_eq!(holder(dir).unwrap(), Holder::None);
        let me = Holder::Process(std::process::id());
        let taken = Hold::take(dir).unwrap().unwrap();
        assert_eq!(holder(dir).unwrap(), me);
        fs::remove_file(dir.join(LOCK)).unwrap();
        assert_eq!(holder(dir).unwrap(), me);
        taken.release();
        assert_eq!(holder(dir).unwrap(), Holder::None);
        assert_eq!(holder(&dir.join("none")).unwrap(), Holder::None);
    }

    #[test]
    fn a_lock_is_told_of_by_its_line() {
        let line = "12: FLOCK  ADVISORY  WRITE 1812 fe:00:4711 0 EOF";
        assert_eq!(process_of_lock(line, "fe:00:4711"), Some(1812));
        assert_eq!(process_of_lock(line, "fe:00:471"), None);
        for other in [
            "12: -> FLOCK ADVISORY WRITE 1 fe:00:4711 0 EOF",
            "12: FLOCK ADVISORY READ 1 fe:00:4711 0 EOF",
            "12: POSIX ADVISORY WRITE 1 fe:00:4711 0 EOF",
            "",
        ] {
            assert_eq!(process_of_lock(other, "fe:00:4711"), None);
        }
    }
}
