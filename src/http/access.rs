//! Who asks: the token of a request, and what it allows in a domain.

use axum::http::{HeaderMap, header};

use crate::auth::{AuthError, Grant};
use crate::http::App;
use crate::http::problem::Problem;
use crate::model::Domain;
use crate::protocol::login::{check_token, given_token};
use crate::protocol::query::Query;

/// The `Authorization` header, where it is text.
///
/// # Errors
/// A sentence where there are several: a proxy may have gone by another one than we would.
pub(super) fn authorization(headers: &HeaderMap) -> Result<Option<&str>, String> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(
            "`token` is given more than once: there are several `Authorization` headers".into(),
        );
    }
    Ok(value.and_then(|value| std::str::from_utf8(value.as_bytes()).ok()))
}

/// The token of a request, in its header or in its query string.
///
/// # Errors
/// A sentence where it came twice, and differently.
pub(super) fn token<'a>(
    parameters: &'a Query,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, String> {
    given_token(parameters, authorization(headers)?, &[])
}

/// What the token allows in this domain.
///
/// # Errors
/// 401 where it is missing or not known there, 403 where it is another domain's.
pub(super) fn grant(app: &App, domain: &Domain, token: Option<&str>) -> Result<Grant, Problem> {
    let token = token.ok_or_else(|| {
        Problem::unauthorized("a token is needed: `Authorization: Bearer …` or `token`")
    })?;
    check_token(token).map_err(Problem::unauthorized)?;
    let verified = app.sessions.auth.verify(domain, token);
    let verified = verified.map_err(|error| match error {
        AuthError::Unknown => Problem::unauthorized("the token or the domain is unknown"),
        AuthError::Expired => Problem::unauthorized("the token has expired"),
        AuthError::OtherDomain => Problem::forbidden("the token is for another `domain`"),
    })?;
    Ok(verified.grant)
}
