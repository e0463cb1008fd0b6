//! The login of `send` and `listen`, from flags and variables.
//!
//! Never prints a token, and never needs it on the command line, where others can read it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::Failure;
use crate::auth;
use crate::client::{Address, Login, OpenError};
use crate::config::CLIENT_ENV_PREFIX;
use crate::model::{Domain, MsgId, NameError, Resource, UserId, UserName};
use crate::net::client::{ConnectError, Trust};
use crate::protocol::login::{TOKEN_BYTES_MAX, check_token};

const URL_DEFAULT: &str = "wss://localhost:8443";

/// The CA that a server on this machine creates, if started with the defaults.
const CA_DEFAULT: &str = "certs/ca.pem";

/// Means standard input.
pub(super) const STDIN: &str = "-";

/// The flags of a login.
#[derive(Args)]
#[command(next_help_heading = "Login")]
pub(super) struct LoginArgs {
    /// The server: wss://HOST:PORT, ws://HOST:PORT where it speaks no TLS (--plain), or HOST alone, at
    /// port 8443; the path that a proxy has put before it, as in wss://HOST/chat, may follow; a login URL will do [default: wss://localhost:8443] [env: RELAYBOX_CLIENT_URL]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The user's domain [default: that of a user token] [env: RELAYBOX_CLIENT_DOMAIN]
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// The user's id [default: that of a user token] [env: RELAYBOX_CLIENT_ID]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The user's display name [default: its id]
    #[arg(long)]
    name: Option<String>,
    /// The device to log in as; a second login as the same one ends the first [default: cli, for send cli-send]
    #[arg(long, value_name = "NAME")]
    resource: Option<String>,
    /// The token. Others on this machine can see flags: better the variable, or a file
    /// [env: RELAYBOX_CLIENT_TOKEN]
    #[arg(long, conflicts_with = "token_file")]
    token: Option<String>,
    /// Reads the token from a file, or with - from standard input [env: RELAYBOX_CLIENT_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Trusts the authorities of this PEM file and no others [default: the system's, and certs/ca.pem
    /// where it is there] [env: RELAYBOX_CLIENT_CA]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A user's login, apart from the device.
pub(super) struct Account {
    login: Login,
    /// The CAs trusted to vouch for the server.
    pub(super) trust: Trust,
    /// Whether the caller named the device.
    pub(super) resource_given: bool,
}

impl Account {
    /// The login with the device named by the caller, else `resource`.
    pub(super) fn login(&self, resource: &Resource, after: Option<MsgId>) -> Login {
        let mut login = self.login.clone();
        if !self.resource_given {
            login.resource = resource.clone();
        }
        login.after = after;
        login
    }
}

impl LoginArgs {
    /// Whether standard input holds the token, and so cannot hold a message.
    pub(super) fn takes_stdin(&self) -> bool {
        self.token_file().is_some_and(|file| is_stdin(&file))
    }

    /// Resolves the account; `resource` is its default device.
    pub(super) fn resolve(&self, resource: &Resource) -> Result<Account, Failure> {
        let url = given(&self.url, "URL")?.unwrap_or_else(|| URL_DEFAULT.to_owned());
        let (address, query) = Address::parse(&url)
            .map_err(|flaw| Failure::Usage(format!("the server's address (--url) {flaw}")))?;
        let in_url = |name| -> Result<Option<String>, Failure> {
            let value = query.value(name);
            let value = value.map_err(|error| Failure::Usage(error.to_string()))?;
            Ok(value.map(str::to_owned))
        };
        let (domain, id) = (given(&self.domain, "DOMAIN")?, given(&self.id, "ID")?);
        let token = self.token(in_url("token")?)?;
        // A user token names both.
        let (of_domain, of_id) = token.as_deref().and_then(auth::claimed_login).unzip();
        let id = id.or(in_url("id")?).or(of_id);
        let id = required("id", id, UserId::parse)?;
        let domain = domain.or(in_url("domain")?).or(of_domain);
        let domain = required("domain", domain, Domain::parse)?;
        let name = self.name.clone().or(in_url("name")?);
        let name = name.unwrap_or_else(|| id.to_string());
        let name = checked("name", &name, UserName::parse)?;
        let named = self.resource.clone().or(in_url("resource")?);
        let resource_given = named.is_some();
        let resource = match named {
            Some(named) => checked("resource", &named, Resource::parse)?,
            None => resource.clone(),
        };
        let token = token.ok_or_else(|| {
            Failure::Usage(format!(
                "there is no token: put it into {CLIENT_ENV_PREFIX}TOKEN or a file (--token-file FILE, or - for standard input)"
            ))
        })?;
        check_token(&token).map_err(Failure::Usage)?;
        if self.ca.is_some() && !address.tls {
            let sentence = "--ca is of no use to ws://, which verifies nobody";
            return Err(Failure::Usage(sentence.to_owned()));
        }
        let trust = match given_path(&self.ca, "CA") {
            _ if !address.tls => Trust::nobody(),
            Some(file) => Trust::in_file(&file),
            None => Trust::in_system_and(Path::new(CA_DEFAULT)),
        };
        Ok(Account {
            login: Login {
                address,
                domain,
                id,
                name,
                resource,
                token,
                after: None,
            },
            trust: trust.context("no server can be verified")?,
            resource_given,
        })
    }

    fn token_file(&self) -> Option<PathBuf> {
        match &self.token {
            Some(_) => None,
            None => given_path(&self.token_file, "TOKEN_FILE"),
        }
    }

    fn token(&self, in_url: Option<String>) -> Result<Option<String>, Failure> {
        Ok(match (&self.token, self.token_file()) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(file)) => Some(read_token(&file)?),
            (None, None) => given(&None, "TOKEN")?.or(in_url),
        })
    }
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == STDIN
}

fn read_token(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    // Allows for a line end; anything longer is not a token.
    let bytes_max = TOKEN_BYTES_MAX as u64 + 3;
    let read = match is_stdin(file) {
        true => io::stdin().lock().take(bytes_max).read_to_string(&mut text),
        false => File::open(file).and_then(|file| file.take(bytes_max).read_to_string(&mut text)),
    };
    read.with_context(|| match is_stdin(file) {
        true => "the token cannot be read from standard input".to_owned(),
        // The name is not printed: it may be a token in the wrong place.
        false => format!(
            "the token cannot be read from the file that --token-file (or {CLIENT_ENV_PREFIX}TOKEN_FILE) names"
        ),
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The flag's value, else the variable's. An empty variable counts as unset, as containers write
/// it.
fn given(flag: &Option<String>, variable: &str) -> Result<Option<String>, Failure> {
    if flag.is_some() {
        return Ok(flag.clone());
    }
    let name = format!("{CLIENT_ENV_PREFIX}{variable}");
    let Some(value) = std::env::var_os(&name) else {
        return Ok(None);
    };
    let value = value.into_string();
    let value = value.map_err(|_| Failure::Usage(format!("the value of {name} is not UTF-8")))?;
    Ok(Some(value).filter(|value| !value.is_empty()))
}

fn given_path(flag: &Option<PathBuf>, variable: &str) -> Option<PathBuf> {
    let in_env = || std::env::var_os(format!("{CLIENT_ENV_PREFIX}{variable}"));
    let path = flag.clone().or_else(|| in_env().map(PathBuf::from));
    path.filter(|path| !path.as_os_str().is_empty())
}

fn required<T>(
    name: &str,
    value: Option<String>,
    parse: impl Fn(&str) -> Result<T, NameError>,
) -> Result<T, Failure> {
    let variable = name.to_uppercase();
    let missing = || format!("--{name} is missing (or {CLIENT_ENV_PREFIX}{variable})");
    checked(
        name,
        &value.ok_or_else(|| Failure::Usage(missing()))?,
        parse,
    )
}

fn checked<T>(
    name: &str,
    value: &str,
    parse: impl Fn(&str) -> Result<T, NameError>,
) -> Result<T, Failure> {
    parse(value).map_err(|error| Failure::Usage(format!("--{name} {error}")))
}

/// Why a server was not reached, and a remedy.
pub(super) fn explain(error: &OpenError) -> String {
    let help = match error {
        OpenError::Connect(ConnectError::Untrusted { .. }) => {
            "; give the server's ca.pem with --ca FILE (the server makes it beside its certificate)"
        }
        OpenError::Connect(ConnectError::Certificate { .. }) => {
            "; `relaybox serve --host NAME` makes one for further names"
        }
        OpenError::Connect(ConnectError::Tls { .. }) => {
            "; for a port without TLS write ws:// in the address"
        }
        OpenError::Refused { status: 404 | 426 } => "; is the address complete, its path too?",
        _ => "",
    };
    format!("{error}{help}")
}
