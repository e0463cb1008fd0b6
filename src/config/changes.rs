//! What of new settings a running server cannot take over.
//!
//! Only compares; the settings that it does take over are named here by being left out.

use super::Config;

impl Config {
    /// The names of the settings in which `new` differs and which a running server cannot
    /// change: what it listens on, where its files are, and how its memory is laid out.
    pub fn fixed_changes(&self, new: &Self) -> Vec<&'static str> {
        let Self {
            listen,
            plain,
            data,
            socket,
            certs,
            host,
            token: _,
            history_open: _,
            cors_origins: _,
            history_origins: _,
            ws_origins: _,
            types: _,
            content_bytes_max,
            content_depth_max: _,
            sessions_max: _,
            sessions_per_user_max: _,
            connections_max,
            strangers_max,
            ping_interval,
            outbox_bytes_max: _,
            tail_bytes_max,
            cache_bytes,
            segment_bytes,
            log: _,
            retention: _,
            limits: _,
            metrics_listen,
            log_format,
        } = self;
        let same = [
            ("listen", *listen == new.listen),
            ("plain", *plain == new.plain),
            ("data", *data == new.data),
            ("socket", *socket == new.socket),
            ("certs", *certs == new.certs),
            ("host", *host == new.host),
            (
                "content_bytes_max",
                *content_bytes_max == new.content_bytes_max,
            ),
            ("connections_max", *connections_max == new.connections_max),
            ("strangers_max", *strangers_max == new.strangers_max),
            ("ping_interval", *ping_interval == new.ping_interval),
            ("tail_bytes_max", *tail_bytes_max == new.tail_bytes_max),
            ("cache_bytes", *cache_bytes == new.cache_bytes),
            ("metrics_listen", *metrics_listen == new.metrics_listen),
            ("log_format", *log_format == new.log_format),
            ("segment_bytes", *segment_bytes == new.segment_bytes),
        ];
        let changed = same.into_iter().filter(|(_, same)| !same);
        changed.map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::config::{Config, Env, Flags, resolve};

    fn with_origins(origins: &[&str]) -> Config {
        let texts = origins.iter().map(ToString::to_string).collect();
        let flags = Flags::from([("cors_origins", texts)]);
        let loaded = resolve(&flags, &Env::new(), None, None);
        loaded.unwrap().config
    }

    #[test]
    fn the_default_of_the_origins_opens_no_history() {
        let (default, all) = (with_origins(&[]), with_origins(&["*"]));
        assert_eq!(default.cors_origins, all.cors_origins);
        assert!(default.history_origins.is_empty());
        assert_eq!(all.history_origins, all.cors_origins);
    }
}
