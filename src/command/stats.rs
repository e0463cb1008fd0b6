//! Statistics of a running server.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::hub::{Hub, Totals};
use crate::metrics::{self, Metrics};
use crate::store::{DiskBytes, Store, StoreStats};

/// Current load of a server, and counts since its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Open connections of all kinds.
    pub connections: u64,
    /// Sessions currently open.
    pub sessions: u64,
    /// Sessions behind the live stream.
    pub catching_up: u64,
    /// Unconfirmed deliveries.
    pub unconfirmed: u64,
    /// Bytes waiting to be written to sessions.
    pub outbox_bytes: u64,
    /// Admitted logins since the start.
    pub logins: u64,
    /// Refused logins since the start.
    pub logins_refused: u64,
    /// Accepted messages, one per recipient.
    pub messages_in: u64,
    /// Messages handed to sessions.
    pub messages_out: u64,
    /// Refusals because of a limit.
    pub limited: u64,
    /// Group commits since the start.
    pub commits: u64,
    /// Mean time of a group commit in microseconds.
    pub commit_us: u64,
    /// Sends and logins waiting for the journal.
    pub queue: u64,
    /// Bytes in the memtable, not in the index yet.
    pub tail_bytes: u64,
    /// Size of the journal on disk; `None` if the data directory cannot be read.
    pub journal_bytes: Option<u64>,
    /// Size of the index on disk; `None` likewise.
    pub index_bytes: Option<u64>,
    /// Free bytes on the file system; `None` likewise.
    pub free_bytes: Option<u64>,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// Why nothing can be stored, if so.
    pub not_writable: Option<String>,
}

/// Values measured on request, as opposed to counted as things happen.
#[derive(Debug)]
pub struct Measured {
    /// Sessions and their outboxes.
    pub sessions: Totals,
    /// Most sessions on this server.
    pub sessions_max: u64,
    /// Queues of the store.
    pub store: StoreStats,
    /// Bytes on disk; `None` if they cannot be read.
    pub disk: Option<DiskBytes>,
    /// Remaining time, after a clock step, in which nothing is dropped or erased by age.
    pub clock_hold: Option<Duration>,
    /// Why nothing can be stored, if so.
    pub not_writable: Option<String>,
}

/// Measures current values. Blocks on disk.
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

/// Collects all statistics. Blocks on disk.
pub fn collect(store: &Store, hub: &Hub, metrics: &Metrics) -> Stats {
    let Measured {
        sessions: totals,
        store: waiting,
        disk,
        not_writable,
        ..
    } = measure(store, hub);
    let (sessions, of_store) = (&metrics.sessions, &metrics.store);
    let number = |gauge: &metrics::Gauge| u64::try_from(gauge.get()).unwrap_or_default();
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
        journal_bytes: disk.map(|disk| disk.journal),
        index_bytes: disk.map(|disk| disk.index),
        free_bytes: disk.map(|disk| disk.free),
        memory_bytes: metrics::memory_bytes(),
        not_writable,
    }
}
