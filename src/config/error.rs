//! Why there are no settings.

use std::io;
use std::path::PathBuf;

use super::Origin;

/// Why there are no settings. Each is one sentence that names the setting or the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value does not do.
    #[error("setting {setting} ({origin}): expected {expected}")]
    Invalid {
        /// The setting's name.
        setting: &'static str,
        /// Where the value was written.
        origin: Origin,
        /// What would have been right.
        expected: String,
    },
    /// A key or variable is unknown that may be meant to protect something. The sentence does not repeat it.
    #[error("{0}")]
    Unknown(String),
    /// Several of these.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Self>),
    /// The file is not TOML.
    #[error(
        "{path}:{line}: this is not TOML: each setting is NAME = VALUE on a line of its own and once, texts in quotes, \
         lists in brackets", path = path.display()
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file cannot be read.
    #[error("the settings file {path} cannot be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file of tokens cannot be read. Without its name, which may be a token in the wrong place.
    #[error("the file that RELAYBOX_TOKEN_FILE names cannot be read: {0}")]
    TokenFile(io::Error),
}

impl ConfigError {
    /// The setting whose value does not do.
    pub(super) fn setting(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { setting, .. } => Some(setting),
            _ => None,
        }
    }

    /// All of at least one.
    pub(super) fn all(mut flaws: Vec<Self>) -> Self {
        match (flaws.pop(), flaws.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                flaws.extend(last);
                Self::Several(flaws)
            }
        }
    }
}
