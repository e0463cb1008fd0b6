//! Hands an order to whoever has the data directory: the running server, else this process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::setting_args::{DataOnly, SettingArgs};
use super::{Failure, output};
use crate::admin::{self, Request, Response};
use crate::auth::Auth;
use crate::clock::{Clock, SystemClock};
use crate::command::domains::Domains;
use crate::config::Config;
use crate::model::{Domain, Message};
use crate::store::{CommitSink, OpenError, Store, StoreOptions};

/// How long a server that has the data directory, but does not listen yet, is waited for.
const STARTING_DEADLINE: Duration = Duration::from_secs(5);
/// Between two attempts to reach it.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Carries an order out, and returns its answer; a refusal is an error.
pub(super) fn carry_out(
    args: &SettingArgs<DataOnly>,
    request: &Request,
) -> Result<Response, Failure> {
    let loaded = args.load(None)?;
    for warning in &loaded.warnings {
        output::hint(&format!("relaybox: warning: {warning}"));
    }
    match ask_or_open(&loaded.config, request)? {
        Response::Refused { sentence } => Err(Failure::Other(anyhow::Error::msg(sentence))),
        response => Ok(response),
    }
}

fn ask_or_open(config: &Config, request: &Request) -> anyhow::Result<Response> {
    let started = Instant::now();
    loop {
        if let Some(response) = admin::request(&config.data, request)? {
            return Ok(response);
        }
        // Only `add` may begin a data directory: elsewhere a missing one is a slip.
        let begins = matches!(request, Request::DomainAdd { .. });
        if !begins && !exists(&config.data)? {
            bail!("there is no data directory {}", config.data.display());
        }
        match open(config) {
            Ok(store) => return Ok(on_store(config, store, request)),
            // A server that starts or ends: it has the directory, but not (or no longer) the socket.
            Err(OpenError::InUse(_)) if started.elapsed() < STARTING_DEADLINE => {
                std::thread::sleep(RETRY_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn exists(data: &Path) -> anyhow::Result<bool> {
    data.try_exists()
        .with_context(|| format!("the data directory {} cannot be read", data.display()))
}

/// Nobody is online here, and nothing is sent.
struct NoSessions;

impl CommitSink for NoSessions {
    fn committed(&self, _messages: &[Message]) {}
}

fn open(config: &Config) -> Result<Store, OpenError> {
    let mut options = StoreOptions::new(&config.data);
    options.tail_bytes_max = config.tail_bytes_max;
    options.cache_bytes = config.cache_bytes;
    options.segment_bytes = config.segment_bytes;
    options.retention = config.retention.clone();
    Store::open(options, Arc::new(SystemClock), Arc::new(NoSessions))
}

fn on_store(config: &Config, store: Store, request: &Request) -> Response {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let auth = Auth::new(clock.clone());
    // So that the answer tells what these will do at the next start.
    for declared in &config.token {
        auth.declare(&declared.domain, declared.token());
    }
    let domains = Domains::new(store.clone(), auth, clock);
    let nobody_to_tell = |_: &Domain| {};
    let response = admin::execute(&domains, request, &nobody_to_tell);
    store.close();
    response
}
