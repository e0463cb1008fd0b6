//! Looks at the certificate's files now and then, and has them exchanged when they have changed.
//!
//! By their content, through their names: so it sees links that were turned elsewhere (certbot, Kubernetes), files
//! that were renamed into place, and network file systems that tell nobody of changes. Invariants: files that are
//! just being exchanged are let alone until two looks in a row have found the same; the same broken files are tried,
//! and told of, once.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::apart::apart;
use super::tls::{Look, Tls};

/// Between two looks.
pub const INTERVAL: Duration = Duration::from_secs(3);

/// A look that takes longer is told of.
const PATIENCE: Duration = Duration::from_secs(30);

/// Has the certificate exchanged whenever its files have changed or it is [asked to](Tls::ask_reload), and made anew
/// before its end, until `stop`. One look at a time: for files that do not answer, one thread waits.
pub async fn watch(tls: Tls, interval: Duration, stop: CancellationToken) {
    // All are cancel-safe: that somebody asked is kept in mind.
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
