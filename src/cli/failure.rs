//! How a command fails: its exit code and its sentence.

use crate::config::ConfigError;

/// Why a command did not end as asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// The caller's doing: usage or settings. Exit code 2.
    Usage(String),
    /// Nothing is damaged, but what came last may be missing. Exit code 3.
    Short(String),
    /// Anything else. Exit code 1.
    Other(anyhow::Error),
    /// The log has said why. Exit code 1.
    Logged,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        if error.is::<ConfigError>() {
            return Self::Usage(error.to_string());
        }
        Self::Other(error)
    }
}

/// An error with its causes, but none that its own words end with already.
pub(super) fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if sentence.is_empty() {
            sentence = cause;
        } else if !sentence.ends_with(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    sentence
}
