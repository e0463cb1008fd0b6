//! Query parameters; a refusal names the parameter.

use axum::http::Uri;

use crate::http::problem::Problem;
use crate::model::{Domain, Mailbox, MsgId, NameError, UserId};
use crate::protocol::query::{self, Query};

/// The parsed query string.
pub(super) fn of(uri: &Uri) -> Result<Query, Problem> {
    Query::parse(uri.query().unwrap_or_default()).map_err(bad_parameter)
}

/// 400 with this sentence.
pub(super) fn bad_parameter(error: impl std::fmt::Display) -> Problem {
    Problem::parameter(error.to_string())
}

/// The mailbox named by `domain` and the parameter `user`, both required.
pub(super) fn mailbox(parameters: &Query, user: &'static str) -> Result<Mailbox, Problem> {
    let missing = |name| Problem::parameter(format!("`{name}` is missing"));
    let domain = name(parameters, "domain", Domain::parse)?;
    let domain = domain.ok_or_else(|| missing("domain"))?;
    let id = user_id(parameters, user)?;
    let user = id.ok_or_else(|| missing(user))?;
    Ok(Mailbox { domain, user })
}

/// A user's id.
pub(super) fn user_id(
    parameters: &Query,
    parameter: &'static str,
) -> Result<Option<UserId>, Problem> {
    name(parameters, parameter, UserId::parse)
}

fn name<T>(
    parameters: &Query,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, NameError>,
) -> Result<Option<T>, Problem> {
    let value = parameters.value(name).map_err(bad_parameter)?;
    let parsed = value.map(|value| parse(value).map_err(|error| format!("`{name}` {error}")));
    parsed.transpose().map_err(Problem::parameter)
}

/// A `msgId`, of a message or between two.
pub(super) fn msg_id(parameters: &Query, name: &'static str) -> Result<Option<MsgId>, Problem> {
    value(parameters, name, (0, MsgId::MAX.0), query::msg_id)
}

/// As [`msg_id`], as a bound for discarding messages: see [`query::msg_id_at_least`].
pub(super) fn msg_id_at_least(
    parameters: &Query,
    name: &'static str,
) -> Result<Option<MsgId>, Problem> {
    value(parameters, name, (0, MsgId::MAX.0), query::msg_id_at_least)
}

/// An integer from `min` to `max`.
pub(super) fn number(
    parameters: &Query,
    name: &'static str,
    min: u64,
    max: u64,
) -> Result<Option<u64>, Problem> {
    let within = |number: &u64| (min..=max).contains(number);
    value(parameters, name, (min, max), |text| {
        query::unsigned(text).filter(within)
    })
}

fn value<T>(
    parameters: &Query,
    name: &'static str,
    (min, max): (u64, u64),
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let value = parameters.value(name).map_err(bad_parameter)?;
    let expected =
        || Problem::parameter(format!("`{name}` must be an integer from {min} to {max}"));
    value
        .map(|value| read(value).ok_or_else(expected))
        .transpose()
}
