//! Errors of the settings.

use std::io;
use std::path::PathBuf;

use super::source::Source;

/// Why settings were rejected. Each is one sentence that names the setting or the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is invalid.
    #[error("setting {setting} ({at}): expected {expected}")]
    Invalid {
        /// The setting's name.
        setting: &'static str,
        /// The source of the value.
        at: Source,
        /// The values allowed, as the end of the sentence.
        expected: String,
    },
    /// An unknown key or variable, which may have been meant to protect something. The sentence
    /// does not repeat it.
    #[error("{0}")]
    Unknown(String),
    /// Several errors at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Self>),
    /// The file is not TOML.
    #[error(
        "{path}:{line}: this is not TOML: each setting is NAME = VALUE on a line of its own and once, texts in quotes, \
         lists in brackets"
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file cannot be read.
    #[error("the settings file {path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The token file cannot be read. Its name is withheld: it may be a misplaced token.
    #[error("the file that RELAYBOX_TOKEN_FILE names cannot be read: {0}")]
    TokenFile(io::Error),
}

impl ConfigError {
    pub(super) fn all(mut errors: Vec<Self>) -> Self {
        match errors.len() {
            1 => errors.remove(0),
            _ => Self::Several(errors),
        }
    }
}
