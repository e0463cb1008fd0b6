//! Request rate per address.
//!
//! Invariant: a request above the rate costs its head and a token check, nothing else.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;
use super::{access, body, parameters};
use crate::auth::{Auth, Grant};
use crate::limits::{Limits, Visitor};
use crate::protocol::given_token::bearer;
use crate::protocol::login::check_token;

/// Delay of a 429 on a client's own connection: a client that retries without pause would keep a
/// core or two busy.
const LIMITED_PAUSE: Duration = Duration::from_millis(100);

/// Paths that take a token.
const OF_TOKENS: [&str; 4] = ["/message-log", "/messages", "/presence", "/tokens"];

/// Limits requests by address. Exempt are requests with a good project token, whose holder is
/// trusted everywhere, probes, and logins, which have rates of their own. Requests with a good user
/// token count apart, so that bad ones beside them cannot use up their rate. Preflights do not get
/// here.
pub(super) async fn limit(
    State(limits): State<Arc<Limits>>,
    State(auth): State<Auth>,
    request: Request,
    next: Next,
) -> Response {
    let Some(visitor) = request.extensions().get::<Visitor>().cloned() else {
        return next.run(request).await;
    };
    let is_known = match request.uri().path() {
        "/healthz" | "/readyz" => return next.run(request).await,
        "/ws" | "/ws/" if request.headers().contains_key(header::UPGRADE) => {
            return log_in(&limits, &visitor, request, next).await;
        }
        path if OF_TOKENS.contains(&path) => match grant(&auth, &request) {
            Some(Grant::Project) => return next.run(request).await,
            known => known.is_some(),
        },
        _ => false,
    };
    let response = match limits.request(&visitor, is_known) {
        Ok(()) => next.run(request).await,
        Err(limited) => {
            // The connection is kept: a proxy's carries other clients, too.
            let (head, body) = request.into_parts();
            body::discard_rest(&head.headers, &mut body.into_data_stream()).await;
            Problem::limited(limited).into_response()
        }
    };
    pause(&visitor, response.status()).await;
    response
}

async fn pause(visitor: &Visitor, status: StatusCode) {
    if status == StatusCode::TOO_MANY_REQUESTS && !visitor.proxied {
        tokio::time::sleep(LIMITED_PAUSE).await;
    }
}

/// Counts upgrade requests that become no login.
async fn log_in(limits: &Limits, visitor: &Visitor, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    let counted = limits.request(visitor, false);
    let limited = |limited| Problem::limited(limited).into_response();
    let response = counted.map_or_else(limited, |()| response);
    pause(visitor, response.status()).await;
    response
}

/// The rights of a request's token, if it is good and in the place where the handler expects it.
fn grant(auth: &Auth, request: &Request) -> Option<Grant> {
    let headers = request.headers();
    let identify = |token: &str| {
        let is_token = check_token(token).is_ok();
        is_token.then(|| auth.identify(token).ok()).flatten()
    };
    match request.uri().path() {
        "/message-log" => {
            let parameters = parameters::of(request.uri()).ok()?;
            let tokens = access::tokens(&parameters, headers).ok()?;
            let grants: Vec<_> = tokens.iter().filter_map(identify).collect();
            let project = grants.iter().position(|grant| *grant == Grant::Project);
            grants.into_iter().nth(project.unwrap_or(0))
        }
        _ => {
            let token = access::authorization(headers).ok()?.and_then(bearer)?;
            identify(token)
        }
    }
}
