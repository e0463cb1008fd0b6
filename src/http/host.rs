//! Refuses requests with several `Host` headers, or none in HTTP/1.1: of several, a proxy may have used another one.

use axum::extract::Request;
use axum::http::{Version, header};
use axum::middleware::Next;
use axum::response::Response;

use super::problem::Problem;

/// Refuses requests without a `Host`, or with several (RFC 9112, 3.2).
///
/// # Errors
/// 400.
pub(super) fn is_one(request: &Request) -> Result<(), Problem> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let is_old = request.version() < Version::HTTP_11;
    match hosts == 1 || hosts == 0 && is_old {
        true => Ok(()),
        false => Err(Problem::one_host()),
    }
}

/// [`is_one`] as a layer, inside the ones for rates and CORS.
pub(super) async fn only_one(request: Request, next: Next) -> Result<Response, Problem> {
    is_one(&request)?;
    Ok(next.run(request).await)
}
