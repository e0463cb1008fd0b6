//! `DELETE /message-log` (PROTOCOL.md section 6).

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use tracing::{error, info};

use crate::auth::Grant;
use crate::http::access::{self, Caller};
use crate::http::openapi::schemas::{EraseParameters, MailboxParameters};
use crate::http::parameters;
use crate::http::problem::Problem;
use crate::store::{AppendError, Store};

/// All accepted parameters. An unknown one may be meant to narrow the erasure.
const PARAMETERS: [&str; 4] = ["domain", "toId", "before", "token"];

/// Erases a mailbox below an id, or all that it has.
///
/// Answered once that is on disk. What nobody has received yet is erased, too.
#[utoipa::path(
    delete,
    path = "/message-log",
    operation_id = "erase_messages",
    tag = "history",
    params(MailboxParameters, EraseParameters),
    responses((status = 204, description = "It is gone")),
    security(("project" = []), ("token" = [])),
)]
pub async fn message_log(
    caller: Caller,
    State(store): State<Store>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let parameters = parameters::of(&uri)?;
    if let Some(name) = parameters.other_than(&PARAMETERS) {
        return Err(Problem::parameter(format!(
            "{name} is no parameter of DELETE: it takes `domain`, `toId` and `before`"
        )));
    }
    let mailbox = parameters::mailbox(&parameters, "toId")?;
    let before = parameters::msg_id_at_least(&parameters, "before")?;
    let token = caller.token(&parameters, &headers)?;
    if let Grant::User(_) = caller.grant(&mailbox.domain, token)? {
        return Err(Problem::forbidden("erasing needs a project token"));
    }
    let erased = tokio::task::spawn_blocking(move || {
        let erased = store.erase(&mailbox, before);
        if erased.is_ok() {
            info!(domain = %mailbox.domain, "a mailbox has been erased");
        }
        erased
    });
    match erased.await.map_err(|_| Problem::internal())? {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(AppendError::DomainRemoved) => Err(access::unknown()),
        Err(reason) => {
            error!(%reason, "a mailbox cannot be erased");
            Err(Problem::storage_unavailable())
        }
    }
}
