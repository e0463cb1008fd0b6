//! Bounds that several settings or other rooms share; all others stand in the setting's row.

use std::ops::RangeInclusive;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

pub(super) const MS: u64 = 1;
pub(super) const SECOND: u64 = 1000 * MS;
pub(super) const HOUR: u64 = 3600 * SECOND;
pub(super) const YEAR: u64 = 365 * 24 * HOUR;

/// The most that `content_bytes_max` may allow.
pub const CONTENT_BYTES_MAX: u64 = 8 * MIB;

/// Open files that are kept for the store, listeners and logs when connections are counted
/// against the open-file limit.
pub const RESERVED_FILES: u64 = 256;

/// Each costs an open file.
pub(super) const CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;

/// Beyond it no limit is what is meant.
pub(super) const RATE: RangeInclusive<u64> = 1..=1_000_000;

/// Less than a message with its names takes is no rate.
pub(super) const RATE_BYTES: RangeInclusive<u64> = KIB..=DISK_BYTES_MAX;

/// More than any disk of one machine has.
pub(super) const DISK_BYTES_MAX: u64 = 1 << 50;

/// Connections that a small limit of them keeps free of sessions, at least.
pub(super) const SPARE_CONNECTIONS_MIN: usize = 8;

/// Bytes of a declared token: 128 bits, where they are random. Shorter ones are warned of where other machines can
/// try them.
pub(super) const DECLARED_TOKEN_BYTES: usize = 16;

/// Values in one list setting.
pub(super) const LIST_ENTRIES_MAX: usize = 1000;

/// Bytes of a settings file; a larger one is not a settings file.
pub(super) const FILE_BYTES_MAX: u64 = MIB;
