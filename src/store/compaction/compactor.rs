//! The compaction thread: when to compact, and the order of its steps.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::error::CompactionError;
use super::filter::CompactionFilter;
use super::gone::{Gone, Staying};
use super::rebuild::{Cramped, RebuildFrom, TICK, check_cursors, renew};
use super::scrub::Scrub;
use crate::model::{Mailbox, MsgId, Retention};
use crate::store::api::AppendError;
use crate::store::disk::{OutOfSpace as _, Pacer};
use crate::store::index::location;
use crate::store::journal::{Sealed, header_of, list};
use crate::store::state::{Job, Shared};

/// Erasures often come in bursts: how long to wait for the rest of one.
const GATHER_PAUSE: Duration = Duration::from_millis(50);
/// The pause after a compaction that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// The pause after a compaction, as a multiple of its length: constant erasing costs a bounded share
/// of the machine.
const PAUSE_FACTOR: u32 = 4;
/// The least such pause, for each segment of the journal: a compaction may leave one more, and every
/// start looks at each.
const SEGMENT_PAUSE: Duration = Duration::from_millis(100);
/// Expired messages are looked for each time that this fraction of the retention has passed.
const RETENTION_PART: u32 = 10;
const RETENTION_PAUSE_MIN: Duration = Duration::from_secs(1);
const RETENTION_PAUSE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How much lower its priority is.
const NICE: i32 = 10;

pub(crate) struct Compactor {
    shared: Arc<Shared>,
    /// The last request that was carried out.
    done: u64,
    /// The open request has waited for the rest of its burst.
    gathered: bool,
    /// The index may hold what this or an earlier compaction has removed from the journal.
    index_due: bool,
    /// Erasures that the journal does not hold any more.
    forgotten: HashMap<Mailbox, MsgId>,
    /// By the store's monotonic clock, as all times here.
    not_before: Duration,
    /// Segments of the journal at the last compaction.
    segments: u32,
    /// When what has expired was last looked for, and by which retention.
    expired: Option<(Duration, Retention)>,
    scrub: Scrub,
    /// There was no room for another index.
    cramped: Option<Cramped>,
}

impl Compactor {
    /// A thread that takes up what an earlier one has left.
    pub(crate) fn new(shared: Arc<Shared>) -> io::Result<Self> {
        let interrupted = shared.files.read(&shared.mark_path())?.is_some();
        shared.compaction_requests.lock().marked = interrupted;
        Ok(Self {
            shared,
            done: 0,
            gathered: false,
            index_due: interrupted,
            forgotten: HashMap::new(),
            not_before: Duration::ZERO,
            segments: 0,
            expired: None,
            scrub: Scrub::default(),
            cramped: None,
        })
    }

    /// Works until the store closes.
    pub(crate) fn run(mut self) {
        // Whoever sends or reads comes first.
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "sweeps have the same priority as all else");
        }
        loop {
            let (seen, now) = (self.shared.changed.count(), self.now());
            if !self.shared.queue.is_open() {
                return;
            }
            if self.shared.hold.check().is_err() {
                self.shared.wait_for_change(seen, now + TICK);
                continue;
            }
            self.shared.step_retention();
            if !self.is_due() {
                let mut scrub = std::mem::take(&mut self.scrub);
                scrub.step(&self.shared, &|| self.is_wanted(self.now()));
                self.scrub = scrub;
                self.shared.wait_for_change(seen, now + TICK);
                continue;
            }
            // Real time, since that is what the work takes from others.
            let begun = Instant::now();
            let pause_min = match self.compact() {
                Ok(()) => SEGMENT_PAUSE * self.segments,
                Err(CompactionError::Stopped) => return,
                Err(error) => {
                    tracing::warn!(%error, "what is gone stays on disk for now");
                    RETRY_PAUSE
                }
            };
            let pause = begun.elapsed() * PAUSE_FACTOR;
            self.not_before = self.now() + pause.max(pause_min);
        }
    }

    fn now(&self) -> Duration {
        self.shared.clock.monotonic()
    }

    fn is_due(&mut self) -> bool {
        let now = self.now();
        let is_wanted = self.is_wanted(now);
        if is_wanted && self.is_asked() && !self.gathered {
            self.gathered = true;
            self.not_before = now + GATHER_PAUSE;
            return false;
        }
        is_wanted
    }

    fn is_asked(&self) -> bool {
        self.shared.compaction_requests.lock().asked != self.done
    }

    /// Whether there is something to do, and it is time.
    fn is_wanted(&self, now: Duration) -> bool {
        let suspect = self.shared.index_suspect.load(Ordering::Relaxed);
        let has_cause = || {
            let asked = self.is_asked();
            asked || suspect || self.index_due || self.may_have_expired(now)
        };
        now >= self.not_before && has_cause()
    }

    fn may_have_expired(&self, now: Duration) -> bool {
        let retention = self.shared.retention();
        let Some(kept) = retention.shortest() else {
            return false;
        };
        let pause = kept / RETENTION_PART;
        let pause = pause.clamp(RETENTION_PAUSE_MIN, RETENTION_PAUSE_MAX);
        // At once after a start, and when it was changed.
        !matches!(&self.expired, Some((at, by)) if now < *at + pause && *by == *retention)
    }

    fn compact(&mut self) -> Result<(), CompactionError> {
        let retention = self.shared.retention().clone();
        self.expired = Some((self.now(), retention.clone()));
        self.gathered = false;
        let asked = self.shared.compaction_requests.lock().asked;
        let shared = self.shared.clone();
        // Damage that a reader has met is mended the same way as what is gone is removed.
        if shared.index_suspect.load(Ordering::Relaxed) {
            renew(&shared, RebuildFrom::Replayed)?;
            shared.index_suspect.store(false, Ordering::Relaxed);
            tracing::info!("the index is whole again");
        }
        let gone = Gone::now(&shared, retention);
        let dropped = self.compact_journal(&gone)?;
        if self.index_due {
            let kept = Staying {
                gone: &gone,
                forgotten: &self.forgotten,
            };
            if let Some(cramped) = &self.cramped {
                cramped.check(asked, self.now())?;
            }
            let renewed = renew(&shared, RebuildFrom::Copied(&kept));
            self.cramped = match &renewed {
                Err(error) if error.is_out_of_space() => {
                    Some(Cramped::again(self.cramped.as_ref(), asked, self.now()))
                }
                _ => None,
            };
            renewed?;
            self.index_due = false;
            shared.domains_mut().forget(&self.forgotten);
            self.forgotten.clear();
        }
        if dropped > 0 {
            tracing::info!(messages = dropped, "what was gone was removed from disk");
        }
        // What was set aside earlier may hold it, too.
        location::remove_broken(&shared.options.dir)?;
        self.done = asked;
        Ok(shared.unmark(asked)?)
    }

    /// Answers how many messages went.
    fn compact_journal(&mut self, gone: &Gone) -> Result<u64, CompactionError> {
        let shared = self.shared.clone();
        let (files, dir) = (shared.files.as_ref(), shared.journal_dir());
        let highest = gone.highest();
        let Some(open) = list(files, &dir)?.last().copied() else {
            return Ok(0);
        };
        let mut end = open.number;
        let mut left = None;
        let last_id = MsgId(header_of(files, &dir, open)?.last_id);
        if last_id < highest || shared.indexed.lock().position.segment < end {
            match self.seal() {
                Err(CompactionError::Stopped) => return Err(CompactionError::Stopped),
                // What the index is beyond makes room for the rest.
                Err(error) => {
                    end = shared.indexed.lock().position.segment;
                    left = Some(error);
                }
                Ok(number) => end = number,
            }
        }
        let stop = || !shared.queue.is_open();
        let mut filter = CompactionFilter {
            gone,
            age: shared.age().state().clone(),
            index: shared.index()?,
            is_index_checked: false,
            stop: &stop,
            pacer: Pacer::new(),
            dropped: 0,
            keeps_erasures: false,
            forgotten: HashMap::new(),
            devices: HashSet::new(),
            is_age_kept: false,
            users: HashMap::new(),
        };
        let segments = list(files, &dir)?;
        self.segments = segments.len() as u32;
        for pair in segments.windows(2) {
            let [name, next] = *pair else { continue };
            // What is behind was begun later than all that is gone was sent.
            if name.number >= end || MsgId(header_of(files, &dir, name)?.last_id) >= highest {
                break;
            }
            let _alone = shared.segments.lock();
            match self.compact_segment(Sealed { name, next }, &mut filter) {
                Err(CompactionError::Journal(error)) => {
                    tracing::error!(%error, "what is gone stays in a damaged segment");
                    // It may hide something in there that nothing else does.
                    filter.keeps_erasures = true;
                    left = Some(error.into());
                }
                // One that shrinks more makes room for it.
                Err(error) if error.is_out_of_space() => {
                    filter.keeps_erasures = true;
                    left = Some(error);
                }
                Err(error) => {
                    // Some segments are without them by now.
                    self.forgotten.extend(filter.forgotten);
                    return Err(error);
                }
                Ok(()) => {}
            }
        }
        self.forgotten.extend(filter.forgotten);
        left.map_or(Ok(filter.dropped), Err)
    }

    fn compact_segment(
        &mut self,
        sealed: Sealed,
        filter: &mut CompactionFilter<'_>,
    ) -> Result<(), CompactionError> {
        let (files, dir) = (self.shared.files.as_ref(), self.shared.journal_dir());
        if sealed.is_stale(files, &dir, filter)? {
            if !filter.is_index_checked {
                check_cursors(&self.shared, &filter.index)?;
                filter.is_index_checked = true;
            }
            self.shared.mark()?;
            self.index_due = true;
            filter.devices.clear();
            filter.users.clear();
            filter.is_age_kept = false;
            sealed.rewrite(files, &dir, filter)?;
            tracing::debug!(segment = sealed.name.number, "a segment was made anew");
        }
        Ok(())
    }

    /// Seals the open segment and has the index go beyond it; answers the number behind it.
    fn seal(&self) -> Result<u64, CompactionError> {
        let sealed = self.shared.queue.change(Job::Seal);
        match sealed {
            Ok(_) => {}
            Err(AppendError::Closed) => return Err(CompactionError::Stopped),
            Err(error) => return Err(io::Error::other(error).into()),
        }
        let segments = list(self.shared.files.as_ref(), &self.shared.journal_dir())?;
        let end = segments.last().map_or(0, |name| name.number);
        self.shared.flush();
        if self.shared.indexed.lock().position.segment < end {
            // One that was put off came first.
            self.shared.flush();
        }
        if self.shared.indexed.lock().position.segment < end {
            let what = "the index is not up to the journal";
            return Err(io::Error::other(what).into());
        }
        Ok(end)
    }
}
