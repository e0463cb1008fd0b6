//! `POST /tokens` (PROTOCOL.md section 6).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Auth, MintError};
use crate::http::access::{self, Caller};
use crate::http::body;
use crate::http::openapi::schemas::{TimeMs, Token, TokenBody};
use crate::http::problem::Problem;
use crate::protocol::request::{self, TOKEN_BODY_BYTES_MAX};
use crate::state::Permits;

/// A user token.
// No `Debug`: it holds one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Minted {
    /// The token: a JWT (HS256).
    #[schema(value_type = Token)]
    token: String,
    /// When it ends, in milliseconds since the Unix epoch.
    #[schema(value_type = TimeMs)]
    expires_at: u64,
}

/// Makes a token for one user.
///
/// What its app or browser logs in with, in place of the project token. With `name` the login's
/// `name` is overridden.
#[utoipa::path(
    post,
    path = "/tokens",
    tag = "backend",
    request_body(content = TokenBody),
    responses((status = 201, description = "The token", body = Minted)),
    security(("project" = [])),
)]
pub async fn mint(
    caller: Caller,
    State(auth): State<Auth>,
    State(permits): State<Arc<Permits>>,
    request: Request,
) -> Result<(StatusCode, Json<Minted>), Problem> {
    let (head, body) = request.into_parts();
    let headers = &head.headers;
    let read = body::of_project(
        &caller,
        &permits.bodies,
        headers,
        body,
        TOKEN_BODY_BYTES_MAX,
    );
    let (token, text) = read.await?;
    let wanted = request::token(&text).map_err(Problem::refused)?;
    caller.check_project(&wanted.domain, token)?;
    let name = wanted.name.as_ref();
    let minted = auth.mint(&wanted.domain, &wanted.id, name, wanted.ttl, wanted.system);
    let (token, expires_at) = minted.map_err(|error| match error {
        // Removed since the token was checked.
        MintError::UnknownDomain => access::unknown(),
        error @ (MintError::Reserved | MintError::Ttl) => Problem::parameter(error.to_string()),
    })?;
    Ok((StatusCode::CREATED, Json(Minted { token, expires_at })))
}
