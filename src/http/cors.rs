//! Which pages may read answers (CORS).

use std::time::Duration;

use axum::http::{HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::config::origins::{self, OriginPattern};

/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// Lets scripts of these origins ask, with any header, as tracing scripts add some of their own. Tokens are explicit and
/// there are no cookies, so all may where the settings say nothing.
pub(super) fn layer(allowed: &[OriginPattern]) -> CorsLayer {
    let origins = if allowed.contains(&OriginPattern::Any) {
        AllowOrigin::any()
    } else {
        let allowed = allowed.to_vec();
        AllowOrigin::predicate(move |origin: &HeaderValue, _| {
            let origin = origin.to_str();
            origin.is_ok_and(|origin| origins::allows(&allowed, origin))
        })
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::LINK, header::WWW_AUTHENTICATE, header::RETRY_AFTER])
        .max_age(PREFLIGHT_MAX_AGE)
}
