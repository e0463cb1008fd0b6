//! Parts of the state, as extractors of handlers.

use std::sync::Arc;

use axum::extract::FromRef;

use crate::auth::Auth;
use crate::clock::Clock;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::state::{Permits, Settings, State};
use crate::store::Store;

macro_rules! parts {
    ($($field:ident: $part:ty,)+) => {
        $(impl FromRef<State> for $part {
            fn from_ref(state: &State) -> Self {
                state.$field.clone()
            }
        })+
    };
}

parts! {
    settings: Arc<Settings>,
    store: Store,
    hub: Arc<Hub>,
    auth: Auth,
    limits: Arc<Limits>,
    permits: Arc<Permits>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
}
