//! What the settings make of the service, at the start and at each reload.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ground::Ground;
use crate::auth::Auth;
use crate::config::Config;
use crate::hub::HubLimits;
use crate::model::MessageType;
use crate::net::{OwnNames, Tls};
use crate::protocol::client_frame::FrameRules;
use crate::state::{Permits, Settings, Shared, State, Throttles};
use crate::store::Store;

pub(super) fn auth(ground: &Ground, config: &Config) -> Auth {
    let auth = Auth::new(Arc::clone(&ground.clock));
    for declared in &config.token {
        auth.declare(&declared.domain, declared.token());
    }
    auth
}

pub(super) fn state(
    ground: &Ground,
    config: &Config,
    tls: Option<&Tls>,
    store: Store,
    auth: Auth,
) -> State {
    State::new(Shared {
        settings: Arc::new(settings(config)),
        store,
        hub: Arc::clone(&ground.hub),
        auth,
        limits: Arc::clone(&ground.limits),
        permits: Arc::new(Permits::default()),
        metrics: Arc::clone(&ground.metrics),
        observe: observe(ground, tls),
        throttles: Arc::new(Throttles::default()),
        clock: Arc::clone(&ground.clock),
        names: Arc::new(OwnNames::new(&config.host, tls)),
        tracker: ground.tracker.clone(),
        stop: ground.stop.clone(),
    })
}

fn observe(ground: &Ground, tls: Option<&Tls>) -> Arc<dyn Fn() + Send + Sync> {
    let (tls, metrics) = (tls.cloned(), Arc::clone(&ground.metrics));
    let log_lines_dropped = Arc::clone(&ground.log_lines_dropped);
    Arc::new(move || {
        if let Some(tls) = &tls {
            tls.count_in(&metrics);
        }
        let dropped = &metrics.log.lines_dropped;
        let total = log_lines_dropped.load(Ordering::Relaxed);
        dropped.inc_by(total.saturating_sub(dropped.get()));
    })
}

/// The settings of a reload. A content may be as large as before, since memory is laid out by that, and
/// Pings keep their interval.
pub(super) fn reloaded(now: &Settings, config: &Config) -> Settings {
    let new = settings(config);
    Settings {
        rules: Arc::new(FrameRules {
            content_bytes_max: now.rules.content_bytes_max,
            ..FrameRules::clone(&new.rules)
        }),
        ping_interval: now.ping_interval,
        ..new
    }
}

fn settings(config: &Config) -> Settings {
    let history_origins = || config.history_origins.clone();
    Settings {
        rules: Arc::new(rules(config)),
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

fn rules(config: &Config) -> FrameRules {
    let types = MessageType::BASE.iter().chain(&config.types);
    FrameRules {
        content_bytes_max: config.content_bytes_max,
        content_depth_max: config.content_depth_max,
        types: types.copied().collect(),
    }
}
