//! The initial state of a service.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ground::Ground;
use super::settings;
use crate::auth::Auth;
use crate::config::Config;
use crate::net::{OwnNames, Tls};
use crate::state::{Permits, Shared, State, Throttles};
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
        settings: Arc::new(settings::of(config)),
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
