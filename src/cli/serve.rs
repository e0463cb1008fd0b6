//! `relaybox serve`: runs the server until a signal ends it.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::thread::Builder as ThreadBuilder;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder as RuntimeBuilder;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::logging::Log;
use super::setting_args::AllSettings;
use super::signals::{EarlySignals, UNHANDLED};
use super::{Failure, output, owner, sentence};
use crate::config::{Config, Loaded};
use crate::net;
use crate::server::{self, Running};

const EXAMPLES: &str = "\
Examples:
  relaybox serve
  relaybox serve --listen '[::]:443' --host chat.example.com
  relaybox serve --listen off --plain 127.0.0.1:8080 --trusted-proxies 127.0.0.1
  RELAYBOX_TOKEN=demo=secret relaybox serve --data /var/lib/relaybox

Sizes are bytes or such as 256KiB, durations such as 25s. Every flag is also a key of
relaybox.toml (with _ for -). SIGTERM or SIGINT ends the server, SIGHUP reloads the
certificates, takes over the settings that can change while it runs, and names what waits for a
restart. Certificates that have changed are also taken without it.";

/// Most threads that read the store; more would only wait for the same disk, and each costs memory.
const BLOCKING_THREADS_MAX: usize = 8;

/// Task polls between two checks for I/O events on a busy worker (tokio's default is 61). A
/// flooding client can make each poll a long one, and everyone else waits for all of them.
const EVENT_INTERVAL: u32 = 8;

/// Longest wait at the end for threads that are still reading.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait at the end for the reader of standard output.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// A reload that reads the settings file for longer than this is logged.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the server
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    settings: AllSettings,
}

pub(super) fn run(args: &ServeArgs) -> Result<(), Failure> {
    // Before any file access, which may hang.
    let early = EarlySignals::register().context(UNHANDLED)?;
    let open_files_max = raise_open_files_max();
    let loaded = args.settings.load(open_files_max)?;
    owner::become_owner_of(&loaded.config.data)?;
    let format = loaded.config.log_format;
    let log = Log::set_up(loaded.config.log.clone(), format)?;
    let runtime = workers().build().context("the runtime cannot be started")?;
    let ended = runtime.block_on(serve(args, open_files_max, loaded, &log, &early));
    if ended.is_ok() {
        early.take_back();
    }
    // Everything is durable: a thread stuck in a read (a network file system) must not hold up the
    // end.
    runtime.shutdown_timeout(END_TIMEOUT);
    ended.map_err(|error| {
        // Through the log: the end must not wait for a stuck reader.
        log.complain(format, &sentence(&error));
        Failure::Logged
    })
}

fn workers() -> RuntimeBuilder {
    let mut workers = RuntimeBuilder::new_multi_thread();
    workers
        .enable_all()
        .thread_name("relaybox-worker")
        .event_interval(EVENT_INTERVAL)
        .max_blocking_threads(BLOCKING_THREADS_MAX);
    workers
}

async fn serve(
    args: &ServeArgs,
    open_files_max: Option<u64>,
    loaded: Loaded,
    log: &Log,
    early: &EarlySignals,
) -> anyhow::Result<()> {
    let (ends, mut hangups) = early.hand_over().context(UNHANDLED)?;
    let stop = CancellationToken::new();
    // On a task, so that signals are handled whatever this thread is doing.
    tokio::spawn(ends.stop_server(stop.clone(), log.flusher()));
    warn(&loaded);
    let config = loaded.config.clone();
    // A SIGHUP waits until the start is done.
    let started = server::start(loaded.config, log.dropped(), stop.clone()).await?;
    let Some(running) = started else {
        tracing::info!("stopped before the start was done");
        return Ok(());
    };
    let announced = announce(&running, &config);
    let reload = async || {
        let Some(loaded) = reload_settings(args, open_files_max).await else {
            return;
        };
        log.change(loaded.config.log.clone());
        for name in config.pending_restart(&loaded.config) {
            tracing::warn!("setting {name} has changed: it counts from the next start");
        }
        running.reload(&loaded.config).await;
        tracing::info!("the settings have been read again");
    };
    let serving = async {
        loop {
            hangups.next().await;
            reload().await;
        }
    };
    // A reload that waits for the disk does not hold up the end.
    stop.run_until_cancelled(serving).await;
    running.shutdown().await;
    // The thread sends no value; dropping the sender ends this wait.
    if let Some(announced) = announced {
        let _ = announced.recv_timeout(OUTPUT_TIMEOUT);
    }
    Ok(())
}

fn warn(loaded: &Loaded) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
}

/// The current settings; `None`, with a log line, if they are invalid.
async fn reload_settings(args: &ServeArgs, open_files_max: Option<u64>) -> Option<Loaded> {
    let settings = args.settings.clone();
    let loading = net::spawn_detached("settings", move || settings.load(open_files_max));
    let loaded = match loading {
        Ok(mut loading) => match timeout(PATIENCE, &mut loading).await {
            Ok(loaded) => loaded,
            Err(_) => {
                tracing::warn!("the settings file does not answer: what is in force stays");
                loading.await
            }
        }
        .unwrap_or(Err(Failure::Logged)),
        Err(error) => Err(error.into()),
    };
    match loaded {
        Ok(loaded) => {
            warn(&loaded);
            return Some(loaded);
        }
        Err(Failure::Usage(sentence) | Failure::Short(sentence)) => {
            tracing::error!("settings and certificates stay as they are: {sentence}");
        }
        Err(Failure::Other(error)) => {
            tracing::error!("settings and certificates stay as they are: {error:#}");
        }
        // The panic was already logged.
        Err(Failure::Logged) => {}
    }
    None
}

/// Whether standard output is systemd's journal, which announces its device and inode
/// (systemd.exec(5)).
fn is_journal() -> bool {
    let Ok(journal) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let stat = rustix::fs::fstat(io::stdout());
    stat.is_ok_and(|stat| journal == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Prints the lines that operators and scripts wait for. The printing thread may hang: a server
/// whose output nobody reads serves all the same. The returned receiver disconnects when it is
/// done.
fn announce(running: &Running, config: &Config) -> Option<Receiver<()>> {
    let mut lines = Vec::new();
    if let Some(first_start) = &running.first_start {
        let ca = config.listen.map(|_| config.certs.join("ca.pem"));
        // It was just created or checked.
        let ca = ca.filter(|ca| ca.exists());
        lines = first_start.lines(is_journal(), &config.data, ca.as_deref());
    }
    let metrics = running.metrics_address().into_iter();
    lines.extend(metrics.map(|address| format!("metrics {address}/metrics")));
    let ready = running.addresses();
    lines.extend(ready.map(|address| format!("ready {address}")));
    let (end, ended) = channel();
    let print = move || {
        if let Err(error) = output::print(&lines.join("\n")) {
            tracing::warn!("{error:#}");
        }
        drop(end);
    };
    let started = ThreadBuilder::new()
        .name("announce".to_owned())
        .spawn(print);
    if let Err(error) = &started {
        tracing::warn!(%error, "nothing can be printed on standard output");
    }
    started.is_ok().then_some(ended)
}

/// Raises the open-file limit to the maximum allowed; returns the limit, `None` if unlimited.
pub(super) fn raise_open_files_max() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // If raising fails, the current limit has to do: connections are capped to it.
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::poll_fn;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::Poll;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    const BYTES: usize = 100;
    /// Not a multiple of the event interval.
    const TURNS_A_BYTE: usize = 1009;

    /// Always ready: counts its turns, and writes a byte now and then.
    async fn busy(turns: Arc<AtomicUsize>, stop: Arc<AtomicBool>, mut near: UnixStream) {
        poll_fn(|cx| {
            let turn = turns.fetch_add(1, Ordering::Relaxed);
            if turn.is_multiple_of(TURNS_A_BYTE) {
                near.write_all(b"x").unwrap();
            }
            cx.waker().wake_by_ref();
            match stop.load(Ordering::Relaxed) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    #[test]
    fn what_comes_in_is_looked_for_however_busy_a_worker_is() {
        let runtime = workers().worker_threads(1).build().unwrap();
        let turns = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (near, far) = UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        let (reading_turns, stopped) = (Arc::clone(&turns), Arc::clone(&stop));
        let reading = async move {
            let mut far = tokio::net::UnixStream::from_std(far).unwrap();
            let mut most = 0;
            for byte in 0..BYTES {
                far.read_u8().await.unwrap();
                let now = reading_turns.load(Ordering::Relaxed);
                most = most.max(now - byte * TURNS_A_BYTE);
            }
            stopped.store(true, Ordering::Relaxed);
            most
        };
        let most = runtime.block_on(async {
            let reading = tokio::spawn(reading);
            for _ in 0..2 {
                let near = near.try_clone().unwrap();
                tokio::spawn(busy(Arc::clone(&turns), Arc::clone(&stop), near));
            }
            reading.await.unwrap()
        });
        let interval = EVENT_INTERVAL as usize;
        assert!(most <= 2 * interval, "{most} turns");
    }
}
