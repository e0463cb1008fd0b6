//! `GET /presence` (PROTOCOL.md section 6).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use crate::clock::Clock;
use crate::command::presence;
use crate::http::access::Caller;
use crate::http::openapi::schemas::{TimeMs, UserParameters};
use crate::http::parameters;
use crate::http::problem::Problem;
use crate::hub::Hub;
use crate::model::{Resource, UserId};
use crate::store::Store;

/// Where a user is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// The user.
    #[schema(value_type = UserId)]
    id: String,
    /// Whether it has any session.
    online: bool,
    /// Its sessions, by resource.
    sessions: Vec<PresentSession>,
    /// When it was last here, in milliseconds since the Unix epoch: now, while it is online; `null`
    /// where it was not here within the last 30 days.
    #[schema(value_type = Option<TimeMs>, required)]
    last_seen: Option<u64>,
}

/// One session of a user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct PresentSession {
    /// The device or tab.
    #[schema(value_type = Resource)]
    resource: String,
    /// When it logged in, in milliseconds since the Unix epoch.
    #[schema(value_type = TimeMs)]
    since: u64,
}

/// Tells whether a user is online, on which devices, and when it was last here.
///
/// A user that nobody has ever heard of is one that was never here.
#[utoipa::path(
    get,
    path = "/presence",
    tag = "backend",
    params(UserParameters),
    responses((status = 200, description = "Where the user is", body = Presence)),
    security(("project" = [])),
)]
pub async fn of_user(
    caller: Caller,
    State(store): State<Store>,
    State(hub): State<Arc<Hub>>,
    State(clock): State<Arc<dyn Clock>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Presence>, Problem> {
    let parameters = parameters::of(&uri)?;
    let mailbox = parameters::mailbox(&parameters, "id")?;
    let token = caller.project_token(&headers)?;
    caller.check_project(&mailbox.domain, token)?;
    let id = mailbox.user.to_string();
    let found =
        tokio::task::spawn_blocking(move || presence::presence(&store, &hub, &*clock, &mailbox));
    let found = found.await.map_err(|_| Problem::internal())?;
    let found = found.map_err(|error| {
        error!(%error, "when a user was last seen cannot be read");
        Problem::storage_unavailable()
    })?;
    let sessions = found.sessions.iter().map(|session| PresentSession {
        resource: session.resource.to_string(),
        since: session.since_ms,
    });
    Ok(Json(Presence {
        id,
        online: !found.sessions.is_empty(),
        sessions: sessions.collect(),
        last_seen: found.last_seen_ms,
    }))
}
