//! The data directory of a command, with or without a running server.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::setting_args::DataSettings;
use super::{Failure, output};
use crate::admin::{self, Request, Response, Site};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::model::Message;
use crate::server::store_options;
use crate::store::{self, CommitSink, Holder, OpenError, Position, Store};

/// Longest wait for a server that holds the directory but does not listen yet.
const STARTING_DEADLINE: Duration = Duration::from_secs(5);
/// Pause between two attempts to reach it.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Loads the settings and prints their warnings.
pub(super) fn load(args: &DataSettings) -> Result<Config, Failure> {
    let loaded = args.load()?;
    for warning in &loaded.warnings {
        output::hint(&format!("relaybox: warning: {warning}"));
    }
    Ok(loaded.config)
}

/// The error for a directory whose holder does not answer on its socket; `None` if no process holds
/// it.
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

pub(super) fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::InUse(_)))
}

/// Repeats work that is refused because the directory is in use (`in_use`): a starting or stopping
/// server holds it, but not (or no longer) the socket.
pub(super) fn while_in_use<T>(
    in_use: impl Fn(&anyhow::Error) -> bool,
    work: impl Fn() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        match work() {
            Err(error) if in_use(&error) && started.elapsed() < STARTING_DEADLINE => {
                std::thread::sleep(RETRY_PAUSE);
            }
            done => return done,
        }
    }
}

/// Durable end of the journal if a server runs on this data directory. Without one, work on the
/// directory has to lock others out.
pub(super) fn journal_end(site: &Site) -> anyhow::Result<Option<Position>> {
    match admin::request(site, &Request::JournalEnd {})? {
        None => Ok(None),
        Some(Response::JournalEnd(end)) => Ok(Some(end)),
        Some(_) => bail!("the server gave an answer to another order"),
    }
}

pub(super) fn missing(data: &Path) -> Failure {
    OpenError::Missing(data.to_owned()).into()
}

pub(super) fn exists(data: &Path) -> anyhow::Result<bool> {
    data.try_exists()
        .with_context(|| format!("the data directory {} cannot be read", data.display()))
}

/// No session is online, and nothing is sent.
struct NoSessions;

impl CommitSink for NoSessions {
    fn committed(&self, _messages: &[Message]) {}
}

pub(super) fn open(config: &Config) -> Result<Store, OpenError> {
    Store::open(
        store_options(config),
        Arc::new(SystemClock),
        Arc::new(NoSessions),
    )
}
