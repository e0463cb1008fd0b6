//! Polls the certificate's files, and exchanges the certificate when they have changed.
//!
//! Compares contents, by path, and so detects retargeted links (certbot, Kubernetes), files renamed
//! into place, and changes on network file systems without notifications. Invariants: files are
//! left alone until two successive checks agree, since they may be mid-exchange; the same broken
//! files are tried, and reported, once.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::detached::spawn_detached;
use super::tls::{FileCheck, Tls};

/// Interval of the checks.
pub const INTERVAL: Duration = Duration::from_secs(3);

/// Duration after which a check is reported as slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// Exchanges the certificate whenever its files have changed or a [reload](Tls::request_reload) is
/// requested, and renews it before its end, until `stop`. Checks are sequential: files that do not
/// answer block a single thread.
pub async fn watch(tls: Tls, interval: Duration, stop: CancellationToken) {
    // All are cancel-safe: a reload request is remembered.
    while let Some(reload) = tokio::select! {
        () = stop.cancelled() => None,
        () = tls.reload_requested() => Some(true),
        () = tokio::time::sleep(interval) => Some(false),
    } {
        stop.run_until_cancelled(check(&tls, reload)).await;
    }
}

async fn check(tls: &Tls, reload: bool) {
    let checking = {
        let tls = tls.clone();
        spawn_detached("certificates", move || match reload {
            true => tls.reload().map(|()| FileCheck::Requested),
            false => tls.check_files(),
        })
    };
    let mut checking = match checking {
        Ok(checking) => checking,
        Err(error) => {
            return tracing::error!(%error, "there is no thread that could look at the certificates");
        }
    };
    let checked = match timeout(PATIENCE, &mut checking).await {
        Ok(checked) => checked,
        Err(_) => {
            tracing::warn!("the files of the certificates do not answer: the one in use stays");
            checking.await
        }
    };
    match checked {
        Ok(Ok(FileCheck::Unchanged)) => {}
        Ok(Ok(FileCheck::Loaded)) => tracing::info!("the certificates have changed and were read"),
        Ok(Ok(FileCheck::Requested)) => tracing::info!("the certificates have been read again"),
        Ok(Err(error)) => tracing::error!(%error, "the certificates stay as they were"),
        Err(_) => tracing::error!("a look at the certificates was interrupted"),
    }
}
