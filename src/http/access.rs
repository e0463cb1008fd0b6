//! The caller of a request: its token, and the rights that it grants in a domain.

use axum::Extension;
use axum::extract::FromRequestParts;
use axum::extract::rejection::ExtensionRejection;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::auth::{Auth, AuthError, Grant};
use crate::http::problem::Problem;
use crate::limits::Visitor;
use crate::model::Domain;
use crate::protocol::given_token::{GivenTokens, bearer};
use crate::protocol::login::check_token;
use crate::protocol::query::Query;
use crate::state::State;

/// The `Authorization` header, if it is text.
///
/// # Errors
/// A sentence if there are several: a proxy may have used another one.
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
/// A sentence if either has several.
pub(super) fn tokens<'a>(
    parameters: &'a Query,
    headers: &'a HeaderMap,
) -> Result<GivenTokens<'a>, String> {
    let authorization = authorization(headers)?;
    GivenTokens::of(parameters, authorization, &[]).map_err(|error| error.to_string())
}

/// Whether a token is one of this server's, expired or not.
pub(super) fn is_own(auth: &Auth, token: &str) -> bool {
    check_token(token).is_ok() && auth.identify(token) != Err(AuthError::Unknown)
}

/// The caller of a request.
pub struct Caller {
    pub(super) visitor: Visitor,
    state: State,
}

impl FromRequestParts<State> for Caller {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Self::Rejection> {
        let Extension(visitor) = Extension::from_request_parts(parts, state).await?;
        Ok(Self {
            visitor,
            state: state.clone(),
        })
    }
}

impl Caller {
    /// The token to judge the request by.
    ///
    /// # Errors
    /// 400 if several of this server's are given.
    pub(super) fn token<'a>(
        &self,
        parameters: &'a Query,
        headers: &'a HeaderMap,
    ) -> Result<Option<&'a str>, Problem> {
        let tokens = tokens(parameters, headers);
        let token =
            tokens.and_then(|tokens| tokens.choose(|token| is_own(&self.state.auth, token)));
        token.map_err(Problem::parameter)
    }

    /// The rights of the token in this domain.
    ///
    /// # Errors
    /// 401 if it is missing or unknown there, 403 if it is for another domain, 429 after too many
    /// unknown ones from the address.
    pub(super) fn grant(&self, domain: &Domain, token: Option<&str>) -> Result<Grant, Problem> {
        let token = token.ok_or_else(|| {
            Problem::unauthorized("a token is needed: `Authorization: Bearer …` or `token`")
        })?;
        check_token(token).map_err(Problem::unauthorized)?;
        Ok(self.judged(self.state.auth.verify(domain, token))?.grant)
    }

    /// Counts unknown tokens, and vouches for the connection of a good one.
    fn judged<T>(&self, judged: Result<T, AuthError>) -> Result<T, Problem> {
        if let Err(AuthError::Unknown) = judged {
            let counted = self.state.limits.bad_token(&self.visitor);
            counted.map_err(Problem::limited)?;
        }
        let judged = judged.map_err(refusal)?;
        self.visitor.vouch();
        Ok(judged)
    }

    /// The project token in the header, of any domain.
    ///
    /// # Errors
    /// Those of [`Self::grant`]; 403 for a user token.
    pub(super) fn project_token<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, Problem> {
        let token = authorization(headers).map_err(Problem::parameter)?;
        let token = token.and_then(bearer);
        let token = token.ok_or_else(|| {
            Problem::unauthorized("a project token is needed: `Authorization: Bearer …`")
        })?;
        check_token(token).map_err(Problem::unauthorized)?;
        match self.judged(self.state.auth.identify(token))? {
            Grant::Project => Ok(token),
            Grant::User(_) => Err(needs_project()),
        }
    }

    /// Checks for a project token of this domain.
    ///
    /// # Errors
    /// Those of [`Self::grant`]; 403 for a user token.
    pub(super) fn check_project(&self, domain: &Domain, token: &str) -> Result<(), Problem> {
        match self.grant(domain, Some(token))? {
            Grant::Project => Ok(()),
            Grant::User(_) => Err(needs_project()),
        }
    }
}

/// 401: unknown token or domain.
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
