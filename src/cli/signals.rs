//! What signals do to `serve`, from its first moment to its last.
//!
//! Where there is nothing to end in order, because nothing has begun or all is done, SIGTERM and
//! SIGINT end the process at once. They are handled even there: as process 1 of a container it gets
//! only signals that it handles. In between, the first of them asks for an orderly end, and a second
//! one, or an end that takes too long, leaves everything as a crash would: what was acknowledged is
//! durable.

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

/// How long an orderly end may take: what is still to be written may have a slow disk before it.
const END_TIME_MAX: Duration = Duration::from_secs(60);

/// The handlers that need neither a thread nor a runtime.
pub(super) struct Early {
    /// SIGTERM and SIGINT end the process at once, with the exit code 0.
    at_once: Arc<AtomicBool>,
    /// There was a SIGHUP.
    hangup: Arc<AtomicBool>,
}

impl Early {
    /// Handles signals from now on, and ends the process by them.
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

    /// Hands signals to the server, which has to end in order from now on. To be called in its runtime.
    pub(super) fn hand_over(&self) -> io::Result<(Ends, Hangups)> {
        let ends = Ends {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        let hangups = Hangups {
            hangup: signal(SignalKind::hangup())?,
            missed: self.hangup.load(Ordering::Relaxed),
        };
        self.at_once.store(false, Ordering::Relaxed);
        Ok((ends, hangups))
    }

    /// All is done: signals end the process again.
    pub(super) fn take_back(&self) {
        self.at_once.store(true, Ordering::Relaxed);
    }
}

/// SIGTERM and SIGINT.
pub(super) struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Stops the server at the first, and ends the process where it does not end by itself then.
    /// `flush` waits for the log.
    pub(super) async fn obey(mut self, stop: CancellationToken, flush: impl Fn()) {
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

/// Waits until the server should have ended; answers why it is not waited for any more.
async fn overdue(second: impl Future<Output = ()>) -> &'static str {
    tokio::select! {
        () = second => "a second signal came before the server had ended",
        () = sleep(END_TIME_MAX) => "the server has not ended within a minute, as if a disk did not answer",
    }
}

/// SIGHUP.
pub(super) struct Hangups {
    hangup: Signal,
    /// One came before this was there.
    missed: bool,
}

impl Hangups {
    /// Returns at the next one. Cancel-safe.
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
        assert!(overdue(pending()).await.contains("a minute"));
        assert_eq!(begun.elapsed(), END_TIME_MAX);
    }
}
