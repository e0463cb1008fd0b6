//! The server's standard error: a bounded queue and one writing thread, so that nothing waits for a
//! slow or stuck reader (a full pipe, a stopped terminal, a full disk).
//!
//! Invariants: queuing a line never blocks on its reader; a line is written whole or counted as
//! dropped; memory is at most twice [`BYTES_MAX`], for lines that wait and lines being written.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder as ThreadBuilder;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Most bytes waiting; lines that do not fit are dropped.
const BYTES_MAX: usize = 1 << 20;

/// Pause before another try when a non-blocking reader takes nothing.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Where lines are queued. Clones share one queue.
#[derive(Clone)]
pub(super) struct Outlet(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// The queue gained or lost lines.
    changed: Condvar,
    dropped: Arc<AtomicU64>,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    /// A line did not fit. None is taken until the waiting ones are being written, so that the
    /// missing lines form one gap.
    is_full: bool,
    /// The thread is writing what it took.
    is_writing: bool,
    /// Dropped lines not reported yet.
    unreported: u64,
}

impl Outlet {
    /// Starts the thread that writes to `out`. Once lines flow again after a gap, calls `report` with
    /// the number of dropped ones.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        report: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let outlet = Self(Arc::clone(&shared));
        // Never joined: a write may hang for the lifetime of the process.
        ThreadBuilder::new()
            .name("log".to_owned())
            .spawn(move || shared.write_on(out, report))?;
        Ok(outlet)
    }

    /// Number of lines dropped so far.
    pub(super) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.dropped)
    }

    pub(super) fn push(&self, lines: &[u8]) {
        let mut queue = self.0.queue.lock();
        // With an empty queue, there is no gap to continue.
        queue.is_full &= !queue.bytes.is_empty();
        queue.is_full |= queue.bytes.len() + lines.len() > BYTES_MAX;
        if queue.is_full {
            self.0.note_dropped(&mut queue, lines);
        } else {
            queue.bytes.extend_from_slice(lines);
        }
        self.0.changed.notify_all();
    }

    /// Waits at most `time` until everything is written.
    pub(super) fn flush(&self, time: Duration) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.bytes.is_empty();
        let changed = &self.0.changed;
        changed.wait_while_for(&mut self.0.queue.lock(), is_busy, time);
    }
}

/// One call per line, as `tracing_subscriber` writes them.
impl Write for Outlet {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn note_dropped(&self, queue: &mut Queue, lines: &[u8]) {
        let count = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        queue.unreported += count;
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    fn write_on(&self, mut out: impl Write, report: impl Fn(u64)) {
        let mut taken = Vec::new();
        let mut flows = true;
        loop {
            let mut queue = self.queue.lock();
            queue.is_writing = false;
            self.changed.notify_all();
            let nothing_to_do =
                |queue: &mut Queue| queue.bytes.is_empty() && !(flows && queue.unreported > 0);
            self.changed.wait_while(&mut queue, nothing_to_do);
            std::mem::swap(&mut queue.bytes, &mut taken);
            queue.is_writing = true;
            queue.is_full = false;
            let unreported = match flows {
                true => std::mem::take(&mut queue.unreported),
                false => 0,
            };
            drop(queue);
            if unreported > 0 {
                // Queued behind the lines just taken, in the place of the dropped ones.
                report(unreported);
            }
            if !taken.is_empty() {
                let written = write(&mut out, &taken);
                flows = written == taken.len();
                self.note_dropped(&mut self.queue.lock(), &taken[written..]);
            }
            taken.clear();
        }
    }
}

/// Writes everything, or up to the first error; returns the number of bytes written.
fn write(out: &mut impl Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match out.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The parent process made the pipe non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(RETRY_PAUSE);
            }
            Err(_) => break,
        }
    }
    written
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// A writer that waits for the test to decide the outcome of each write.
    struct Gate {
        asked: Sender<Vec<u8>>,
        outcomes: Receiver<io::Result<usize>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.asked.send(bytes.to_vec()).unwrap();
            self.outcomes.recv().unwrap()
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Bench {
        outlet: Outlet,
        asked: Receiver<Vec<u8>>,
        outcomes: Sender<io::Result<usize>>,
        told: Receiver<u64>,
    }

    impl Bench {
        fn new() -> Self {
            let (asks, asked) = channel();
            let (outcomes, to_gate) = channel();
            let (tells, told) = channel();
            let gate = Gate {
                asked: asks,
                outcomes: to_gate,
            };
            let outlet = Outlet::start(gate, move |lines| tells.send(lines).unwrap()).unwrap();
            Self {
                outlet,
                asked,
                outcomes,
                told,
            }
        }

        /// The next write of the thread.
        fn asked(&self) -> String {
            String::from_utf8(self.asked.recv_timeout(DEADLINE).unwrap()).unwrap()
        }

        fn answer(&self, outcome: io::Result<usize>) {
            self.outcomes.send(outcome).unwrap();
        }

        /// Lets all further writes through, and waits for the last.
        fn open(&self, first: usize) {
            self.answer(Ok(first));
            while !self.outlet.0.queue.lock().bytes.is_empty()
                || self.outlet.0.queue.lock().is_writing
            {
                if let Ok(bytes) = self.asked.recv_timeout(Duration::from_millis(20)) {
                    self.answer(Ok(bytes.len()));
                }
            }
        }

        fn dropped(&self) -> u64 {
            self.outlet.dropped().load(Ordering::Relaxed)
        }
    }

    #[test]
    fn who_reads_nothing_holds_up_nobody_and_what_was_dropped_is_counted_and_told() {
        let bench = Bench::new();
        bench.outlet.push(b"first\n");
        assert_eq!(bench.asked(), "first\n");
        // The thread is stuck in that write, yet these are accepted.
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..1030 {
            bench.outlet.push(&line);
        }
        assert_eq!(bench.dropped(), 6);
        // A short line would fit, but not after others that did not.
        bench.outlet.push(b"short\n");
        assert_eq!(bench.dropped(), 7);
        assert!(bench.outlet.0.queue.lock().bytes.len() <= BYTES_MAX);
        // The flush waits no longer than its limit.
        bench.outlet.flush(Duration::from_millis(1));
        assert!(bench.told.try_recv().is_err(), "told before it flows");
        bench.open(6);
        assert_eq!(bench.told.recv_timeout(DEADLINE).unwrap(), 7);
        bench.outlet.push(b"later\n");
        assert_eq!(bench.asked(), "later\n");
        bench.open(6);
        bench.outlet.flush(DEADLINE);
        assert_eq!(bench.dropped(), 7);
        assert!(bench.told.try_recv().is_err(), "told twice");
    }

    #[test]
    fn what_cannot_be_written_is_dropped_and_told_once_it_can() {
        let bench = Bench::new();
        bench.outlet.push(b"one\ntwo\n");
        assert_eq!(bench.asked(), "one\ntwo\n");
        bench.answer(Ok(4));
        assert_eq!(bench.asked(), "two\n");
        bench.answer(Err(io::ErrorKind::StorageFull.into()));
        bench.outlet.flush(DEADLINE);
        assert_eq!(bench.dropped(), 1);
        bench.outlet.push(b"three\n");
        assert_eq!(bench.asked(), "three\n");
        assert!(bench.told.try_recv().is_err(), "told before it flows");
        bench.open(6);
        assert_eq!(bench.told.recv_timeout(DEADLINE).unwrap(), 1);
    }

    #[test]
    fn a_line_that_never_finds_room_keeps_out_no_later_one() {
        let bench = Bench::new();
        bench.outlet.push(b"one\n");
        assert_eq!(bench.asked(), "one\n");
        bench.answer(Err(io::ErrorKind::StorageFull.into()));
        bench.outlet.flush(DEADLINE);
        bench
            .outlet
            .push(&[&vec![b'x'; BYTES_MAX][..], b"\n"].concat());
        assert_eq!(bench.dropped(), 2);
        bench.outlet.push(b"later\n");
        assert_eq!(bench.asked(), "later\n");
        bench.open(6);
        assert_eq!(bench.told.recv_timeout(DEADLINE).unwrap(), 2);
    }

    #[test]
    fn a_pipe_that_does_not_block_is_tried_again_and_loses_nothing() {
        let bench = Bench::new();
        bench.outlet.push(b"one\n");
        for kind in [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted] {
            assert_eq!(bench.asked(), "one\n");
            bench.answer(Err(kind.into()));
        }
        assert_eq!(bench.asked(), "one\n");
        bench.open(4);
        assert_eq!(bench.dropped(), 0);
    }
}
