//! Bounds shared by several settings or rooms; all others are in their setting's row.

use std::ops::RangeInclusive;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

pub(super) const MS: u64 = 1;
pub(super) const SECOND: u64 = 1000 * MS;
pub(super) const HOUR: u64 = 3600 * SECOND;
pub(super) const YEAR: u64 = 365 * 24 * HOUR;

/// Upper bound of `content_bytes_max`.
pub const CONTENT_BYTES_MAX: u64 = 8 * MIB;

/// Open files reserved for the store, listeners and logs when connections are capped to the
/// open-file limit.
pub const RESERVED_FILES: u64 = 256;

/// Each connection costs an open file.
pub(super) const CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;

/// A higher rate is no limit at all.
pub(super) const RATE: RangeInclusive<u64> = 1..=1_000_000;

/// Below it, one message with its names would take several periods.
pub(super) const RATE_BYTES: RangeInclusive<u64> = KIB..=DISK_BYTES_MAX;

/// More than the disk of any machine.
pub(super) const DISK_BYTES_MAX: u64 = 1 << 50;

/// Minimum number of connections kept free of sessions under a low limit.
pub(super) const SPARE_CONNECTIONS_MIN: usize = 8;

/// Recommended length of a declared token: 128 bits, if they are random. Shorter ones cause a warning
/// if other machines can guess at them.
pub(super) const DECLARED_TOKEN_BYTES: usize = 16;

/// Most entries of a list.
pub(super) const LIST_ENTRIES_MAX: usize = 1000;

/// Maximum size of a settings file.
pub(super) const FILE_BYTES_MAX: u64 = MIB;
