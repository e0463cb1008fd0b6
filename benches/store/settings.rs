//! The settings of the benchmark, from the environment.

use std::path::PathBuf;
use std::time::Duration;

fn setting(name: &str, default: u64) -> u64 {
    let given = std::env::var(format!("RELAYBOX_BENCH_{name}"));
    given.map_or(default, |text| text.replace('_', "").parse().unwrap())
}

/// How many messages the store of the second half holds.
pub fn messages() -> u64 {
    setting("MESSAGES", 2_000_000)
}

/// How long each load lasts.
pub fn load_time() -> Duration {
    Duration::from_secs(setting("SECONDS", 16))
}

/// Where all files are.
pub fn base() -> PathBuf {
    std::env::var_os("RELAYBOX_BENCH_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-store"),
        PathBuf::from,
    )
}
