//! The store's options from the settings.

use crate::config::Config;
use crate::store::StoreOptions;

/// The store's options from the settings.
pub fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        memtable_bytes_max: config.tail_bytes_max,
        cache_bytes: config.cache_bytes,
        segment_bytes: config.segment_bytes,
        retention: config.retention.clone(),
        ..StoreOptions::small(&config.data)
    }
}
