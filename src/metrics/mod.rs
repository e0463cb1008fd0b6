//! Metrics for `GET /metrics` (Prometheus text) and `relaybox stats`.
//!
//! Passive: each room reports its own events here, and gauges sampled on demand are set by the handler of the request.
//! Invariants: the values of every label are a fixed, small set; none is a domain, a user or an address.

mod group;
mod process;

use prometheus::core::Collector as _;
use prometheus::{
    Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use group::group;
use process::Process;
pub use process::memory_bytes;

group! {
    /// Connections and requests.
    pub struct Net {
        /// Open connections of every kind.
        connections: IntGauge = "relaybox_connections";
        /// Most connections that may be open.
        connections_max: IntGauge = "relaybox_connections_max";
        /// TLS handshakes that failed, by reason: tls, timeout, plain_http, proxy_header.
        handshakes_failed: IntCounterVec = "relaybox_tls_handshakes_failed_total" ["reason"];
        /// HTTP requests of the service that were answered, upgrades included, by path and status.
        requests: IntCounterVec = "relaybox_http_requests_total" ["path", "status"];
        /// When the certificate in use ends, in seconds since the Unix epoch; absent where there is none.
        certificate_ends: IntGaugeVec = "relaybox_certificate_not_after_timestamp_seconds";
        /// Times that the certificate was read again, by outcome: taken, refused.
        certificate_reloads: IntCounterVec = "relaybox_certificate_reloads_total" ["outcome"];
    }
}

group! {
    /// Logins and sessions.
    pub struct Sessions {
        /// Sessions that are open.
        sessions: IntGauge = "relaybox_sessions";
        /// Most sessions that may be open.
        sessions_max: IntGauge = "relaybox_sessions_max";
        /// Sessions that read the store because they are behind the live stream.
        catching_up: IntGauge = "relaybox_sessions_catching_up";
        /// Messages that were delivered in open sessions and are not confirmed yet.
        unconfirmed: IntGauge = "relaybox_unconfirmed_messages";
        /// Bytes that wait to be written to sessions.
        outbox_bytes: IntGauge = "relaybox_outbox_bytes";
        /// Logins that were admitted.
        logins: IntCounter = "relaybox_logins_total";
        /// Logins that were refused, by reason.
        logins_refused: IntCounterVec = "relaybox_logins_refused_total" ["reason"];
        /// Sessions that ended and logins that were refused, by close code and by who closed: server,
        /// client. A connection that broke without a close frame has the code 1006.
        closes: IntCounterVec = "relaybox_closes_total" ["code", "by"];
        /// Frames of clients that were refused, by error code.
        frames_refused: IntCounterVec = "relaybox_frames_refused_total" ["error"];
        /// Messages that were accepted, one for each recipient, by message type.
        messages_in: IntCounterVec = "relaybox_messages_in_total" ["type"];
        /// Messages that were handed to sessions, repeats included, by message type.
        messages_out: IntCounterVec = "relaybox_messages_out_total" ["type"];
        /// What was refused because a limit was reached, by limit.
        limited: IntCounterVec = "relaybox_limited_total" ["limit"];
    }
}

group! {
    /// The log.
    pub struct Log {
        /// Lines of the log that were dropped because nobody read them, or because they could not be written.
        lines_dropped: IntCounter = "relaybox_log_lines_dropped_total";
    }
}

group! {
    /// The store.
    pub struct Store {
        /// Time to write a batch to the journal and sync it.
        commit_seconds: Histogram = "relaybox_commit_seconds";
        /// Messages in a batch.
        commit_messages: Histogram = "relaybox_commit_messages";
        /// Sends and logins that wait for the journal.
        queue: IntGauge = "relaybox_journal_queue";
        /// Bytes of sends that wait for the journal.
        queue_bytes: IntGauge = "relaybox_journal_queue_bytes";
        /// Bytes of messages that are in the journal and not yet in the index.
        checkpoint_lag_bytes: IntGauge = "relaybox_checkpoint_lag_bytes";
        /// Age of the oldest thing that is not yet in the index, in seconds.
        checkpoint_lag_seconds: IntGauge = "relaybox_checkpoint_lag_seconds";
        /// Bytes on disk, by part: journal, index.
        bytes: IntGaugeVec = "relaybox_store_bytes" ["part"];
        /// Bytes that the file system of the data directory has left.
        free_bytes: IntGauge = "relaybox_store_free_bytes";
        /// Bytes of these below which user tokens send nothing; 0 where they always may.
        free_bytes_min: IntGauge = "relaybox_store_free_bytes_min";
        /// Seconds for which nothing is dropped or erased by age yet, because the clock was stepped by
        /// more than a day; else 0.
        clock_hold_seconds: IntGauge = "relaybox_clock_hold_seconds";
        /// 1 while messages can be stored, else 0.
        writable: IntGauge = "relaybox_store_writable";
    }
}

/// A number that goes up and down. Clones share one value.
pub type Gauge = IntGauge;

/// All metrics of one server.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Metrics of connections and requests.
    pub net: Net,
    /// Metrics of logins and sessions.
    pub sessions: Sessions,
    /// Metrics of journal and index.
    pub store: Store,
    /// Metrics of the log output.
    pub log: Log,
    process: Process,
    /// [`Sessions::messages_in`] by type.
    pub messages_in: ByType,
    /// [`Sessions::messages_out`] by type.
    pub messages_out: ByType,
}

/// A counter for each message type, found without a lock.
#[derive(Debug, Clone)]
pub struct ByType {
    known: Vec<(u32, IntCounter)>,
    /// For types that the settings listed earlier.
    other: IntCounter,
}

impl ByType {
    fn new(counters: &IntCounterVec, types: &[u32]) -> Self {
        let counter = |label: &str| counters.with_label_values(&[label]);
        Self {
            known: types
                .iter()
                .map(|kind| (*kind, counter(&kind.to_string())))
                .collect(),
            other: counter("other"),
        }
    }

    /// Adds a number of messages of a type.
    pub fn add(&self, kind: u32, count: u64) {
        let known = self.known.iter().find(|(known, _)| *known == kind);
        known
            .map_or(&self.other, |(_, counter)| counter)
            .inc_by(count);
    }
}

impl Metrics {
    /// Metrics for messages of these types, and for the process.
    pub fn new(types: &[u32]) -> Self {
        Self::try_new(types).expect("all names are valid and none is there twice")
    }

    fn try_new(types: &[u32]) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let sessions = Sessions::register(&registry)?;
        let process = Process::register(&registry)?;
        process.observe();
        Ok(Self {
            net: Net::register(&registry)?,
            messages_in: ByType::new(&sessions.messages_in, types),
            messages_out: ByType::new(&sessions.messages_out, types),
            sessions,
            store: Store::register(&registry)?,
            log: Log::register(&registry)?,
            process,
            registry,
        })
    }

    /// All metrics in the Prometheus text format, version 0.0.4.
    ///
    /// # Errors
    /// A metric could not be encoded.
    pub fn text(&self) -> prometheus::Result<String> {
        self.process.observe();
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// The sum of a counter over all its labels.
pub fn sum(counters: &IntCounterVec) -> u64 {
    let families = counters.collect();
    let metrics = families.iter().flat_map(|family| family.get_metric());
    metrics
        .map(|metric| metric.get_counter().get_value() as u64)
        .sum()
}

impl Default for Metrics {
    /// Metrics without any message type.
    fn default() -> Self {
        Self::new(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_help_and_counts() {
        let metrics = Metrics::new(&[10]);
        metrics.messages_in.add(10, 2);
        metrics.messages_in.add(99, 1);
        metrics
            .sessions
            .closes
            .with_label_values(&["1001", "server"])
            .inc();
        metrics.store.commit_seconds.observe(0.002);
        let text = metrics.text().expect("text");
        for line in [
            "# HELP relaybox_connections Open connections of every kind.",
            "# TYPE relaybox_commit_seconds histogram",
            "relaybox_messages_in_total{type=\"10\"} 2",
            "relaybox_messages_in_total{type=\"other\"} 1",
            "relaybox_closes_total{by=\"server\",code=\"1001\"} 1",
            "relaybox_commit_seconds_bucket{le=\"0.002\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.contains("process_resident_memory_bytes"));
        assert!(!text.contains("# HELP relaybox_connections  "));
    }
}
