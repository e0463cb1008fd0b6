//! Starts the real binary on a free port and talks to it as a stranger would:
//! over TLS, by WebSocket and HTTP/1.1, knowing nothing of its code.
//!
//! Waits are for conditions, each with a deadline; a server that dies, panics or
//! logs a token fails the test that started it.

pub mod brief;
pub mod checker;
pub mod client;
pub mod device;
pub mod fleet;
pub mod home;
pub mod http;
pub mod journal;
pub mod ledger;
pub mod link;
pub mod load;
pub mod login;
pub mod processed;
pub mod proxy;
pub mod random;
pub mod raw;
pub mod sender;
pub mod server;
pub mod small_disk;
pub mod tls;
pub mod wire;

use std::future::Future;
use std::time::{Duration, Instant};

pub use client::Client;
pub use home::{Home, Outcome};
pub use login::{Login, Way, encode};
pub use raw::Raw;
pub use server::{Options, Server};

/// The domain that the harness declares.
pub const DEMO: &str = "demo";
/// Its project token.
pub const PROJECT_TOKEN: &str = "demo-project-token-5f0c1d";

/// How long anything may take; generous, for a debug build on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Tries `probe` until it answers something.
pub async fn until<T, F>(what: &str, probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    until_within(DEADLINE, what, probe).await
}

/// Tries `probe` until it answers something, for as long as that.
pub async fn until_within<T, F>(time: Duration, what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + time;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {time:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for `future`, but not for ever.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {DEADLINE:?}: {what}"),
    }
}
