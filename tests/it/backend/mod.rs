//! What backends do over HTTP, and browsers: PROTOCOL sections 6 and 7.

mod browsers;
mod forged;
mod messages;
mod prefix;
mod presence;
mod refusals;
mod strays;
mod tokens;

use crate::support::{DEMO, PROJECT_TOKEN, Server};
use serde_json::{Value, json};

/// A good body of `POST /messages` with these fields replaced; `null` takes one away.
pub(crate) fn message(changes: Value) -> Value {
    let mut body = json!({
        "domain": DEMO, "toId": "box", "fromId": "shop", "fromName": "Shop",
        "type": 10, "content": "hello",
    });
    let fields = body.as_object_mut().unwrap();
    fields.extend(changes.as_object().unwrap().clone());
    fields.retain(|_, value| !value.is_null());
    body
}

/// Sends a message that is accepted for the first time; the answer.
async fn sent(server: &Server, changes: Value) -> Value {
    let body = message(changes);
    let answer = server.post("/messages", PROJECT_TOKEN, &body).await;
    assert_eq!(answer.status, 201, "{body}: {}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json");
    let answer = answer.json();
    assert_eq!(answer["duplicate"], false, "{answer}");
    answer
}
