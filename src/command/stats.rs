//! What a running server does, in numbers: for its operator, and for the metrics that are only
//! looked at when somebody asks.

use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::hub::Hub;
use crate::metrics::{self, Metrics};
use crate::store::Store;

/// What a server does, and has done since its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Open connections of every kind.
    pub connections: u64,
    /// Sessions that are open.
    pub sessions: u64,
    /// Sessions that are behind the live stream.
    pub catching_up: u64,
    /// Deliveries that are not confirmed yet.
    pub unconfirmed: u64,
    /// Bytes that wait to be written to sessions.
    pub outbox_bytes: u64,
    /// Logins that were admitted.
    pub logins: u64,
    /// Logins that were refused.
    pub logins_refused: u64,
    /// Messages that were accepted, one for each recipient.
    pub messages_in: u64,
    /// Messages that were handed to sessions.
    pub messages_out: u64,
    /// What was refused because of a limit.
    pub limited: u64,
    /// Group commits.
    pub commits: u64,
    /// Their mean time in microseconds.
    pub commit_us: u64,
    /// Sends and logins that wait for the journal.
    pub queue: u64,
    /// Bytes that are not in the index yet.
    pub tail_bytes: u64,
    /// Bytes of the journal on disk.
    pub journal_bytes: u64,
    /// Bytes of the index on disk.
    pub index_bytes: u64,
    /// Bytes that the file system has left.
    pub free_bytes: u64,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// Why nothing can be stored, where it cannot.
    pub not_writable: Option<String>,
}

/// Looks at everything, and sets the gauges that nobody else sets. What of the disk cannot be
/// looked at stays as it was. Blocks on disk.
pub fn look(store: &Store, hub: &Hub, metrics: &Metrics) -> Stats {
    let totals = hub.totals();
    let waiting = store.stats();
    let disk = store.disk_bytes();
    let not_writable = store.writable().err().map(|error| error.to_string());

    let gauge = |gauge: &metrics::Gauge, value: u64| {
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    };
    let sessions = &metrics.sessions;
    gauge(&sessions.sessions, totals.sessions);
    gauge(&sessions.sessions_max, hub.sessions_max() as u64);
    gauge(&sessions.catching_up, totals.catching_up);
    gauge(&sessions.unconfirmed, totals.unconfirmed);
    gauge(&sessions.outbox_bytes, totals.bytes);
    let of_store = &metrics.store;
    gauge(&of_store.queue, waiting.queue as u64);
    gauge(&of_store.queue_bytes, waiting.queue_bytes as u64);
    gauge(&of_store.checkpoint_lag_bytes, waiting.tail_bytes as u64);
    gauge(&of_store.checkpoint_lag_seconds, waiting.tail_age.as_secs());
    let journal = of_store.bytes.with_label_values(&["journal"]);
    let index = of_store.bytes.with_label_values(&["index"]);
    match disk {
        Ok(disk) => {
            gauge(&journal, disk.journal);
            gauge(&index, disk.index);
            gauge(&of_store.free_bytes, disk.free);
        }
        Err(error) => debug!(%error, "the data directory cannot be looked at"),
    }
    gauge(&of_store.writable, u64::from(not_writable.is_none()));
    // The last second is one, too.
    let hold_s = store.clock_hold().map(|hold| hold.left.as_secs().max(1));
    gauge(&of_store.clock_hold_seconds, hold_s.unwrap_or_default());

    let commits = of_store.commit_seconds.get_sample_count();
    let commit_s = of_store.commit_seconds.get_sample_sum() / commits.max(1) as f64;
    let number = |gauge: &metrics::Gauge| u64::try_from(gauge.get()).unwrap_or_default();
    Stats {
        connections: number(&metrics.net.connections),
        sessions: totals.sessions,
        catching_up: totals.catching_up,
        unconfirmed: totals.unconfirmed,
        outbox_bytes: totals.bytes,
        logins: sessions.logins.get(),
        logins_refused: metrics::sum(&sessions.logins_refused),
        messages_in: metrics::sum(&sessions.messages_in),
        messages_out: metrics::sum(&sessions.messages_out),
        limited: metrics::sum(&sessions.limited),
        commits,
        commit_us: (commit_s * 1e6) as u64,
        queue: waiting.queue as u64,
        tail_bytes: waiting.tail_bytes as u64,
        journal_bytes: number(&journal),
        index_bytes: number(&index),
        free_bytes: number(&of_store.free_bytes),
        memory_bytes: metrics::memory_bytes(),
        not_writable,
    }
}
