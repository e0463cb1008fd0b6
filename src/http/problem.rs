//! Errors over HTTP: RFC 9457 `application/problem+json` (PROTOCOL.md section 7).

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::limits::{Limit, Limited};
use crate::protocol::error_code::{ErrorCode, FrameError};

/// The media type of a problem (RFC 9457, 3).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The code for exhausted memory.
const OVERLOADED: &str = "overloaded";

/// `Retry-After` if no better value is known.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    field: Option<&'static str>,
    retry_after: Option<Duration>,
}

/// Why a request was refused (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// `about:blank`: the status says what kind of problem it is.
    r#type: &'a str,
    /// The status in words.
    title: &'a str,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A sentence that names the parameter or field and what was expected.
    detail: &'a str,
    /// For programs: a fixed word for each kind of problem.
    #[schema(example = "invalid_parameter")]
    code: &'a str,
    /// The field of the body that is to blame, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<&'a str>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            field: None,
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(SOON),
        }
    }

    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// A body that breaks a rule; 400, 413, 429 or 503 by its code.
    pub fn refused(error: FrameError) -> Self {
        let status = match error.code {
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::StorageUnavailable => return Self::storage_unavailable(),
            ErrorCode::RateLimited | ErrorCode::DomainRateLimited => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::InvalidJson | ErrorCode::InvalidField | ErrorCode::TypeNotAllowed => {
                StatusCode::BAD_REQUEST
            }
        };
        Self {
            field: error.field,
            ..Self::new(status, error.code.as_str(), error.message)
        }
    }

    /// 408: the body took too long.
    pub fn request_timeout(after: Duration) -> Self {
        let detail = format!("the body must be there within {} s", after.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
    }

    /// 429, or 503 for lack of space or memory: a limit is reached, for a while.
    pub fn limited(limited: Limited) -> Self {
        let (status, code) = match limited.limit {
            limit if limit.is_of_space() => (
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorCode::StorageUnavailable.as_str(),
            ),
            Limit::HistoryAnswers => (StatusCode::SERVICE_UNAVAILABLE, OVERLOADED),
            _ => (
                StatusCode::TOO_MANY_REQUESTS,
                ErrorCode::RateLimited.as_str(),
            ),
        };
        let detail = format!("{}: `Retry-After` says when to come again", limited.limit);
        Self {
            retry_after: Some(limited.retry),
            ..Self::new(status, code, detail)
        }
    }
}

/// Constructors, one per row: status, code, and the sentence unless the caller gives it.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident($status:expr, $code:expr $(, $detail:literal)?);)*) => {
        impl Problem {
            $(problems!(@one $(#[$doc])* $name, $status, $code $(, $detail)?);)*
        }
    };
    (@one $(#[$doc:meta])* $name:ident, $status:expr, $code:expr) => {
        $(#[$doc])*
        pub fn $name(detail: impl Into<String>) -> Self {
            Self::new($status, $code, detail)
        }
    };
    (@one $(#[$doc:meta])* $name:ident, $status:expr, $code:expr, $detail:literal) => {
        $(#[$doc])*
        pub fn $name() -> Self {
            Self::new($status, $code, $detail)
        }
    };
}

problems! {
    /// 400: the body is not a JSON object.
    invalid_json(StatusCode::BAD_REQUEST, ErrorCode::InvalidJson.as_str());
    /// 400: a parameter is missing or invalid; the sentence names it.
    parameter(StatusCode::BAD_REQUEST, "invalid_parameter");
    /// 400: no `Host`, or several.
    one_host(StatusCode::BAD_REQUEST, "invalid_request",
        "the request must have one `Host` header (RFC 9112, 3.2)");
    /// 401: no token, or none known here.
    unauthorized(StatusCode::UNAUTHORIZED, "unauthorized");
    /// 403: a valid token that does not allow this.
    forbidden(StatusCode::FORBIDDEN, "forbidden");
    /// 404: no such path.
    not_found(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path");
    /// 404: a WebSocket handshake at another path than `/ws`.
    not_the_path_of_logins(StatusCode::NOT_FOUND, "not_found",
        "a WebSocket login goes to the path `/ws`, and this is another one; a proxy in between has to pass it on as `/ws`");
    /// 405: the path has other methods, named in `Allow`.
    method_not_allowed(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed",
        "this path does not have this method; `Allow` names those that it has");
    /// 413: the body, or a part of it, is over its limit.
    too_large(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge.as_str());
    /// 415: a body of an unsupported type.
    unsupported_media_type(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
    /// 426: `/ws` speaks WebSocket only; the sentence says why this request does not.
    upgrade_required(StatusCode::UPGRADE_REQUIRED, "upgrade_required");
    /// 500: a fault of the server.
    internal(StatusCode::INTERNAL_SERVER_ERROR, "internal", "an internal error");
    /// 503: the store cannot be read or written.
    storage_unavailable(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::StorageUnavailable.as_str(),
        "the server's storage does not answer; try again later");
    /// 503: the store is not open yet; the sentence tells the progress.
    starting(StatusCode::SERVICE_UNAVAILABLE, "starting");
    /// 503: a resource is exhausted; the sentence names it.
    overloaded(StatusCode::SERVICE_UNAVAILABLE, OVERLOADED);
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            field: self.field,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        // Many concern a token, and none is worth caching.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after {
            // Rounded up: an early client is refused again.
            let seconds = after.as_millis().div_ceil(1000).max(1);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::UPGRADE_REQUIRED => {
                // RFC 9110, 15.5.22 and RFC 6455, 4.4.
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                let version = HeaderValue::from_static("13");
                headers.insert(header::SEC_WEBSOCKET_VERSION, version);
            }
            _ => {}
        }
        // For `browser::explain`, which may render it as a page.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_tried_again_says_when() {
        let limited = |limit, ms| {
            let retry = Duration::from_millis(ms);
            Problem::limited(Limited { limit, retry })
        };
        let (field, code) = (Some("toId"), ErrorCode::InvalidField);
        let message = "`toId` is missing".to_owned();
        let client_msg_id = None;
        let refused = FrameError {
            code,
            field,
            message,
            client_msg_id,
        };
        for (problem, status, after) in [
            (limited(Limit::SendsPerUser, 0), 429, Some("1")),
            (limited(Limit::SendsPerUser, 1000), 429, Some("1")),
            (limited(Limit::SendsPerUser, 1001), 429, Some("2")),
            (limited(Limit::HistoryAnswersPerUser, 1000), 429, Some("1")),
            (limited(Limit::HistoryAnswers, 1000), 503, Some("1")),
            (limited(Limit::StoreQuota, 1000), 503, Some("1")),
            (Problem::storage_unavailable(), 503, Some("1")),
            (Problem::overloaded("full"), 503, Some("1")),
            (Problem::starting("soon"), 503, Some("1")),
            (Problem::refused(refused), 400, None),
        ] {
            let response = problem.clone().into_response();
            assert_eq!(response.status(), status, "{problem:?}");
            let said = response.headers().get(header::RETRY_AFTER);
            let said = said.map(|after| after.to_str().expect("digits"));
            assert_eq!(said, after, "{problem:?}");
        }
    }
}
