//! Creates and connects everything.

use crate::config::Config;

/// A server that accepts connections.
#[derive(Debug)]
pub struct Running {
    /// Set where this start made the first domain.
    pub first_start: Option<FirstStart>,
    /// What it listens on, such as `https://127.0.0.1:8443`.
    pub addresses: Vec<String>,
}

/// What the first start tells, once.
pub struct FirstStart {
    /// The project token of the domain `demo`.
    pub token: String,
    /// A complete login URL.
    pub login_url: String,
}

impl std::fmt::Debug for FirstStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirstStart").finish_non_exhaustive()
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {}

/// Starts the server.
///
/// # Errors
/// See [`StartError`].
pub async fn start(_config: Config) -> Result<Running, StartError> {
    Ok(Running {
        first_start: None,
        addresses: Vec::new(),
    })
}

impl Running {
    /// Takes over what can change while it runs.
    pub async fn reload(&self, _config: Config) {}

    /// Stops accepting, ends the sessions, makes everything durable.
    pub async fn shutdown(self) {}
}
