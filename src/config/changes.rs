//! What of new settings a running server cannot take over.
//!
//! Only compares; the settings that it does take over are named here by being left out.

use super::Config;

impl Config {
    /// The names of the settings in which `new` differs and which a running server cannot
    /// change: all but the declared tokens, the retention, the limits of addresses, users and
    /// domains, and the log filter.
    pub fn fixed_changes(&self, new: &Self) -> Vec<&'static str> {
        let Self {
            listen,
            plain,
            data,
            socket,
            certs,
            host,
            token: _,
            history_open,
            cors_origins,
            history_origins,
            ws_origins,
            types,
            content_bytes_max,
            content_depth_max,
            sessions_max,
            sessions_per_user_max,
            connections_max,
            strangers_max,
            ping_interval,
            outbox_bytes_max,
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
            ("history_open", *history_open == new.history_open),
            (
                "cors_origins",
                *cors_origins == new.cors_origins && *history_origins == new.history_origins,
            ),
            ("ws_origins", *ws_origins == new.ws_origins),
            ("types", *types == new.types),
            (
                "content_bytes_max",
                *content_bytes_max == new.content_bytes_max,
            ),
            (
                "content_depth_max",
                *content_depth_max == new.content_depth_max,
            ),
            ("sessions_max", *sessions_max == new.sessions_max),
            (
                "sessions_per_user_max",
                *sessions_per_user_max == new.sessions_per_user_max,
            ),
            ("connections_max", *connections_max == new.connections_max),
            ("strangers_max", *strangers_max == new.strangers_max),
            ("ping_interval", *ping_interval == new.ping_interval),
            (
                "outbox_bytes_max",
                *outbox_bytes_max == new.outbox_bytes_max,
            ),
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
    fn the_default_of_the_origins_opens_no_history_and_setting_it_is_a_change() {
        let (default, all) = (with_origins(&[]), with_origins(&["*"]));
        assert_eq!(default.cors_origins, all.cors_origins);
        assert!(default.history_origins.is_empty());
        assert_eq!(all.history_origins, all.cors_origins);
        assert_eq!(default.fixed_changes(&all), ["cors_origins"]);
    }
}
