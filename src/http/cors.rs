//! Origins that may read responses (CORS).

use std::time::Duration;

use axum::http::{HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::config::origins::{self, OriginPattern};

/// Cache lifetime of a preflight.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// Admits scripts of these origins, with any header, since tracing scripts add their own. Tokens
/// are explicit and there are no cookies, so the default admits all.
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
