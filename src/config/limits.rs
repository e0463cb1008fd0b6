//! Every bound of the settings: unit, default, allowed range, and why.

/// The range of a numeric setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// What the numbers count.
    pub unit: &'static str,
    /// What holds without a setting.
    pub default: u64,
    /// The smallest value allowed.
    pub min: u64,
    /// The largest value allowed.
    pub max: u64,
    /// Why there is this bound and why the range is what it is.
    pub reason: &'static str,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// JSON text of one message's `content`.
pub const CONTENT_BYTES: Bound = Bound {
    unit: "bytes",
    default: 256 * KIB,
    min: KIB,
    max: 8 * MIB,
    reason: "a message is held whole in memory by its sender's and its recipients' sessions, \
             and must fit a journal segment many times",
};

/// Arrays and objects of one message's `content` in one another.
pub const CONTENT_DEPTH: Bound = Bound {
    unit: "levels",
    default: 60,
    min: 1,
    max: 1000,
    reason: "readers of JSON stop at 64, 512 or 1,000 levels, and a page of the history has 3 of its \
             own",
};

/// Sessions on the server.
pub const SESSIONS: Bound = Bound {
    unit: "sessions",
    default: 50_000,
    min: 1,
    max: 1_000_000,
    reason: "each costs memory and an open file",
};

/// Sessions of one user.
pub const SESSIONS_PER_USER: Bound = Bound {
    unit: "sessions",
    default: 32,
    min: 1,
    max: 10_000,
    reason: "every message to a user is written to each of its sessions",
};

/// Connections of every kind, those that are not logged in included.
pub const CONNECTIONS: Bound = Bound {
    unit: "connections",
    default: 51_000,
    min: 1,
    max: 1_000_000,
    reason: "each costs an open file; a little more than the sessions, for logins and HTTP",
};

/// The count of a rate.
pub const RATE: Bound = Bound {
    unit: "times",
    default: 0,
    min: 1,
    max: 1_000_000,
    reason: "beyond it no limit is what is meant",
};

/// The bytes of a rate.
pub const RATE_BYTES: Bound = Bound {
    unit: "bytes",
    default: 0,
    min: 1 << 10,
    max: 1 << 50,
    reason: "less than a message with its names takes is no rate",
};

/// What one domain may store.
pub const STORE_QUOTA_BYTES: Bound = Bound {
    unit: "bytes",
    default: 0,
    min: MIB,
    max: 1 << 50,
    reason: "it is kept to within the sends that are under way",
};

/// Free disk below which user tokens send nothing; 0: however little there is.
pub const DISK_FREE_BYTES: Bound = Bound {
    unit: "bytes",
    default: 0,
    min: 0,
    max: 1 << 50,
    reason: "more than any disk of one machine has",
};

/// Between two pings of an idle session.
pub const PING_INTERVAL_MS: Bound = Bound {
    unit: "milliseconds",
    default: 25_000,
    min: 100,
    max: 3_600_000,
    reason: "common proxies cut a connection that is idle for 60 s, and a dead peer is found \
             after two intervals",
};

/// Frames that wait to be written to one session.
pub const OUTBOX_BYTES: Bound = Bound {
    unit: "bytes",
    default: 256 * KIB,
    min: 4 * KIB,
    max: 64 * MIB,
    reason: "memory that a slow reader may cost; beyond it the session is served from the store",
};

/// Messages in memory that are not yet in the index.
pub const TAIL_BYTES: Bound = Bound {
    unit: "bytes",
    default: 64 * MIB,
    min: MIB,
    max: 16 * GIB,
    reason: "memory that a burst may cost before sends are refused; resident memory is 3 to 4 \
             times this",
};

/// How long messages are kept.
pub const RETENTION_MS: Bound = Bound {
    unit: "milliseconds",
    default: 0,
    min: 1_000,
    max: 100 * 365 * 86_400_000,
    reason: "what is gone after less than a second has never been there for who was away",
};

/// The index's cache.
pub const CACHE_BYTES: Bound = Bound {
    unit: "bytes",
    default: 32 * MIB,
    min: MIB,
    max: 64 * GIB,
    reason: "memory for what history and catch-up read",
};

/// A journal segment.
pub const SEGMENT_BYTES: Bound = Bound {
    unit: "bytes",
    default: 32 * MIB,
    min: MIB,
    max: 256 * MIB,
    reason: "what is expired or erased is given back by rewriting whole segments; each is a file, \
             and beginning one costs a few syncs",
};

/// A `type` number.
pub const MESSAGE_TYPE: Bound = Bound {
    unit: "a type number",
    default: 0,
    min: 0,
    max: u32::MAX as u64,
    reason: "it is kept as 32 bits",
};

/// Connections beyond the sessions that a small limit of connections leaves, at least.
pub const SPARE_CONNECTIONS_MIN: usize = 8;

/// Bytes of a declared token: 128 bits, where they are random. Shorter ones are warned of where others get at them.
pub const DECLARED_TOKEN_BYTES: usize = 16;

/// Values in one list setting.
pub const LIST_ENTRIES_MAX: usize = 1000;

/// Bytes of a settings file; a larger one is not a settings file.
pub const FILE_BYTES_MAX: u64 = MIB;

/// Open files that are kept for the store, listeners and logs when connections are counted
/// against the open-file limit.
pub const RESERVED_FILES: u64 = 256;
