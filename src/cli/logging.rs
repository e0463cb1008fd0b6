//! The log on standard error: text or JSON, with a level for each module (docs/LOGGING.md).
//!
//! Invariant: nothing of a message's content, no token and no query string gets there at any
//! level; so what libraries say below `info` does not, as it may hold what they were given.

use std::io;

use anyhow::Context as _;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::config::LogFormat;

/// What changes the log filter while the server runs.
pub(super) struct LogFilter(reload::Handle<Targets, Registry>);

impl LogFilter {
    /// Has this process log from now on.
    pub(super) fn set_up(filter: &str, format: LogFormat) -> anyhow::Result<Self> {
        let filter: Targets = filter.parse().context("setting log")?;
        let (filter, handle) = reload::Layer::new(filter);
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            // A closed standard error must not end the server.
            .log_internal_errors(false);
        let layer = match format {
            LogFormat::Text => layer.boxed(),
            LogFormat::Json => layer
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .boxed(),
        };
        let subscriber = tracing_subscriber::registry().with(filter);
        let subscriber = subscriber.with(layer.with_filter(filter_fn(may_be_told)));
        subscriber.try_init().context("logging cannot be set up")?;
        Ok(Self(handle))
    }

    /// Takes another filter; the old one stays where the new one is no good.
    pub(super) fn change(&self, text: &str) {
        let parsed = text.parse::<Targets>().context("setting log");
        let changed = parsed.and_then(|filter| Ok(self.0.reload(filter)?));
        if let Err(error) = changed {
            tracing::error!("the log filter stays as it was: {error:#}");
        }
    }
}

fn may_be_told(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let ours = target.split("::").next() == Some("relaybox");
    ours || *metadata.level() <= Level::INFO
}
