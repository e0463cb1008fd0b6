//! The committer: takes everything queued as one batch, writes one frame, syncs it, publishes.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::batch::{Budget, StagedBatch};
use super::publisher::{Answer, Publication};
use crate::model::{Mailbox, MsgId};
use crate::store::api::AppendError;
use crate::store::data::{Record, record};
use crate::store::journal::{FrameBuffer, Writer};
use crate::store::memtable::EncodedBatch;
use crate::store::state::{Dequeued, Job, Shared};

/// Interval at which pending cursors are written without a commit.
const CURSORS_ALONE: Duration = Duration::from_millis(500);
/// With a commit, cursors go along at most this often, so that they coalesce.
const CURSORS_ALONG: Duration = Duration::from_millis(50);
/// Interval at which a journal that cannot be written is tried again while nobody sends.
const PROBE_PAUSE: Duration = Duration::from_millis(250);
/// The end of the journal is marked after this long without a write.
const MARK_AFTER: Duration = Duration::from_secs(5);

pub(crate) struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) writer: Writer,
    pub(super) last_id: MsgId,
    pub(super) frame: FrameBuffer,
    publications: SyncSender<Publication>,
    /// When cursors, and when anything, was written last, by the store's monotonic clock.
    cursors_written: Duration,
    pub(super) written: Duration,
    /// The segment in which age time was noted last.
    pub(super) age_segment: Option<u64>,
}

impl Committer {
    /// A committer that goes on behind `last_id`.
    pub(crate) fn new(
        shared: Arc<Shared>,
        writer: Writer,
        last_id: MsgId,
        publications: SyncSender<Publication>,
    ) -> Self {
        let now = shared.clock.monotonic();
        Self {
            shared,
            writer,
            last_id,
            frame: FrameBuffer::default(),
            publications,
            cursors_written: now,
            written: now,
            age_segment: None,
        }
    }

    /// Works until the queue is closed or aborted.
    pub(crate) fn run(mut self) {
        let clock = self.shared.clock.clone();
        let mut looked = clock.monotonic();
        loop {
            let broken = self.shared.health.lock().journal.is_some();
            let pause = if broken { PROBE_PAUSE } else { CURSORS_ALONE };
            // A receipt that came after the last write is written one pause after it.
            let since = looked.max(self.cursors_written).max(self.written);
            let taken = self.shared.queue.take(clock.as_ref(), since + pause);
            looked = clock.monotonic();
            match taken {
                Dequeued::Jobs(jobs) if jobs.is_empty() => {
                    self.probe();
                    self.commit_cursors(CURSORS_ALONE, Budget::Free);
                    self.keep_age();
                    self.note_age_if_due();
                    self.mark_end(MARK_AFTER, Budget::Free);
                }
                Dequeued::Jobs(jobs) => {
                    self.keep_age();
                    self.commit(jobs);
                    // A batch that writes nothing, of repeats say, takes none along.
                    self.commit_cursors(CURSORS_ALONE, Budget::Free);
                    self.note_age_if_due();
                }
                Dequeued::Finished => {
                    // A frame takes a part of what waits.
                    while self.commit_cursors(Duration::ZERO, Budget::Kept) {}
                    self.keep_age_at_end();
                    self.mark_end(Duration::ZERO, Budget::Kept);
                    return;
                }
                Dequeued::Aborted(jobs) => {
                    for job in jobs {
                        job.refuse(AppendError::Closed);
                    }
                    return;
                }
            }
        }
    }

    /// Whether it has written some.
    fn commit_cursors(&mut self, age: Duration, budget: Budget) -> bool {
        self.frame.clear();
        let mut batch = StagedBatch::default();
        self.stage_pending_cursors(&mut batch, age);
        self.commit_staged(batch, budget)
    }

    /// Whether there was anything in the frame, and it was written.
    pub(super) fn commit_staged(&mut self, batch: StagedBatch, budget: Budget) -> bool {
        let written = !self.frame.is_empty() && self.write(budget).is_ok();
        if written {
            self.publish(batch, Vec::new());
        }
        written
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        // What is ordered comes alone, and takes little.
        let budget = match jobs.iter().any(Job::is_order) {
            true => Budget::Kept,
            false => Budget::Free,
        };
        if budget == Budget::Free
            && let Err(error) = self.shared.wait_for_space()
        {
            let refused = jobs.into_iter();
            let answers = refused.map(|job| Answer::Refused(job, error.clone()));
            return self.answer(answers.collect());
        }
        self.frame.clear();
        let mut batch = StagedBatch::default();
        let mut answers = Vec::new();
        for job in jobs {
            match job {
                Job::Append { draft, done } => {
                    let outcome = self.stage_append(&mut batch, *draft);
                    batch.appends.push((done, outcome));
                }
                Job::Repeat { key, done } => {
                    let outcome = self.stage_repeat(&batch, &key);
                    batch.appends.push((done, outcome));
                }
                Job::Enter {
                    device,
                    after,
                    done,
                } => {
                    let (shared, frame) = (&self.shared, &mut self.frame);
                    let cursors = &mut batch.cursors;
                    let outcome = cursors.enter(shared, frame, &device, after);
                    answers.push(Answer::Enter(done, outcome));
                }
                Job::PutDomain(record, reply) => {
                    let record = Record::Domain(record);
                    self.frame.push(|out| record::encode(&record, out));
                    batch.domain = Some(record);
                    answers.push(Answer::Change(reply, Ok(true)));
                }
                Job::RemoveDomain(domain, reply) => {
                    let known = self.shared.domains().contains(&domain);
                    answers.push(match self.next_ids(1).filter(|_| known) {
                        Some(low_watermark) => {
                            let record = Record::DomainRemoved {
                                domain,
                                low_watermark,
                            };
                            self.frame.push(|out| record::encode(&record, out));
                            batch.domain = Some(record);
                            Answer::Change(reply, Ok(true))
                        }
                        None => Answer::Change(reply, Ok(false)),
                    });
                }
                Job::Seal(reply) => {
                    let id = self.last_id.0;
                    let sealed = self.written(Budget::Kept, |writer, _| writer.seal(id));
                    batch.sealed = sealed.is_ok();
                    answers.push(Answer::Change(reply, sealed.map(|_| true)));
                }
                Job::AcceptClock(reply) => {
                    let accepted = self.stage_accepted(&mut batch, true);
                    answers.push(Answer::Change(reply, Ok(accepted)));
                }
                Job::Erase(mailbox, before, reply) => {
                    let news = self.stage_erasure(&mut batch, mailbox, before);
                    answers.push(Answer::Change(reply, Ok(news)));
                }
            }
        }
        if !self.frame.is_empty() {
            self.stage_pending_cursors(&mut batch, CURSORS_ALONG);
            self.stage_age_along(&mut batch);
            if let Err(error) = self.write(budget) {
                let appends = batch.appends.into_iter();
                let failed = appends.map(|(done, _)| Answer::Append(done, Err(error.clone())));
                let answers = answers.into_iter().map(|answer| answer.failed(&error));
                return self.answer(failed.chain(answers).collect());
            }
        }
        self.publish(batch, answers);
    }

    /// Whether there is anything below that is not erased yet.
    fn stage_erasure(
        &mut self,
        batch: &mut StagedBatch,
        mailbox: Mailbox,
        before: Option<MsgId>,
    ) -> bool {
        let below = before.map_or(self.last_id, |before| MsgId(before.0.saturating_sub(1)));
        // Nothing that is yet to come.
        let upto = below.min(self.last_id);
        let news = upto > self.shared.domains().low_watermarks.of(&mailbox);
        if news {
            let record = Record::Erased {
                mailbox: mailbox.clone(),
                upto,
                at_ms: self.shared.ages().stamp_ms(),
            };
            self.frame.push(|out| record::encode(&record, out));
            batch.erased = Some((mailbox, upto));
        }
        news
    }

    /// The first of `count` ids that follow one another and on the last one given.
    pub(super) fn next_ids(&mut self, count: u64) -> Option<MsgId> {
        let first = self.shared.clock.now_us().max(self.last_id.0 + 1);
        let last = first.checked_add(count.checked_sub(1)?)?;
        if last > MsgId::MAX.0 {
            return None;
        }
        self.last_id = MsgId(last);
        Some(MsgId(first))
    }

    /// Takes pending cursors along, if the last time is at least `age` ago.
    fn stage_pending_cursors(&mut self, batch: &mut StagedBatch, age: Duration) {
        let now = self.shared.clock.monotonic();
        if now < self.cursors_written + age {
            return;
        }
        batch.cursors.take_pending(&self.shared, &mut self.frame);
        self.cursors_written = now;
    }

    /// Makes a durable batch readable and hands it on.
    fn publish(&mut self, batch: StagedBatch, mut answers: Vec<Answer>) {
        let messages = Arc::new(batch.messages);
        if !messages.is_empty() {
            let sizes = &self.shared.options.metrics.store.commit_messages;
            sizes.observe(messages.len() as f64);
        }
        let domain = batch.domain.and_then(|record| {
            let mut domains = self.shared.domains_mut();
            domains.apply(&record)
        });
        if let Some((mailbox, upto)) = &batch.erased {
            self.shared
                .domains_mut()
                .low_watermarks
                .raise(mailbox, *upto);
        }
        let age = batch.age.map(|age| self.noted(age));
        let encoded = EncodedBatch::new(&messages);
        let full = {
            let mut memtables = self.shared.memtables_mut();
            memtables.push_messages(encoded);
            for (key, ids) in batch.sends {
                memtables.push_send(key, ids);
            }
            for (device, change) in batch.cursors.changes() {
                memtables.push_cursor(device, *change);
            }
            if let Some((domain, state)) = domain {
                memtables.push_domain(domain, state);
            }
            if let Some((mailbox, upto)) = batch.erased {
                memtables.push_erased(mailbox, upto);
            }
            if let Some(age) = age {
                memtables.push_age(age);
            }
            memtables.advance(self.last_id, self.writer.end());
            if batch.sealed {
                memtables.note_sealed();
            }
            memtables.note_time(self.shared.clock.monotonic());
            memtables.active.bytes >= self.shared.flush_bytes() && memtables.immutable.is_none()
        };
        if full {
            self.shared.changed.notify();
        }
        self.shared.forget_pending(batch.cursors.changes());
        let appends = batch.appends.into_iter();
        answers.extend(appends.map(|(done, outcome)| Answer::Append(done, outcome)));
        self.send(Publication { messages, answers });
    }

    fn answer(&self, answers: Vec<Answer>) {
        self.send(Publication {
            messages: Arc::default(),
            answers,
        });
    }

    fn send(&self, publication: Publication) {
        // The publisher ends after the committer, so the channel is open.
        if self.publications.send(publication).is_err() {
            tracing::error!("the publisher has ended before the committer");
        }
    }
}
