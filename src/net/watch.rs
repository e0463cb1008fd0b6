//! Polls the certificate's files, and exchanges the certificate when they have changed.
//!
//! Compares contents, by path, and so detects retargeted links (certbot, Kubernetes), files renamed into place, and
//! changes on network file systems without notifications. Invariants: files are left alone until two successive looks
//! agree, since they may be mid-exchange; the same broken files are tried, and reported, once.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::apart::apart;
use super::tls::{Look, Tls};

/// Interval between two looks.
pub const INTERVAL: Duration = Duration::from_secs(3);

/// Duration after which a look is reported as slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// Exchanges the certificate whenever its files have changed or a [reload](Tls::ask_reload) is requested, and renews it
/// before its end, until `stop`. Looks are sequential: files that do not answer block a single thread.
pub async fn watch(tls: Tls, interval: Duration, stop: CancellationToken) {
    // All are cancel-safe: a reload request is remembered.
    while let Some(asked) = tokio::select! {
        () = stop.cancelled() => None,
        () = tls.asked() => Some(true),
        () = tokio::time::sleep(interval) => Some(false),
    } {
        tokio::select! {
            () = stop.cancelled() => return,
            () = look(&tls, asked) => {}
        }
    }
}

async fn look(tls: &Tls, asked: bool) {
    let looking = {
        let tls = tls.clone();
        apart("certificates", move || match asked {
            true => tls.reload().map(|()| Look::Asked),
            false => tls.look(),
        })
    };
    let mut looking = match looking {
        Ok(looking) => looking,
        Err(error) => {
            return tracing::error!(%error, "there is no thread that could look at the certificates");
        }
    };
    let looked = match timeout(PATIENCE, &mut looking).await {
        Ok(looked) => looked,
        Err(_) => {
            tracing::warn!("the files of the certificates do not answer: the one in use stays");
            looking.await
        }
    };
    match looked {
        Ok(Ok(Look::Unchanged)) => {}
        Ok(Ok(Look::Taken)) => tracing::info!("the certificates have changed and were read"),
        Ok(Ok(Look::Asked)) => tracing::info!("the certificates have been read again"),
        Ok(Err(error)) => tracing::error!(%error, "the certificates stay as they were"),
        Err(_) => tracing::error!("a look at the certificates was interrupted"),
    }
}
