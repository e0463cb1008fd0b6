//! The log on standard error: text or JSON, with a level per module (docs/LOGGING.md).
//!
//! Invariant: no message content, token or query string is logged at any level. Log events of
//! libraries are therefore dropped, since they may contain what the library was given.

use std::io;
use std::panic::{Location, PanicHookInfo};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context as _;
use tracing::Metadata;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use super::outlet::Outlet;
use super::output;
use crate::config::LogFormat;

/// Longest wait for the log's reader at the end.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The log of this process. Dropping it waits a limited time for the last lines.
pub(super) struct Log {
    filter: reload::Handle<Targets, Registry>,
    outlet: Outlet,
}

impl Log {
    /// Installs the log for this process.
    pub(super) fn set_up(filter: Targets, format: LogFormat) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(filter);
        let outlet = Outlet::start(io::stderr(), |lines| {
            tracing::warn!(
                lines,
                "nobody read the log for too long: lines were dropped"
            );
        });
        let outlet = outlet.context("logging cannot be set up")?;
        let writer = outlet.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
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
        let subscriber = subscriber.with(layer.with_filter(filter_fn(is_own)));
        subscriber.try_init().context("logging cannot be set up")?;
        std::panic::set_hook(Box::new(log_panic));
        Ok(Self {
            filter: handle,
            outlet,
        })
    }

    /// Number of lines dropped so far.
    pub(super) fn dropped(&self) -> Arc<AtomicU64> {
        self.outlet.dropped()
    }

    /// Waits a limited time for the last lines.
    pub(super) fn flusher(&self) -> impl Fn() + Send + use<> {
        let outlet = self.outlet.clone();
        move || outlet.flush(END_TIMEOUT)
    }

    /// Reports why the server ended: as a sentence, like a command, or as an event in JSON.
    pub(super) fn complain(&self, format: LogFormat, sentence: &str) {
        match format {
            LogFormat::Text => self.outlet.push(output::complaint(sentence).as_bytes()),
            LogFormat::Json => tracing::error!(error = sentence, "the server has ended"),
        }
    }

    pub(super) fn change(&self, filter: Targets) {
        if let Err(error) = self.filter.reload(filter) {
            tracing::error!(%error, "the log filter stays as it was");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.flusher()();
    }
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.target().split("::").next() == Some("relaybox")
}

/// Logs a panic like any other event.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or_default();
    tracing::error!(thread, "{}", panicked(panic.location()));
}

/// The sentence for a panic: its location only. The panic message may contain a library's input, or
/// content.
pub(super) fn panicked(place: Option<&Location<'_>>) -> String {
    let place = place.map(|place| format!(" at {}:{}", short(place.file()), place.line()));
    format!("a thread panicked{}", place.unwrap_or_default())
}

/// Strips the directories of the build machine from a library's path.
fn short(file: &str) -> &str {
    let in_registry = file.split_once("/registry/src/");
    let below = in_registry.and_then(|(_, rest)| rest.split_once('/'));
    below.map_or(file, |(_, file)| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_without_the_building_machines_directories() {
        let library = "/home/b/.cargo/registry/src/index-1949/sled-0.34.7/src/lib.rs";
        assert_eq!(short(library), "sled-0.34.7/src/lib.rs");
        assert_eq!(short("src/main.rs"), "src/main.rs");
        assert_eq!(panicked(None), "a thread panicked");
    }
}
