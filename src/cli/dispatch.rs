//! Sends an operator's order to the holder of the data directory: the running server, or else this
//! process.

use std::sync::Arc;

use anyhow::{anyhow, bail};

use super::data_dir::{self, is_in_use};
use super::setting_args::DataSettings;
use super::{Failure, output, owner};
use crate::admin::{self, Request, Response, Site};
use crate::auth::Auth;
use crate::clock::{Clock, SystemClock};
use crate::command::domains::Domains;
use crate::config::Config;
use crate::model::Domain;
use crate::store::{self, OpenError};

/// Carries out an order and returns the answer; a refusal is an error.
pub(super) fn carry_out(args: &DataSettings, request: &Request) -> Result<Response, Failure> {
    // A running server has its own settings.
    match admin::request(&args.site()?, request)? {
        Some(answer) => Ok(answer),
        None => Ok(ask_or_open(&data_dir::load(args)?, request)?),
    }
}

/// The running server's answer; an error if none runs.
pub(super) fn ask_running(settings: &DataSettings, request: &Request) -> Result<Response, Failure> {
    let site = settings.site()?;
    if let Some(answer) = admin::request(&site, request)? {
        return Ok(answer);
    }
    let none = || {
        let data = site.data().display();
        anyhow!(
            "no server runs on the data directory {data}: --data DIR or RELAYBOX_DATA names another one"
        )
    };
    Err(data_dir::silent(site.data()).unwrap_or_else(none).into())
}

pub(super) fn unexpected() -> Failure {
    anyhow!("the server gave an answer to another order").into()
}

fn ask_or_open(config: &Config, request: &Request) -> anyhow::Result<Response> {
    let site = Site::new(&config.data, config.socket.clone());
    let was_there = !matches!(store::survey(&config.data), Ok(None));
    let done = data_dir::while_in_use(is_in_use, || {
        if let Some(response) = admin::request(&site, request)? {
            return Ok(response);
        }
        // Only `add` may create a data directory; for other orders a missing one is a mistake.
        let begins = matches!(request, Request::DomainAdd { .. });
        if !begins && !data_dir::exists(&config.data)? {
            bail!(OpenError::Missing(config.data.clone()));
        }
        let response = on_stopped(config, request)?;
        if !was_there && matches!(response, Response::Token { .. }) {
            output::hint(&format!(
                "There were no data in {}: a new data directory was made, and servers on other ones do not know \
                 this domain. --data DIR or RELAYBOX_DATA names the right one.",
                config.data.display()
            ));
        }
        Ok(response)
    });
    done.map_err(|error| match is_in_use(&error) {
        true => data_dir::silent(&config.data).unwrap_or(error),
        false => error,
    })
}

/// Without a server. Read-only orders do not open the store.
fn on_stopped(config: &Config, request: &Request) -> anyhow::Result<Response> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let auth = Auth::new(clock.clone());
    // So that the answer includes the effect of declared tokens at the next start.
    for declared in &config.token {
        auth.declare(&declared.domain, declared.token());
    }
    let reads = matches!(request, Request::DomainList {} | Request::Token { .. });
    if reads {
        let records = store::stored_domains(&config.data)?;
        let now_ms = clock.now_ms();
        return Ok(admin::execute_reading(records, &auth, now_ms, request)?);
    }
    owner::become_owner_of(&config.data)?;
    let store = data_dir::open(config)?;
    let domains = Domains::new(store.clone(), auth, clock);
    let nobody_to_tell = |_: &Domain| {};
    let response = admin::execute(&domains, request, &nobody_to_tell);
    store.close();
    Ok(response?)
}
