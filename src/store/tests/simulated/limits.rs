//! How much room a simulated disk has, and what it lacks.

use std::io;

/// What there is none of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Space, and how that is told.
    Space(io::ErrorKind),
    /// Files, and how that is told.
    Files(io::ErrorKind),
    /// Files of more bytes.
    FileSize(usize),
}

/// What there may be on the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) lack: Lack,
    pub(super) bytes: u64,
    pub(super) files: usize,
}

/// How long a file may become, and how more is refused.
pub(super) struct Room {
    pub(super) bytes: usize,
    pub(super) refusal: io::ErrorKind,
}
