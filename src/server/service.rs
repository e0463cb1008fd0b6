//! What the settings make of the service, at the start and at each reload.

use std::sync::Arc;

use crate::config::Config;
use crate::http::App;
use crate::http::history::open::OpenHistory;
use crate::hub::HubLimits;
use crate::model::MessageType;
use crate::protocol::client_frame::FrameRules;
use crate::session;

/// The service by new settings: the sessions that are there, and what is on its way, stay as they are. A content may
/// be as large as before, since memory is laid out by that.
pub(super) fn reloaded(app: &App, config: &Config) -> App {
    let sessions = &app.sessions;
    let sessions = session::Context {
        rules: FrameRules {
            content_bytes_max: sessions.rules.content_bytes_max,
            ..rules(config)
        },
        outbox_bytes_max: config.outbox_bytes_max,
        ..session::Context::clone(sessions)
    };
    App {
        sessions: Arc::new(sessions),
        history_open: history_open(config),
        cors_origins: config.cors_origins.clone(),
        ws_origins: config.ws_origins.clone(),
        ..app.clone()
    }
}

pub(super) fn history_open(config: &Config) -> Option<OpenHistory> {
    config.history_open.then(|| OpenHistory {
        origins: config.history_origins.clone(),
    })
}

pub(super) fn hub_limits(config: &Config) -> HubLimits {
    HubLimits {
        sessions_max: config.sessions_max,
        sessions_per_user_max: config.sessions_per_user_max,
    }
}

pub(super) fn rules(config: &Config) -> FrameRules {
    let types = MessageType::BASE.iter().chain(&config.types);
    FrameRules {
        content_bytes_max: config.content_bytes_max,
        content_depth_max: config.content_depth_max,
        types: types.copied().collect(),
    }
}
