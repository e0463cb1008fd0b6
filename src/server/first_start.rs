//! The first start creates a domain and shows its tokens.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::StartError;
use super::listening::{Endpoint, Listening};
use super::stopping::on_disk;
use crate::command::domains::{self, DomainError, Domains};
use crate::http::origin::Transport;
use crate::model::{Domain, UserId};
use crate::net::is_own;

/// The user of the example login.
const USER: &str = "u1";

const LOGIN_TTL: Duration = Duration::from_secs(3600);

/// Shown once, never again.
pub struct FirstStart {
    domain: Domain,
    project_token: String,
    console: String,
    /// Login URL without its token.
    login_url: String,
    user_token: String,
}

impl FirstStart {
    /// Stores the domains declared in the settings and, if there is none at all, creates a first
    /// one. The last step that can fail, since a new token must be shown. `None`: stopped;
    /// `Some(None)`: not the first start.
    pub(super) async fn begin(
        domains: &Domains,
        listening: &Listening,
        stop: &CancellationToken,
    ) -> Result<Option<Option<Self>>, StartError> {
        let starting = domains.clone();
        let started = on_disk(stop, "domains", move || starting.start()).await?;
        let Some(made) = started.transpose()? else {
            return Ok(None);
        };
        let first = made.zip(listening.endpoints.first());
        let first =
            first.map(|((domain, token), endpoint)| Self::new(domains, domain, token, *endpoint));
        Ok(Some(first.transpose()?))
    }

    /// The project token of this domain, and a login with a user token at this address.
    ///
    /// # Errors
    /// [`DomainError::Mint`].
    fn new(
        domains: &Domains,
        domain: Domain,
        project_token: String,
        endpoint: Endpoint,
    ) -> Result<Self, DomainError> {
        let Endpoint { transport, address } = endpoint;
        let host = match address.ip() {
            // Some clients try only the IPv6 address of `localhost`.
            ip if ip.is_unspecified() && ip.is_ipv6() && is_own(Ipv6Addr::LOCALHOST.into()) => {
                "localhost".to_owned()
            }
            ip if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
            _ => url_host(address),
        };
        let port = address.port();
        let (console, login) = match transport {
            Transport::Tls => ("https", "wss"),
            Transport::Plain => ("http", "ws"),
        };
        let id = UserId::parse(USER).expect("the id is a valid one");
        let (user_token, _) = domains::mint(domains.auth(), &domain, &id, None, LOGIN_TTL, false)?;
        let login_url = format!(
            "{login}://{host}:{port}/ws?id={USER}&name=Alice&domain={domain}&resource=web&token="
        );
        Ok(Self {
            domain,
            project_token,
            console: format!("{console}://{host}:{port}/"),
            login_url,
            user_token,
        })
    }

    /// The lines to print, given the data directory and the CA file made by the server. A journal
    /// is kept: it gets no project token, and a login that expires soon.
    pub fn lines(&self, is_journal: bool, data: &Path, ca: Option<&Path>) -> Vec<String> {
        let Self {
            domain,
            console,
            login_url,
            ..
        } = self;
        let data = quoted(data);
        let (what, first, login, token) = match is_journal {
            true => (
                "A project token, in place of the one that nobody has seen:",
                format!("relaybox domain rotate {domain} --data {data}"),
                format!("Log in as {USER}, within an hour:"),
                &self.user_token,
            ),
            false => (
                "Its project token, shown only this once:",
                self.project_token.clone(),
                "Log in with any WebSocket client:".to_owned(),
                &self.project_token,
            ),
        };
        let mut lines = vec![
            format!("The domain {domain} was made. {what}"),
            format!("  {first}"),
            login,
            format!("  {login_url}{token}"),
            "A token for a user:".to_owned(),
            format!("  relaybox token --domain {domain} --id {USER} --data {data}"),
            format!("Console: {console}"),
        ];
        lines.extend(ca.map(|ca| format!("Clients have to trust {}", ca.display())));
        lines
    }
}

/// A path quoted for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    match text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

fn url_host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_the_shell() {
        for (path, word) in [
            ("./data", "./data"),
            ("/srv/my data", "'/srv/my data'"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}
