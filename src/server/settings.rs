//! Settings of sessions and requests, at the start and at each reload.

use std::sync::Arc;

use crate::config::Config;
use crate::hub::HubLimits;
use crate::model::MessageType;
use crate::protocol::client_frame::FrameRules;
use crate::state::Settings;

/// The settings after a reload. The maximum content size stays, since memory is laid out by it, and
/// so does the ping interval.
pub(super) fn reloaded(now: &Settings, config: &Config) -> Settings {
    let new = of(config);
    Settings {
        rules: Arc::new(FrameRules {
            content_bytes_max: now.rules.content_bytes_max,
            ..FrameRules::clone(&new.rules)
        }),
        ping_interval: now.ping_interval,
        ..new
    }
}

pub(super) fn of(config: &Config) -> Settings {
    let history_origins = || config.history_origins.clone();
    let types = MessageType::BASE.iter().chain(&config.types);
    Settings {
        rules: Arc::new(FrameRules {
            content_bytes_max: config.content_bytes_max,
            content_depth_max: config.content_depth_max,
            types: types.copied().collect(),
        }),
        outbox_bytes_max: config.outbox_bytes_max,
        ping_interval: config.ping_interval,
        history_open: config.history_open.then(history_origins),
        cors_origins: config.cors_origins.clone(),
        ws_origins: config.ws_origins.clone(),
    }
}

pub(super) fn hub_limits(config: &Config) -> HubLimits {
    HubLimits {
        sessions_max: config.sessions_max,
        sessions_per_user_max: config.sessions_per_user_max,
    }
}
