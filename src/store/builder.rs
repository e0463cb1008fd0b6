//! Brings an index up to the journal: at opening, and when it must be made anew.
//!
//! Needs memory for one generation of the tail, however long the journal is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::api::OpenError;
use super::domains::Domains;
use super::files::{self, FileSystem};
use super::index::{Index, IndexError, IndexState, place};
use super::journal::{Outcome, Position, list, replay};
use super::record::Record;
use super::tail::{Batch, Generation, SendIds, SendKey, Tail};
use crate::model::MsgId;

/// The index is made durable after so many bytes, as much written and not synced is
/// what a crash tears.
const SYNC_BYTES: usize = 1 << 20;
/// A line of progress is logged so often.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);
/// Space that writing a generation leaves free beside what it may take itself.
const FREE_BYTES_MARGIN: u64 = 8 << 20;

/// Why an index was not brought up to the journal.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    /// The journal cannot be read, or is damaged.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The index cannot be written: make a new one.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// What stands beside the index cannot be written, or there is no space for more; the
    /// index itself is fine.
    #[error("the index cannot be brought up to the journal: {0}")]
    Surroundings(#[from] std::io::Error),
}

/// Writes a generation into the index and makes it durable. `between` is called after
/// each write with its bytes and may pause or stop the work.
pub(super) fn apply(
    index: &Index,
    generation: &Generation,
    state: &IndexState,
    day_min: u64,
    between: &mut dyn FnMut(usize) -> Result<(), IndexError>,
) -> Result<IndexState, IndexError> {
    let mut state = state.clone();
    let mut unsynced = 0;
    let mut pace = |index: &Index, bytes: usize| {
        unsynced += bytes;
        if unsynced >= SYNC_BYTES {
            index.sync()?;
            unsynced = 0;
        }
        between(bytes)
    };
    generation.begin_writing();
    index.apply_messages(generation, &mut pace)?;
    index.apply_small(generation, day_min, &mut state, &mut pace)?;
    index.sync()?;
    state.messages += generation.messages;
    state.position = generation.end;
    state.last_id = generation.last_id.0;
    Ok(state)
}

/// Refuses what might fill the disk in the midst of it, and leave the index broken.
pub(super) fn check_space(
    files: &dyn FileSystem,
    dir: &Path,
    generation: &Generation,
) -> std::io::Result<()> {
    if files.free_bytes(dir)? < FREE_BYTES_MARGIN + 2 * generation.bytes as u64 {
        return Err(std::io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// Before a generation goes into the index: from then on the index may hold fewer cursors
/// than its state says, as it does after a crash in the midst of it.
pub(super) fn expect_fewer_cursors(
    files: &dyn FileSystem,
    dir: &Path,
    generation: &Generation,
    state: &IndexState,
) -> std::io::Result<()> {
    let dropped = generation.dropped_cursors();
    if dropped == 0 {
        return Ok(());
    }
    let mut fewer = state.clone();
    fewer.cursors = fewer.cursors.saturating_sub(dropped);
    save(files, dir, &fewer)
}

/// Writes the index's state.
pub(super) fn save(files: &dyn FileSystem, dir: &Path, state: &IndexState) -> std::io::Result<()> {
    files::replace(files, dir, IndexState::FILE, &state.encode())
}

/// An index on its way up the journal.
pub(super) struct Builder {
    pub(super) files: Arc<dyn FileSystem>,
    pub(super) dir: PathBuf,
    pub(super) index: Index,
    pub(super) state: IndexState,
    pub(super) domains: Domains,
    pub(super) tail: Tail,
    /// Bytes of the tail at which it goes into the index.
    pub(super) checkpoint_bytes: usize,
    /// Most bytes of the tail.
    pub(super) tail_bytes_max: usize,
    /// Sends of days before are not kept.
    pub(super) day_min: u64,
}

/// What a builder needs to know of its surroundings.
pub(super) struct Site {
    pub(super) files: Arc<dyn FileSystem>,
    pub(super) dir: PathBuf,
    pub(super) cache_bytes: u64,
    pub(super) checkpoint_bytes: usize,
    pub(super) tail_bytes_max: usize,
    pub(super) day_min: u64,
}

impl Builder {
    /// Takes up an index where its state says it is.
    pub(super) fn resume(site: Site, index: Index, state: IndexState) -> Result<Self, IndexError> {
        Ok(Self {
            domains: index.domains()?,
            tail: Tail::new(MsgId(state.last_id), state.position),
            files: site.files,
            dir: site.dir,
            index,
            state,
            checkpoint_bytes: site.checkpoint_bytes,
            tail_bytes_max: site.tail_bytes_max,
            day_min: site.day_min,
        })
    }

    /// Begins a new index in place of the old one, which is set aside.
    pub(super) fn anew(site: Site) -> Result<Self, BuildError> {
        // Without its state, whatever stands in `db` counts for nothing.
        site.files.remove(&site.dir.join(IndexState::FILE))?;
        site.files.sync_dir(&site.dir)?;
        place::set_aside(&site.dir)?;
        Self::beside(site)
    }

    /// Begins a new index beside what there is. It counts once its state is saved.
    pub(super) fn beside(site: Site) -> Result<Self, BuildError> {
        let number = place::free_number(&site.dir)?;
        let index = Index::open(&place::path(&site.dir, number), site.cache_bytes)?;
        Ok(Self::resume(site, index, IndexState::empty(number))?)
    }

    /// Replays the journal from the index's place on, up to the frame `until`. What is
    /// short of a generation stays in the tail. `stop` is asked at every frame.
    pub(super) fn replay(
        &mut self,
        until: Option<u64>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Outcome, BuildError> {
        let files = self.files.clone();
        let journal = self.dir.join("journal");
        let segments = list(files.as_ref(), &journal)?;
        let last = segments.last().map_or(0, |segment| segment.number);
        let mut progress = Instant::now();
        let from = self.state.position;
        let mut visit = |records: Vec<Record>, behind: Position| {
            if stop() {
                return Err(IndexError::Sled("the store is closing".to_owned()).into());
            }
            if progress.elapsed() >= PROGRESS_PAUSE {
                progress = Instant::now();
                let messages = self.state.messages;
                tracing::info!(
                    segment = behind.segment,
                    segments = last,
                    messages,
                    "bringing the index up to the journal"
                );
            }
            self.take(records, behind)
        };
        replay(files.as_ref(), &journal, &segments, from, until, &mut visit)
    }

    fn take(&mut self, records: Vec<Record>, behind: Position) -> Result<(), BuildError> {
        let mut last_id = MsgId::ZERO;
        let mut batch = Vec::new();
        for record in records {
            if let Some((domain, state)) = self.domains.apply(&record) {
                last_id = last_id.max(state.floor);
                self.tail.push_domain(domain, state);
            }
            match record {
                Record::Send {
                    messages,
                    client_msg_id,
                } => {
                    let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
                        continue;
                    };
                    last_id = last_id.max(last.id);
                    if let Some(client_msg_id) = client_msg_id {
                        let key = SendKey {
                            domain: first.mailbox.domain.clone(),
                            from_id: first.from_id.clone(),
                            client_msg_id,
                        };
                        let ids = SendIds {
                            first: first.id,
                            count: messages.len() as u32,
                        };
                        self.tail.push_send(key, ids);
                    }
                    batch.extend(messages);
                }
                Record::SendIds { key, ids } => {
                    last_id = last_id.max(ids.last());
                    self.tail.push_send(key, ids);
                }
                Record::Erased { mailbox, upto, .. } => {
                    self.domains.erase(&mailbox, upto);
                    self.tail.push_erased(mailbox, upto);
                }
                Record::Cursor { device, change } => self.tail.push_cursor(&device, change),
                Record::Domain(_) | Record::DomainRemoved { .. } => {}
            }
        }
        self.tail.push_messages(Batch::new(&batch));
        self.tail.advance(last_id, behind);
        if self.tail.active.bytes < self.checkpoint_bytes {
            return Ok(());
        }
        match check_space(self.files.as_ref(), &self.dir, &self.tail.active) {
            Ok(()) => self.flush(),
            // It can wait in memory until a checkpoint finds space.
            Err(_) if self.tail.bytes() < self.tail_bytes_max => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what is in the tail into the index.
    pub(super) fn flush(&mut self) -> Result<(), BuildError> {
        let frozen = self.tail.freeze();
        expect_fewer_cursors(self.files.as_ref(), &self.dir, &frozen, &self.state)?;
        self.state = apply(&self.index, &frozen, &self.state, self.day_min, &mut |_| {
            Ok(())
        })?;
        self.tail.frozen = None;
        save(self.files.as_ref(), &self.dir, &self.state)?;
        Ok(())
    }
}
