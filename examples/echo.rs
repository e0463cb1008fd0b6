//! Echoes WebSocket messages over TLS, through the server's own listener, upgrade and connection.
//!
//! For conformance tests and measurements: `cargo run --example echo -- --listen 127.0.0.1:0`

use std::future::poll_fn;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use clap::Parser;
use relaybox::http::upgrade::upgrade;
use relaybox::limits::Limits;
use relaybox::metrics::Metrics;
use relaybox::model::LimitOptions;
use relaybox::net::{ConnectionPermits, NetOptions, Tls, serve};
use relaybox::websocket::{Connection, ConnectionOptions, Event, MessageBudget, writer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Echoes WebSocket messages over TLS.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Directory of cert.pem and key.pem; without it they are made for this run.
    #[arg(long)]
    certs: Option<PathBuf>,
    /// Most payload bytes of a message.
    #[arg(long, default_value_t = 32 << 20)]
    message_bytes_max: usize,
}

/// Connections at a time.
const CONNECTIONS_MAX: usize = 100_000;

/// Input waits while more than this is on its way out.
const QUEUED_BYTES_MAX: usize = 64 << 10;

#[derive(Clone)]
struct Echo {
    options: ConnectionOptions,
    tracker: TaskTracker,
    stop: CancellationToken,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .init();
    let arguments = Arguments::parse();
    let made = std::env::temp_dir().join(format!("relaybox-echo-{}", std::process::id()));
    let certs = arguments.certs.as_ref().unwrap_or(&made);
    let tls = Tls::open(certs, &[])?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    println!("wss://{}/", listener.local_addr()?);
    std::io::stdout().flush()?;

    let echo = Echo {
        options: ConnectionOptions {
            message_bytes_max: arguments.message_bytes_max,
            binary: true,
            budget: MessageBudget::default(),
        },
        tracker: TaskTracker::new(),
        stop: CancellationToken::new(),
    };
    let (tracker, stop) = (echo.tracker.clone(), echo.stop.clone());
    let metrics = Arc::new(Metrics::default());
    let limits = Limits::new(LimitOptions::default(), Arc::clone(&metrics));
    let router = Router::new().fallback(open).with_state(echo);
    let serving = serve(
        listener,
        Some(tls),
        router,
        NetOptions::default(),
        ConnectionPermits::new(CONNECTIONS_MAX, CONNECTIONS_MAX, Arc::new(limits), metrics),
        tracker.clone(),
        stop.clone(),
    );
    tokio::select! {
        () = serving => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    stop.cancel();
    tracker.close();
    let _ = tokio::time::timeout(Duration::from_secs(5), tracker.wait()).await;
    if arguments.certs.is_none() {
        std::fs::remove_dir_all(&made)?;
    }
    Ok(())
}

async fn open(State(echo): State<Echo>, mut request: Request) -> Response {
    match upgrade(&mut request, None, echo.options.clone()) {
        Ok((response, connection)) => {
            echo.tracker.spawn(async move {
                if let Ok(connection) = connection.await {
                    talk(connection, echo.stop).await;
                }
            });
            response
        }
        Err(error) => (StatusCode::UPGRADE_REQUIRED, error.to_string()).into_response(),
    }
}

async fn talk(mut connection: Connection, stop: CancellationToken) {
    loop {
        let read = connection.queued_bytes() < QUEUED_BYTES_MAX;
        let event = tokio::select! {
            () = stop.cancelled() => return connection.close(1001, "the server shuts down", stop).await,
            event = poll_fn(|cx| connection.poll_event(cx, read)) => event,
        };
        match event {
            Event::Text(text) => writer::text(connection.queue(), &text),
            Event::Binary(payload) => writer::binary(connection.queue(), &payload),
            Event::Pinged(_) | Event::Pong(_) | Event::Flushed => {}
            Event::Close { code } => return connection.close(code.unwrap_or(1000), "", stop).await,
            Event::TooLarge { bytes, .. } => {
                let reason = format!("a message of {bytes} bytes is too large");
                return connection.close(1009, &reason, stop).await;
            }
            Event::Violation(violation) => {
                return connection
                    .close(violation.code, &violation.reason, stop)
                    .await;
            }
            Event::Ended => return,
        }
    }
}
