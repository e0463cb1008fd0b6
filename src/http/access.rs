//! Who asks: the token of a request, and what it allows in a domain.

use axum::http::{HeaderMap, header};

use crate::auth::{Auth, AuthError, Grant};
use crate::http::App;
use crate::http::problem::Problem;
use crate::limits::Visitor;
use crate::model::Domain;
use crate::protocol::given_token::{GivenTokens, bearer};
use crate::protocol::login::check_token;
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

/// The tokens of a request, in its header or in its query string.
///
/// # Errors
/// A sentence where one of these places has several.
pub(super) fn tokens<'a>(
    parameters: &'a Query,
    headers: &'a HeaderMap,
) -> Result<GivenTokens<'a>, String> {
    let authorization = authorization(headers)?;
    GivenTokens::of(parameters, authorization, &[]).map_err(|error| error.to_string())
}

/// The token that counts.
///
/// # Errors
/// A sentence where several of this server are given.
pub(super) fn token<'a>(
    auth: &Auth,
    parameters: &'a Query,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, String> {
    tokens(parameters, headers)?.choose(|token| is_own(auth, token))
}

/// Whether a token is one of this server, be it that it has expired.
pub(super) fn is_own(auth: &Auth, token: &str) -> bool {
    check_token(token).is_ok() && auth.identify(token) != Err(AuthError::Unknown)
}

/// What the token allows in this domain.
///
/// # Errors
/// 401 where it is missing or not known there, 403 where it is another domain's, 429 where it is
/// one of too many bad ones from there.
pub(super) fn grant(
    app: &App,
    visitor: &Visitor,
    domain: &Domain,
    token: Option<&str>,
) -> Result<Grant, Problem> {
    let token = token.ok_or_else(|| {
        Problem::unauthorized("a token is needed: `Authorization: Bearer …` or `token`")
    })?;
    check_token(token).map_err(Problem::unauthorized)?;
    let verified = judged(app, visitor, app.sessions.auth.verify(domain, token));
    Ok(verified?.grant)
}

/// What came of looking at a token; one that nobody knows counts.
fn judged<T>(app: &App, visitor: &Visitor, judged: Result<T, AuthError>) -> Result<T, Problem> {
    if let Err(AuthError::Unknown) = judged {
        let counted = app.sessions.limits.bad_token(visitor);
        counted.map_err(|limited| Problem::limited(&limited))?;
    }
    let judged = judged.map_err(refusal)?;
    visitor.vouch();
    Ok(judged)
}

/// A caller's project token, from its header alone, before the domain is known: it belongs to some.
///
/// # Errors
/// As of [`grant`]; 403 where it is a user token.
pub(super) fn project_token<'a>(
    app: &App,
    visitor: &Visitor,
    headers: &'a HeaderMap,
) -> Result<&'a str, Problem> {
    let token = authorization(headers).map_err(Problem::parameter)?;
    let token = token.and_then(bearer);
    let token = token.ok_or_else(|| {
        Problem::unauthorized("a project token is needed: `Authorization: Bearer …`")
    })?;
    check_token(token).map_err(Problem::unauthorized)?;
    match judged(app, visitor, app.sessions.auth.identify(token))? {
        Grant::Project => Ok(token),
        Grant::User(_) => Err(needs_project()),
    }
}

/// Whether this is a project token of this domain.
///
/// # Errors
/// As of [`grant`]; 403 where it is a user token.
pub(super) fn project(
    app: &App,
    visitor: &Visitor,
    domain: &Domain,
    token: &str,
) -> Result<(), Problem> {
    match grant(app, visitor, domain, Some(token))? {
        Grant::Project => Ok(()),
        Grant::User(_) => Err(needs_project()),
    }
}

/// 401: no such token, or no such domain.
pub(super) fn unknown() -> Problem {
    refusal(AuthError::Unknown)
}

fn needs_project() -> Problem {
    Problem::forbidden("this needs a project token")
}

fn refusal(error: AuthError) -> Problem {
    match error {
        AuthError::Unknown => Problem::unauthorized("the token or the domain is unknown"),
        AuthError::Expired => Problem::unauthorized("the token has expired"),
        AuthError::OtherDomain => Problem::forbidden("the token is for another `domain`"),
    }
}
