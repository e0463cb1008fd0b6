//! Obligations of one session to its client, derived from outside: from its input, the output it
//! queued, and the ids it confirmed.

use std::collections::BTreeSet;

use proptest::prelude::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};

use super::case::{CONTENT_BYTES_MAX, Checked, FRAME_BYTES_MAX, FRAME_BYTES_MIN, Facts, fail};
use super::frames::{Frame, message_id, parse};
use super::pinging::{Counts, Pinging};
use super::store::Store;
use crate::model::MsgId;

struct Delivered {
    id: MsgId,
    bytes: usize,
}

pub(super) struct Watch {
    pub(super) facts: Facts,
    delivered: Vec<Delivered>,
    /// Number of confirmed deliveries, and the bytes of unconfirmed ones.
    confirmed: usize,
    unconfirmed_bytes: usize,
    /// Highest receipt that counts.
    receipt: MsgId,
    /// Receipts that count once their message has been delivered again.
    claims: Vec<MsgId>,
    /// Receipts that may be refused before that.
    doubtful: Vec<MsgId>,
    /// A receipt came that may have to wait; the window may then be twice as large.
    stretched: bool,
    pinged: BTreeSet<MsgId>,
    /// Unanswered Pings without a payload.
    blank_pings: usize,
    /// Time of the first Pong that was no receipt, with the window full and nothing ever confirmed.
    unheeded_ms: Option<u64>,
    /// Another came so much later that the session ends.
    pub(super) unheeded: bool,
    pub(super) pinging: Pinging,
    errors: usize,
    /// Errors due at once, errors due by the time the session is level, and optional ones.
    errors_now: usize,
    errors_later: usize,
    errors_maybe: usize,
}

impl Watch {
    pub(super) fn new(facts: Facts) -> Self {
        Self {
            delivered: Vec::new(),
            confirmed: 0,
            unconfirmed_bytes: 0,
            receipt: facts.cursor,
            claims: Vec::new(),
            doubtful: Vec::new(),
            stretched: false,
            pinged: BTreeSet::new(),
            blank_pings: 0,
            unheeded_ms: None,
            unheeded: false,
            pinging: Pinging::new(&facts),
            errors: 0,
            errors_now: 0,
            errors_later: 0,
            errors_maybe: 0,
            facts,
        }
    }

    pub(super) fn delivered(&self, at: usize) -> Option<MsgId> {
        self.delivered.get(at).map(|delivered| delivered.id)
    }

    /// The last delivery, or the lower bound of deliveries.
    pub(super) fn position(&self) -> MsgId {
        self.delivered
            .last()
            .map_or(self.facts.after, |delivered| delivered.id)
    }

    /// A Pong counts if a Ping with its payload was sent.
    pub(super) fn pong(&mut self, payload: &[u8], now_ms: u64) {
        let id = std::str::from_utf8(payload)
            .ok()
            .and_then(|text| text.parse().ok())
            .map(MsgId)
            .filter(|id| id.to_string().as_bytes() == payload);
        if self.facts.manual {
            return;
        }
        if let Some(id) = id.filter(|id| self.pinged.contains(id)) {
            self.confirm(id);
        } else if payload.is_empty() && self.blank_pings > 0 {
            self.blank_pings -= 1;
        } else if self.confirmed == 0 && self.fills(1, 1) {
            let since_ms = *self.unheeded_ms.get_or_insert(now_ms);
            self.unheeded |= now_ms >= since_ms + 2 * self.facts.settings.interval_ms;
        }
    }

    /// A receipt from the application; `known` are ids that were ever delivered to the device.
    pub(super) fn received(
        &mut self,
        id: Option<MsgId>,
        current: bool,
        store: &Store,
        known: &BTreeSet<MsgId>,
    ) {
        let Facts {
            device,
            after,
            published,
            ..
        } = self.facts;
        let Some(id) = id else {
            self.errors_now += 1;
            return;
        };
        let theirs = store.find(device, id).is_some();
        if !current {
            self.errors_maybe += 1;
        } else if id <= after || self.has_delivered(id) {
            self.confirm(id);
        } else if id <= store.cursor(device) {
            // Confirmed already: nothing moves.
        } else if id < self.position() {
            self.errors_now += 1;
        } else if id > published {
            // If an earlier session delivered it, the answer may be that this one has not yet.
            let maybe = usize::from(theirs && known.contains(&id));
            self.errors_maybe += maybe;
            self.errors_now += 1 - maybe;
        } else {
            self.stretched = true;
            if !theirs {
                self.errors_later += 1;
            } else if store.is_due(device, id) && self.is_in_reach(id, store) {
                self.claims.push(id);
            } else {
                self.doubtful.push(id);
                self.errors_maybe += 1;
            }
        }
    }

    fn has_delivered(&self, id: MsgId) -> bool {
        self.delivered
            .binary_search_by_key(&id, |delivered| delivered.id)
            .is_ok()
    }

    /// Whether a session delivers up to `id` while it waits for its receipt.
    fn is_in_reach(&self, id: MsgId, store: &Store) -> bool {
        let window = self.facts.settings.window;
        let (mut count, mut bytes) = (
            self.delivered.len() - self.confirmed,
            self.unconfirmed_bytes,
        );
        // Erased messages may be in flight all the same.
        let due = store.ever_due(self.facts.device, self.position());
        for message in due.take_while(|message| message.id <= id) {
            count += 1;
            bytes += message.content.len() + FRAME_BYTES_MAX;
        }
        count <= 2 * window.messages_max && bytes <= 2 * window.bytes_max
    }

    /// Messages were erased: a receipt waiting for one counts if it was in flight.
    pub(super) fn erased(&mut self, store: &Store) {
        let device = self.facts.device;
        let gone = |id: &mut MsgId| store.is_erased(device, *id);
        for id in self.claims.extract_if(.., gone) {
            self.doubtful.push(id);
            self.errors_maybe += 1;
        }
    }

    fn confirm(&mut self, id: MsgId) {
        self.receipt = self.receipt.max(id);
        while let Some(next) = self.delivered.get(self.confirmed) {
            if next.id > self.receipt {
                break;
            }
            self.unconfirmed_bytes -= next.bytes;
            self.confirmed += 1;
        }
    }

    /// Output that the session queued since the last call.
    pub(super) fn queued(&mut self, mut bytes: &[u8], now_ms: u64, store: &Store) -> Checked {
        let times = if self.stretched { 2 } else { 1 };
        let (had_room, delivered_before) = (!self.fills(times, 1), self.delivered.len());
        while !bytes.is_empty() {
            let Some((frame, length)) = parse(bytes).map_err(fail)? else {
                return Err(fail("half a frame is queued".into()));
            };
            if !matches!(frame, Frame::Ping(_)) {
                self.pinging.check_not_due()?;
            }
            match frame {
                Frame::Ping(payload) => self.ping(payload, now_ms)?,
                Frame::Text("pong") => {}
                Frame::Text(text) => match message_id(text) {
                    Some(id) => self.deliver(id, length, now_ms, store)?,
                    None => self.errors += 1,
                },
                Frame::Close(code) => prop_assert!(false, "a Close with {code} is queued"),
            }
            bytes = &bytes[length..];
        }
        self.pinging.check_not_due()?;
        let batch = &self.delivered[delivered_before..];
        prop_assert!(had_room || batch.is_empty(), "deliveries beyond the window");
        self.check_batch(batch)
    }

    fn deliver(&mut self, id: MsgId, bytes: usize, now_ms: u64, store: &Store) -> Checked {
        let next = store.next_due(self.facts.device, self.position());
        let next = next.map(|message| message.id);
        // A message in flight when it was erased may still arrive.
        let erased = id > self.position() && store.is_erased(self.facts.device, id);
        prop_assert!(Some(id) == next || erased, "{id}, and not {next:?}");
        prop_assert!((FRAME_BYTES_MIN..FRAME_BYTES_MAX + CONTENT_BYTES_MAX).contains(&bytes));
        self.delivered.push(Delivered { id, bytes });
        self.unconfirmed_bytes += bytes;
        self.pinging.delivered(self.counts(), now_ms);
        if self.claims.contains(&id) {
            self.confirm(id);
        }
        self.claims.retain(|claim| *claim > id);
        Ok(())
    }

    fn ping(&mut self, payload: &[u8], now_ms: u64) -> Checked {
        let last = self.delivered.last().map(|delivered| delivered.id);
        let expected = last.map_or_else(String::new, |id| id.to_string());
        prop_assert_eq!(payload, expected.as_bytes(), "the payload of a Ping");
        self.blank_pings += usize::from(last.is_none());
        self.pinged.extend(last);
        let counts = self.counts();
        self.pinging.ping(counts, now_ms)
    }

    fn counts(&self) -> Counts {
        Counts {
            delivered: self.delivered.len(),
            confirmed: self.confirmed,
            full: self.fills(1, 2),
            unsure: self.stretched,
        }
    }

    /// Whether unconfirmed deliveries fill `times / parts` of the window.
    fn fills(&self, times: usize, parts: usize) -> bool {
        let window = self.facts.settings.window;
        let count = self.delivered.len() - self.confirmed;
        count >= window.messages_max * times / parts
            || self.unconfirmed_bytes >= window.bytes_max * times / parts
    }

    /// A batch is one chunk of the store or one outbox.
    fn check_batch(&self, batch: &[Delivered]) -> Checked {
        let outbox_bytes_max = self.facts.settings.outbox_bytes_max;
        let (chunk, chunk_bytes) = self.facts.settings.chunk_max();
        let bytes: usize = batch.iter().map(|delivered| delivered.bytes).sum();
        let (count, bytes_max) = (batch.len(), chunk_bytes.max(outbox_bytes_max));
        let count_max = chunk.max(outbox_bytes_max / FRAME_BYTES_MIN);
        prop_assert!(
            count <= count_max && bytes <= bytes_max,
            "{count} messages of {bytes} bytes at once"
        );
        Ok(())
    }

    /// The session moves the cursor to `id`.
    pub(super) fn check_confirm(&mut self, id: MsgId, store: &Store) -> Checked {
        let counted = |doubtful: &MsgId| *doubtful <= id && *doubtful <= self.position();
        if let Some(counted) = self.doubtful.iter().copied().filter(counted).max() {
            self.confirm(counted);
        }
        let skipped = store.next_due(self.facts.device, self.receipt);
        prop_assert!(
            id <= self.receipt || skipped.is_none_or(|message| message.id > id),
            "the cursor moves to {} past {:?}, with receipts up to {}",
            id,
            skipped.map(|message| message.id),
            self.receipt
        );
        Ok(())
    }

    /// All input has been handled.
    pub(super) fn check_handled(&self, current: bool, store: &Store) -> Checked {
        let cursor = store.cursor(self.facts.device);
        prop_assert!(
            !current || cursor >= self.receipt.min(store.last),
            "the cursor is {}, with receipts up to {}",
            cursor,
            self.receipt
        );
        let most = self.errors_now + self.errors_later + self.errors_maybe;
        prop_assert!(
            self.errors_now <= self.errors && self.errors <= most,
            "{} errors: {} to {} are due",
            self.errors,
            self.errors_now,
            most
        );
        Ok(())
    }

    /// Nothing more happens before time passes. `deaf`: the session may have counted this as life.
    pub(super) fn check_time(&self, now_ms: u64, deaf: bool) -> Checked {
        prop_assert!(
            !self.unheeded || self.stretched,
            "it goes on, and no Pong is a receipt"
        );
        self.pinging.check_time(self.counts(), now_ms, deaf)
    }

    /// The store has answered everything, and the client has read everything but confirmed nothing
    /// more: the window is used, and receipts that waited for their message have counted.
    pub(super) fn check_quiet(&self, store: &Store) -> Checked {
        let all = store.next_due(self.facts.device, self.position()).is_none();
        prop_assert!(
            all || self.fills(1, 2),
            "deliveries have stopped with room in the window"
        );
        prop_assert!(self.claims.is_empty(), "{:?} never counted", self.claims);
        Ok(())
    }

    /// Whether everything due was delivered and confirmed, and every error has come. An error may
    /// wait until the session has read past the messages of other devices.
    pub(super) fn is_level(&self, store: &Store) -> bool {
        let errors = self.errors >= self.errors_now + self.errors_later;
        let all = errors && self.confirmed == self.delivered.len();
        all && store.next_due(self.facts.device, self.position()).is_none()
    }

    /// Amount of the mailbox still to be read, delivered or confirmed.
    pub(super) fn left(&self, store: &Store) -> usize {
        store.count(self.facts.device, self.facts.cursor.min(self.facts.after))
    }

    /// The session has nothing more to do, and its client has read everything.
    pub(super) fn check_level(
        &self,
        errors_read: usize,
        store: &Store,
    ) -> Result<(), TestCaseError> {
        let next = store.next_due(self.facts.device, self.position());
        prop_assert_eq!(
            next.map(|message| message.id),
            None,
            "due, and not delivered"
        );
        prop_assert_eq!(
            self.confirmed,
            self.delivered.len(),
            "of these are confirmed"
        );
        let least = self.errors_now + self.errors_later;
        prop_assert!(
            self.errors >= least,
            "{} errors: {} are due",
            self.errors,
            least
        );
        prop_assert_eq!(errors_read, self.errors);
        Ok(())
    }
}
