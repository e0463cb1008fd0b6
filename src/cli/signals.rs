//! Signal handling of `serve`, from start to end.
//!
//! Before anything has begun, and once everything is done, SIGTERM and SIGINT end the process at
//! once. They are handled even then: process 1 of a container receives only signals that it
//! handles. In between, the first signal starts an orderly shutdown. A second signal, or a shutdown
//! that takes too long, ends the process like a crash: what was acknowledged is durable.

use std::future::Future;
use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::flag;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Context of a registration that failed.
pub(super) const UNHANDLED: &str = "signals cannot be handled";

/// Longest orderly shutdown; pending writes may face a slow disk.
const END_TIME_MAX: Duration = Duration::from_secs(60);

/// Handlers that need neither a thread nor a runtime.
pub(super) struct EarlySignals {
    /// While set, SIGTERM and SIGINT end the process at once with exit code 0.
    at_once: Arc<AtomicBool>,
    /// A SIGHUP was received.
    hangup: Arc<AtomicBool>,
}

impl EarlySignals {
    /// Installs the handlers; signals end the process at once.
    pub(super) fn register() -> io::Result<Self> {
        let early = Self {
            at_once: Arc::new(true.into()),
            hangup: Arc::default(),
        };
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let at_once = Arc::clone(&early.at_once);
            flag::register_conditional_shutdown(kind.as_raw_value(), 0, at_once)?;
        }
        let hangup = SignalKind::hangup().as_raw_value();
        flag::register(hangup, Arc::clone(&early.hangup))?;
        Ok(early)
    }

    /// Hands signals over to the server, which shuts down in order from now on. Must be called
    /// within its runtime.
    pub(super) fn hand_over(&self) -> io::Result<(StopSignals, ReloadSignals)> {
        let ends = StopSignals::register()?;
        let hangups = ReloadSignals {
            hangup: signal(SignalKind::hangup())?,
            missed: self.hangup.load(Ordering::Relaxed),
        };
        self.at_once.store(false, Ordering::Relaxed);
        Ok((ends, hangups))
    }

    /// Everything is done: signals end the process at once again.
    pub(super) fn take_back(&self) {
        self.at_once.store(true, Ordering::Relaxed);
    }
}

/// Signals that end the process: SIGTERM and SIGINT.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Must be called within a runtime.
    pub(super) fn register() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one. Cancel-safe: `recv` keeps a signal that it has not returned.
    pub(super) async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        }
    }

    /// Stops the server at the first signal, and ends the process if that takes too long or a
    /// second one comes. `flush` waits for the log.
    pub(super) async fn stop_server(mut self, stop: CancellationToken, flush: impl Fn()) {
        self.next().await;
        stop.cancel();
        let why = overdue(self.next()).await;
        tracing::error!(
            "{why}: it is left as a crash would leave it; what was acknowledged is durable"
        );
        flush();
        process::exit(1);
    }
}

/// Waits until the server is overdue; returns the reason.
async fn overdue<T>(second: impl Future<Output = T>) -> &'static str {
    tokio::select! {
        _ = second => "a second signal came before the server had ended",
        () = sleep(END_TIME_MAX) => "the server has not ended within a minute, as if a disk did not answer",
    }
}

/// Signals to reload: SIGHUP.
pub(super) struct ReloadSignals {
    hangup: Signal,
    /// One arrived before the handover.
    missed: bool,
}

impl ReloadSignals {
    /// Waits for the next SIGHUP. Cancel-safe.
    pub(super) async fn next(&mut self) {
        if !std::mem::take(&mut self.missed) {
            self.hangup.recv().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_end_is_waited_for_until_a_second_signal_or_for_a_minute() {
        let begun = Instant::now();
        assert!(overdue(ready(())).await.contains("second signal"));
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(overdue(pending::<()>()).await.contains("a minute"));
        assert_eq!(begun.elapsed(), END_TIME_MAX);
    }
}
