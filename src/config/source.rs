//! The sources of settings, and the source of a value.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The texts of the given flags, by setting.
pub type Flags = BTreeMap<&'static str, Vec<String>>;
/// The environment; only `RELAYBOX_*` matters.
pub type Env = BTreeMap<String, String>;

/// Where settings are looked for, before any file is read.
pub struct Sources {
    /// The flags.
    pub flags: Flags,
    /// The environment.
    pub env: Env,
    /// The settings file to read, which must exist; by default, `relaybox.toml` in the data
    /// directory is read if it is there.
    pub named: Option<PathBuf>,
}

/// The contents of a settings file.
#[derive(Clone)]
pub struct FileText {
    /// Its path.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The built-in default.
    Default,
    /// The settings file.
    File {
        /// Its path.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// This environment variable.
    Env(&'static str),
    /// This flag.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}
