//! Settings: default < `relaybox.toml` < environment `RELAYBOX_*` < flags → one validated
//! [`Config`].
//!
//! Reads the settings file and nothing else: flags, environment and the open-file limit are
//! handed in, so that every rule can be tested as a function. A higher source replaces a
//! lower one's list as a whole. Invariants: a `Config` is valid as it is; no error, warning
//! or `Debug` holds a token.

mod changes;
mod error;
pub mod limits;
mod open_files;
pub mod origins;
mod parse;
mod places;
mod settings;
mod source;
mod together;
mod values;
mod warnings;

pub use error::ConfigError;
pub use settings::{CLIENT_ENV_PREFIX, CONFIG_ENV, Setting, TOKEN_FILE_ENV, settings};
pub use source::Origin;
pub use together::is_listened_on;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::{Domain, LimitOptions, MessageType, Networks, Retention, StrangersMax};
use origins::OriginPattern;
use source::{Collected, Raw};
use values::Values;

/// The texts of the flags that were given, by the setting's name.
pub type Flags = BTreeMap<&'static str, Vec<String>>;
/// The environment; only `RELAYBOX_*` matters.
pub type Env = BTreeMap<String, String>;

/// A settings file that has been read.
#[derive(Clone)]
pub struct FileText {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub text: String,
}

/// A project token that the settings declare.
#[derive(Clone, PartialEq, Eq)]
pub struct DeclaredToken {
    /// Whose it is.
    pub domain: Domain,
    token: String,
}

impl DeclaredToken {
    /// The secret itself; for hashing only.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl fmt::Debug for DeclaredToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeclaredToken")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// Everything that can be set, valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Address of the TLS service; port 0 takes a free one. `None`: TLS is that of a proxy in front, and there are no
    /// certificates.
    pub listen: Option<SocketAddr>,
    /// Address of the same service without TLS. Who serves has at least one of the two.
    pub plain: Option<SocketAddr>,
    /// The data directory.
    pub data: PathBuf,
    /// The socket for the command line; `None`: in the data directory, or one without a file.
    pub socket: Option<PathBuf>,
    /// The directory of `cert.pem` and `key.pem`.
    pub certs: PathBuf,
    /// Names and addresses in the made certificate, beside the loopback ones.
    pub host: Vec<String>,
    /// Declared project tokens.
    pub token: Vec<DeclaredToken>,
    /// Whether the history is open to callers without a token.
    pub history_open: bool,
    /// Origins whose scripts may read answers over HTTP.
    pub cors_origins: Vec<OriginPattern>,
    /// Origins whose scripts may read the history without a token, where it is open: `cors_origins`, but not its
    /// default.
    pub history_origins: Vec<OriginPattern>,
    /// Origins whose scripts may open a WebSocket; empty: all.
    pub ws_origins: Vec<OriginPattern>,
    /// Message types beside [`MessageType::BASE`], ascending.
    pub types: Vec<MessageType>,
    /// Largest JSON text of a message's content.
    pub content_bytes_max: usize,
    /// How deep a message's content may be nested.
    pub content_depth_max: usize,
    /// Most sessions; never more than `connections_max`.
    pub sessions_max: usize,
    /// Most sessions of one user.
    pub sessions_per_user_max: usize,
    /// Most connections; within the open-file limit.
    pub connections_max: usize,
    /// Most of them that have not logged in.
    pub strangers_max: StrangersMax,
    /// Between two pings of an idle session.
    pub ping_interval: Duration,
    /// Most bytes that wait for one slow reader.
    pub outbox_bytes_max: usize,
    /// How long messages are kept.
    pub retention: Retention,
    /// What strangers and domains may do at most.
    pub limits: LimitOptions,
    /// The address that serves the metrics in the place of the others.
    pub metrics_listen: Option<SocketAddr>,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Most bytes of messages that are not yet in the index.
    pub tail_bytes_max: usize,
    /// Bytes of the index kept in memory.
    pub cache_bytes: u64,
    /// Size of a journal segment in bytes.
    pub segment_bytes: u64,
    /// The log filter, in a form that was checked.
    pub log: String,
}

impl Config {
    /// The addresses of the service.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listen.into_iter().chain(self.plain)
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Settings and what the operator should be told about them.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// One sentence each: unknown names, values cut to what the system allows.
    pub warnings: Vec<String>,
}

/// Reads the settings file (`named`, which must exist, else `relaybox.toml` in the data
/// directory, which need not) and the file of tokens that the environment names, and resolves all settings. Blocks on
/// these files.
///
/// # Errors
/// See [`ConfigError`].
pub fn load(
    flags: &Flags,
    env: &Env,
    named: Option<&Path>,
    open_files_max: Option<u64>,
) -> Result<Loaded, ConfigError> {
    let (env, file) = read_sources(flags, env, named)?;
    resolve(flags, &env, file.as_ref(), open_files_max)
}

/// As [`load`], for who works on the data of a stopped server: what has to hold between settings may need flags that
/// only that one is given.
///
/// # Errors
/// See [`ConfigError`].
pub fn load_stopped(flags: &Flags, env: &Env, named: Option<&Path>) -> Result<Loaded, ConfigError> {
    let (env, file) = read_sources(flags, env, named)?;
    let (loaded, _) = resolve_each(flags, &env, file.as_ref())?;
    Ok(loaded)
}

fn read_sources(
    flags: &Flags,
    env: &Env,
    named: Option<&Path>,
) -> Result<(Env, Option<FileText>), ConfigError> {
    let (path, required) = source::file_path(flags, env, named);
    let file = read_file(path, required)?;
    let mut env = env.clone();
    if let Some(tokens) = env.get_mut(TOKEN_FILE_ENV).filter(|path| !path.is_empty()) {
        // From here on what the file holds stands for its name.
        *tokens = read(Path::new(&*tokens)).map_err(ConfigError::TokenFile)?;
    }
    Ok((env, file))
}

fn read_file(path: PathBuf, required: bool) -> Result<Option<FileText>, ConfigError> {
    match read(&path) {
        Ok(text) => Ok(Some(FileText { path, text })),
        // A data directory that is no directory is the store's to complain of.
        Err(source) if is_absent(&source) && !required => Ok(None),
        Err(source) => Err(ConfigError::Read { path, source }),
    }
}

/// The data directory and the socket alone, for who needs no other setting: none of the others has
/// to be right.
///
/// # Errors
/// See [`ConfigError`].
pub fn load_data(
    flags: &Flags,
    env: &Env,
    named: Option<&Path>,
) -> Result<(PathBuf, Option<PathBuf>), ConfigError> {
    let (path, required) = source::file_path(flags, env, named);
    let file = read_file(path, required)?;
    let collected = source::collect(flags, env, file.as_ref())?;
    let values = Values(&collected.raws);
    Ok((
        values.one("data", places::directory)?,
        values.one("socket", places::socket)?,
    ))
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    let mut bounded = file.take(limits::FILE_BYTES_MAX + 1);
    bounded.read_to_string(&mut text)?;
    if text.len() as u64 > limits::FILE_BYTES_MAX {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    // Tools that copy in blocks leave zeros behind it.
    text.truncate(text.trim_end_matches('\0').len());
    Ok(text)
}

/// Resolves all settings from their sources. `open_files_max` is the process' open-file limit.
///
/// # Errors
/// All that is wrong: each but [`ConfigError::Read`] and [`ConfigError::TokenFile`].
pub fn resolve(
    flags: &Flags,
    env: &Env,
    file: Option<&FileText>,
    open_files_max: Option<u64>,
) -> Result<Loaded, ConfigError> {
    let (mut loaded, raws) = resolve_each(flags, env, file)?;
    let values = Values(&raws);
    together::check(&loaded.config, &values)?;
    open_files::fit(&mut loaded, &values, open_files_max);
    Ok(loaded)
}

/// All settings, each by itself.
fn resolve_each(
    flags: &Flags,
    env: &Env,
    file: Option<&FileText>,
) -> Result<(Loaded, BTreeMap<&'static str, Raw>), ConfigError> {
    let Collected {
        mut raws,
        warnings,
        mut flaws,
    } = source::collect(flags, env, file)?;
    let config = loop {
        let flaw = match config(&Values(&raws)) {
            Ok(config) => break config,
            Err(flaw) => flaw,
        };
        // With the default in its place the others are judged, too.
        let replaced = flaw
            .setting()
            .is_some_and(|name| source::take_default(&mut raws, name));
        flaws.push(flaw);
        if !replaced {
            return Err(ConfigError::all(flaws));
        }
    };
    if !flaws.is_empty() {
        return Err(ConfigError::all(flaws));
    }
    let mut loaded = Loaded { config, warnings };
    let odd = warnings::of(&loaded.config, &Values(&raws));
    loaded.warnings.extend(odd);
    Ok((loaded, raws))
}

fn config(values: &Values<'_>) -> Result<Config, ConfigError> {
    let cors_origins = values.list("cors_origins", origins::pattern)?;
    let are_default = values.raw("cors_origins").origin == Origin::Default;
    Ok(Config {
        listen: values.one("listen", parse::optional_address)?,
        plain: values.one("plain", parse::optional_address)?,
        data: values.one("data", places::directory)?,
        socket: values.one("socket", places::socket)?,
        certs: values.one("certs", places::directory)?,
        host: values.list("host", parse::server_name)?,
        token: values.list("token", parse::declared_token)?,
        history_open: values.one("history_open", parse::switch)?,
        history_origins: match are_default {
            true => Vec::new(),
            false => cors_origins.clone(),
        },
        cors_origins,
        ws_origins: values.list("ws_origins", origins::pattern)?,
        types: sorted(values.list("types", parse::message_type)?),
        content_bytes_max: values.size("content_bytes_max", &limits::CONTENT_BYTES)?,
        content_depth_max: values.count("content_depth_max", &limits::CONTENT_DEPTH)?,
        sessions_max: values.count("sessions_max", &limits::SESSIONS)?,
        sessions_per_user_max: values.count("sessions_per_user_max", &limits::SESSIONS_PER_USER)?,
        connections_max: values.count("connections_max", &limits::CONNECTIONS)?,
        strangers_max: values.one("strangers_max", parse::strangers_max)?,
        ping_interval: values.one("ping_interval", |text| {
            parse::duration(text, &limits::PING_INTERVAL_MS)
        })?,
        outbox_bytes_max: values.size("outbox_bytes_max", &limits::OUTBOX_BYTES)?,
        retention: retention(values)?,
        limits: limit_options(values)?,
        metrics_listen: values.one("metrics_listen", parse::optional_address)?,
        log_format: values.one("log_format", parse::log_format)?,
        tail_bytes_max: values.size("tail_bytes_max", &limits::TAIL_BYTES)?,
        cache_bytes: values.one("cache_bytes", |text| {
            parse::size(text, &limits::CACHE_BYTES)
        })?,
        segment_bytes: values.one("segment_bytes", |text| {
            parse::size(text, &limits::SEGMENT_BYTES)
        })?,
        log: values.one("log", parse::log_filter)?,
    })
}

fn retention(values: &Values<'_>) -> Result<Retention, ConfigError> {
    let kept = values.per_domain("retention", parse::retention)?;
    Ok(Retention {
        all: kept.all,
        domains: kept.domains,
    })
}

fn limit_options(values: &Values<'_>) -> Result<LimitOptions, ConfigError> {
    let rate = |name| values.one(name, parse::optional_rate);
    let networks = |name| {
        let networks = values.list(name, parse::or_off(parse::network))?;
        Ok(Networks::new(networks.into_iter().flatten().collect()))
    };
    let connections = parse::or_off(|text| parse::count(text, &limits::CONNECTIONS));
    let connections_max = values.one("connections_per_address_max", connections)?;
    Ok(LimitOptions {
        trusted_proxies: networks("trusted_proxies")?,
        unlimited: networks("unlimited")?,
        connections_per_address_max: connections_max.and_then(|max| usize::try_from(max).ok()),
        connects_per_address: rate("connects_per_address")?,
        failed_logins_per_address: rate("failed_logins_per_address")?,
        requests_per_address: rate("requests_per_address")?,
        requests_per_user: rate("requests_per_user")?,
        logins_per_user: rate("logins_per_user")?,
        logins: rate("logins")?,
        sends_per_user: rate("sends_per_user")?,
        send_bytes_per_user: values.one("send_bytes_per_user", parse::or_off(parse::byte_rate))?,
        sends_per_domain: values.per_domain("sends_per_domain", parse::rate)?,
        send_bytes_per_domain: values.per_domain("send_bytes_per_domain", parse::byte_rate)?,
        store_quota: values.per_domain("store_quota", |text| {
            parse::size(text, &limits::STORE_QUOTA_BYTES)
        })?,
        disk_free_min: values.one("disk_free_min", parse::disk_floor)?,
    })
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

#[cfg(test)]
mod tests;
