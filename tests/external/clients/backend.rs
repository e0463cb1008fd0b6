//! What an app has behind it: a backend that serves its page, and says where to log in and with which token.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{DEMO, Home};

const PAGE: &str = include_str!("../../../examples/clients/page.html");

/// How its tokens are.
#[derive(Clone, Copy)]
pub(crate) enum Tokens {
    /// Of so short a life that a client has to renew them.
    Short,
    /// None that the server knows.
    Bad,
}

/// A backend on a free port.
#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) address: String,
    shared: Arc<Shared>,
}

struct Shared {
    home: Arc<Home>,
    url: String,
    tokens: Tokens,
    /// When each user has asked for a token.
    asked: Mutex<BTreeMap<String, Vec<Instant>>>,
}

impl Backend {
    /// One whose users log in at this address.
    pub(crate) async fn of(home: Arc<Home>, address: &str, tokens: Tokens) -> Self {
        let shared = Arc::new(Shared {
            home,
            url: format!("wss://{address}/ws"),
            tokens,
            asked: Mutex::default(),
        });
        let site = Router::new()
            .route("/{id}/", get(|| async { Html(PAGE) }))
            .route("/{id}/login", get(login))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, site).await });
        Self { address, shared }
    }

    /// When this user has asked for a token.
    pub(crate) fn asked(&self, id: &str) -> Vec<Instant> {
        let asked = self.shared.asked.lock().unwrap();
        asked.get(id).cloned().unwrap_or_default()
    }
}

async fn login(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    {
        let mut asked = shared.asked.lock().unwrap();
        asked.entry(id.clone()).or_default().push(Instant::now());
    }
    let token = match shared.tokens {
        Tokens::Bad => "no-token-of-this-server".to_owned(),
        Tokens::Short => {
            let args = ["token", "--domain", DEMO, "--id", &id, "--ttl", "3s"];
            let minted = shared.home.cli(&args).await;
            // The server is being started.
            if minted.code != Some(0) {
                return Err(StatusCode::SERVICE_UNAVAILABLE);
            }
            minted.stdout.trim().to_owned()
        }
    };
    Ok(Json(
        json!({"url": shared.url, "domain": DEMO, "id": id, "name": "Ann Lee", "token": token}),
    ))
}
