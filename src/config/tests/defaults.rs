//! The settings where nothing is set.

use std::time::Duration;

use super::*;

#[test]
fn defaults_are_read_as_they_are_written() {
    let config = defaults();
    assert_eq!(config.listen, Some("[::]:8443".parse().unwrap()));
    assert_eq!(config.plain, None);
    assert_eq!(config.data, Path::new("./data"));
    assert_eq!(config.certs, Path::new("./certs"));
    assert!(config.host.is_empty() && config.token.is_empty() && config.types.is_empty());
    assert!(!config.history_open);
    assert_eq!(config.log.to_string(), "info");
    assert_eq!(config.ping_interval, Duration::from_secs(25));
    let numbers = [
        (config.content_bytes_max as u64, 256 << 10),
        (config.content_depth_max as u64, 60),
        (config.sessions_max as u64, 50_000),
        (config.sessions_per_user_max as u64, 32),
        (config.connections_max as u64, 51_000),
        (config.outbox_bytes_max as u64, 256 << 10),
        (config.tail_bytes_max as u64, 64 << 20),
        (config.cache_bytes, 32 << 20),
        (config.segment_bytes, 32 << 20),
    ];
    assert!(
        numbers.iter().all(|(value, default)| value == default),
        "{numbers:?}"
    );
}

#[test]
fn the_default_of_the_origins_opens_no_history() {
    let all = resolve(&flags(&[("cors_origins", &["*"])]), &Env::new(), None, None);
    let (default, all) = (defaults(), all.unwrap().config);
    assert_eq!(default.cors_origins, all.cors_origins);
    assert!(default.history_origins.is_empty());
    assert_eq!(all.history_origins, all.cors_origins);
}
