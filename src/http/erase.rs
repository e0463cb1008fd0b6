//! `DELETE /message-log` (PROTOCOL.md section 6).

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use tracing::{error, info};

use crate::auth::Grant;
use crate::command::erase::{self, EraseError};
use crate::http::App;
use crate::http::access;
use crate::http::parameters::{self, bad_parameter};
use crate::http::problem::Problem;

/// All that this takes. Whoever gives more means to erase less.
const PARAMETERS: [&str; 4] = ["domain", "toId", "before", "token"];

/// Erases a mailbox below an id, or all that it has; 204 once that is on disk.
pub async fn message_log(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let parameters = parameters::of(&uri)?;
    if let Some(name) = parameters.other_than(&PARAMETERS) {
        return Err(Problem::parameter(format!(
            "`{name}` is no parameter of DELETE: it takes `domain`, `toId` and `before`"
        )));
    }
    let mailbox = parameters::mailbox(&parameters)?;
    let before = parameters::msg_id(&parameters, "before")?;
    let token = access::token(&parameters, &headers).map_err(bad_parameter)?;
    match access::grant(&app, &mailbox.domain, token)? {
        Grant::Project => {}
        Grant::User(_) => return Err(Problem::forbidden("erasing needs a project token")),
    }
    let store = app.sessions.store.clone();
    let erased = tokio::task::spawn_blocking(move || {
        let erased = erase::erase(&store, &mailbox, before);
        if erased.is_ok() {
            info!(domain = %mailbox.domain, "a mailbox has been erased");
        }
        erased
    });
    match erased.await.map_err(|_| Problem::internal())? {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(EraseError::DomainRemoved) => {
            Err(Problem::unauthorized("the token or the domain is unknown"))
        }
        Err(EraseError::NotStored(reason)) => {
            error!(%reason, "a mailbox cannot be erased");
            Err(Problem::storage_unavailable())
        }
    }
}
