//! Failures of a command: exit code and sentence.

use crate::config::ConfigError;

#[derive(Debug)]
pub(super) enum Failure {
    /// Bad usage or settings. Exit code 2.
    Usage(String),
    /// No damage, but the newest data may be missing. Exit code 3.
    Short(String),
    /// Anything else. Exit code 1.
    Other(anyhow::Error),
    /// The log has already reported it. Exit code 1.
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

/// An error with its causes, skipping those that its own text already ends with.
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
