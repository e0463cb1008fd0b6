//! Hands an order to whoever has the data directory: the running server, else this process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::setting_args::{DataOnly, SettingArgs};
use super::{Failure, output, owner};
use crate::admin::{self, Request, Response, Site};
use crate::auth::Auth;
use crate::clock::{Clock, SystemClock};
use crate::command::domains::Domains;
use crate::config::Config;
use crate::model::{Domain, Message};
use crate::store::{self, CommitSink, Holder, JournalEnd, OpenError, Store, StoreOptions};

/// How long a server that has the data directory, but does not listen yet, is waited for.
const STARTING_DEADLINE: Duration = Duration::from_secs(5);
/// Between two attempts to reach it.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Carries an order out, and returns its answer; a refusal is an error.
pub(super) fn carry_out(
    args: &SettingArgs<DataOnly>,
    request: &Request,
) -> Result<Response, Failure> {
    // A running server has its own settings.
    let answer = admin::request(&args.site()?, request)?;
    let answer = match answer {
        Some(answer) => answer,
        None => ask_or_open(&load(args)?, request)?,
    };
    match answer {
        Response::Refused { sentence } => Err(Failure::Other(anyhow::Error::msg(sentence))),
        response => Ok(response),
    }
}

/// The settings; what is odd about them is told.
pub(super) fn load(args: &SettingArgs<DataOnly>) -> Result<Config, Failure> {
    let loaded = args.load()?;
    for warning in &loaded.warnings {
        output::hint(&format!("relaybox: warning: {warning}"));
    }
    Ok(loaded.config)
}

/// An answer that does not belong to the order.
pub(super) fn unexpected() -> Failure {
    Failure::Other(anyhow::Error::msg(
        "the server gave an answer to another order",
    ))
}

fn ask_or_open(config: &Config, request: &Request) -> anyhow::Result<Response> {
    let started = Instant::now();
    let site = Site::new(&config.data, config.socket.clone());
    let was_there = !matches!(store::survey(&config.data), Ok(None));
    loop {
        if let Some(response) = admin::request(&site, request)? {
            return Ok(response);
        }
        // Only `add` may begin a data directory: elsewhere a missing one is a slip.
        let begins = matches!(request, Request::DomainAdd { .. });
        if !begins && !exists(&config.data)? {
            bail!(no_directory(&config.data));
        }
        match on_stopped(config, request) {
            // A server that starts or ends: it has the directory, but not (or no longer) the socket.
            Err(error) if is_in_use(&error) && started.elapsed() < STARTING_DEADLINE => {
                std::thread::sleep(RETRY_PAUSE);
            }
            Err(error) if is_in_use(&error) => return Err(silent(&config.data).unwrap_or(error)),
            Ok(response) if !was_there && matches!(response, Response::Token { .. }) => {
                output::hint(&format!(
                    "There were no data in {}: a new data directory was made, and servers on other ones do not know \
                     this domain. --data DIR or RELAYBOX_DATA names the right one.",
                    config.data.display()
                ));
                return Ok(response);
            }
            done => return done,
        }
    }
}

/// What there is to say of a process that has a data directory and answers on no socket.
pub(super) fn silent(data: &Path) -> Option<anyhow::Error> {
    let data_dir = data.display();
    let which = match store::holder(data) {
        Ok(Holder::None) => return None,
        Ok(Holder::Process(process)) => process.to_string(),
        Ok(Holder::Unnamed) => "the system does not say here which one".to_owned(),
        Err(error) => {
            return Some(anyhow::anyhow!(
                "no server answers on the socket of the data directory {data_dir}, and whether a \
                 process has it cannot be told: {error}"
            ));
        }
    };
    Some(anyhow::anyhow!(
        "the data directory {data_dir} is in use by another process ({which}), and no server \
         answers on its socket: if it is a server whose log says that no socket could be made, or \
         one in another container, start it with --socket PATH and give that to this command, too"
    ))
}

fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::InUse(_)))
}

/// Runs `work` on a data directory: with the end of the journal where a server runs on it,
/// else without, and the work then keeps it from others. `in_use` tells the refusal of a
/// directory that is in use all the same: of a server that starts or ends.
pub(super) fn beside_server<T, E: Into<anyhow::Error>>(
    site: &Site,
    in_use: impl Fn(&E) -> bool,
    work: impl Fn(Option<JournalEnd>) -> Result<T, E>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        let end = journal_end(site)?;
        match work(end) {
            Err(error) if in_use(&error) && started.elapsed() < STARTING_DEADLINE => {
                std::thread::sleep(RETRY_PAUSE);
            }
            done => return done.map_err(Into::into),
        }
    }
}

fn journal_end(site: &Site) -> anyhow::Result<Option<JournalEnd>> {
    match admin::request(site, &Request::JournalEnd {})? {
        None => Ok(None),
        Some(Response::JournalEnd {
            segment,
            offset,
            sequence,
        }) => Ok(Some(JournalEnd {
            segment,
            offset,
            sequence,
        })),
        Some(Response::Refused { sentence }) => bail!(sentence),
        Some(_) => bail!("the server gave an answer to another order"),
    }
}

fn no_directory(data: &Path) -> String {
    OpenError::Missing(data.to_owned()).to_string()
}

/// Why nothing can be said of a directory that is not there.
pub(super) fn missing(data: &Path) -> Failure {
    Failure::Other(anyhow::Error::msg(no_directory(data)))
}

/// Whether there is such a directory.
pub(super) fn exists(data: &Path) -> anyhow::Result<bool> {
    data.try_exists()
        .with_context(|| format!("the data directory {} cannot be read", data.display()))
}

/// Nobody is online here, and nothing is sent.
struct NoSessions;

impl CommitSink for NoSessions {
    fn committed(&self, _messages: &[Message]) {}
}

/// Opens the store of a stopped server.
pub(super) fn open(config: &Config) -> Result<Store, OpenError> {
    let mut options = StoreOptions::new(&config.data);
    options.tail_bytes_max = config.tail_bytes_max;
    options.cache_bytes = config.cache_bytes;
    options.segment_bytes = config.segment_bytes;
    options.retention = config.retention.clone();
    Store::open(options, Arc::new(SystemClock), Arc::new(NoSessions))
}

/// Carries an order out on the data directory of a stopped server; what only reads opens no store.
fn on_stopped(config: &Config, request: &Request) -> anyhow::Result<Response> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let auth = Auth::new(clock.clone());
    // So that the answer tells what these will do at the next start.
    for declared in &config.token {
        auth.declare(&declared.domain, declared.token());
    }
    let reads = matches!(request, Request::DomainList {} | Request::Token { .. });
    if reads {
        let records = store::stored_domains(&config.data)?;
        return Ok(admin::execute_reading(
            records,
            &auth,
            clock.now_ms(),
            request,
        ));
    }
    owner::become_owner_of(&config.data)?;
    let store = open(config)?;
    let domains = Domains::new(store.clone(), auth, clock);
    let nobody_to_tell = |_: &Domain| {};
    let response = admin::execute(&domains, request, &nobody_to_tell);
    store.close();
    Ok(response)
}
