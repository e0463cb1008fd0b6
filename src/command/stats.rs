//! A running server in numbers.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::hub::{Hub, Totals};
use crate::metrics::{self, Metrics};
use crate::store::{DiskBytes, Store, StoreStats};

/// The load of a server, and its counts since its start.
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
    /// Why nothing can be stored, if so.
    pub not_writable: Option<String>,
}

/// Values that are measured on request, rather than counted as things happen.
#[derive(Debug)]
pub struct Measured {
    /// Sessions and their outboxes.
    pub sessions: Totals,
    /// Most sessions that there may be.
    pub sessions_max: u64,
    /// Queues of the store.
    pub store: StoreStats,
    /// Bytes on disk; `None` if they cannot be read.
    pub disk: Option<DiskBytes>,
    /// How long nothing is dropped or erased by age yet, after a step of the clock.
    pub clock_hold: Option<Duration>,
    /// Why nothing can be stored, if so.
    pub not_writable: Option<String>,
}

/// Blocks on disk.
pub fn measure(store: &Store, hub: &Hub) -> Measured {
    let disk = store.disk_bytes();
    let disk = disk.inspect_err(|error| debug!(%error, "the data directory cannot be looked at"));
    Measured {
        sessions: hub.totals(),
        sessions_max: hub.sessions_max() as u64,
        store: store.stats(),
        disk: disk.ok(),
        clock_hold: store.clock_hold().map(|hold| hold.left),
        not_writable: store.writable().err().map(|error| error.to_string()),
    }
}

/// All numbers. Blocks on disk.
pub fn look(store: &Store, hub: &Hub, metrics: &Metrics) -> Stats {
    let Measured {
        sessions: totals,
        store: waiting,
        disk,
        not_writable,
        ..
    } = measure(store, hub);
    let (sessions, of_store) = (&metrics.sessions, &metrics.store);
    let number = |gauge: &metrics::Gauge| u64::try_from(gauge.get()).unwrap_or_default();
    let last_scraped = || DiskBytes {
        journal: number(&of_store.bytes.with_label_values(&["journal"])),
        index: number(&of_store.bytes.with_label_values(&["index"])),
        free: number(&of_store.free_bytes),
    };
    let disk = disk.unwrap_or_else(last_scraped);
    let commits = of_store.commit_seconds.get_sample_count();
    let commit_s = of_store.commit_seconds.get_sample_sum() / commits.max(1) as f64;
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
        tail_bytes: waiting.memtable_bytes as u64,
        journal_bytes: disk.journal,
        index_bytes: disk.index,
        free_bytes: disk.free,
        memory_bytes: metrics::memory_bytes(),
        not_writable,
    }
}
