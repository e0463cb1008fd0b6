//! HTTP errors over a socket: PROTOCOL section 7. All of them: `router::backend::refusals`.

use serde_json::json;

use super::message;
use crate::support::http::Answer;
use crate::support::{PROJECT_TOKEN, Server};

#[tokio::test]
async fn refusals_have_one_form_over_a_socket() {
    let server = Server::start().await;
    let bearer = format!("Bearer {PROJECT_TOKEN}");
    let good = message(json!({})).to_string();
    let (json, text) = ("application/json", "text/plain");
    let large = " ".repeat(2 << 20);
    for (token, media_type, body, status, code) in [
        ("Bearer rb-of-nobody", json, &good, 401, "unauthorized"),
        (&bearer, json, &"{} {}".to_owned(), 400, "invalid_json"),
        (&bearer, json, &large, 413, "too_large"),
        (&bearer, text, &good, 415, "unsupported_media_type"),
    ] {
        let headers = [("authorization", token), ("content-type", media_type)];
        let stream = server.stream().await;
        let answer = Answer::to(stream, "POST", "/messages", &headers, body.clone()).await;
        answer.problem(status);
        assert_eq!(answer.json()["code"], code);
    }
    server.get("/nothing", None).await.problem(404);
    let answer = server.request("DELETE", "/tokens", &[]).await;
    answer.problem(405);
    assert_eq!(answer.header("allow"), "POST");
}
