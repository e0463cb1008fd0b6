//! Devices: logins, receipts, and when a user was here.
//!
//! Receipts wait for a later commit; only the committer makes a device known or lowers a cursor,
//! durably before anybody is told.

use super::Store;
use crate::model::{Device, Mailbox, MsgId};
use crate::store::api::{AppendError, EnterDone, Entered, ReadError};
use crate::store::data::{CursorChange, push};
use crate::store::state::Job;

impl Store {
    /// Logs a device in: `done` receives its receipt cursor, and the device is then known durably.
    /// An unknown device starts at the highest id that the user has confirmed with any device, or
    /// at the beginning. `after` lowers the cursor, durably, and never raises it. A device is
    /// forgotten after 30 days without use; with 32 others, the one unused for longest makes room.
    ///
    /// Blocks on disk reads, but not for a commit: where nothing has to be written, `done`
    /// is called from this thread, otherwise later from another.
    ///
    /// # Errors
    /// `done` gets them: the domain has been removed, the index cannot be read, what had to be
    /// written was not, or the store is overloaded or closed. The cursor is then as it was.
    pub fn enter(&self, device: &Device, after: Option<MsgId>, done: EnterDone) {
        let shared = self.shared();
        let domain = &device.mailbox.domain;
        if !shared.queue.is_open() {
            return done(Err(AppendError::Closed));
        }
        if shared.domains().is_removed(domain) {
            return done(Err(AppendError::DomainRemoved));
        }
        let known = match shared.known(device) {
            Ok(known) => known,
            Err(error) => return done(Err(error.into())),
        };
        let moment = shared.moment(domain);
        let fit = known.filter(|known| {
            let id = known.value.id;
            known.counts(&moment) && moment.lowered(id, after) == id
        });
        let Some(known) = fit else {
            let device = Box::new(device.clone());
            return shared.queue.push(Job::Enter {
                device,
                after,
                done,
            });
        };
        if moment.is_news(&known.value) {
            // Harmless even if the committer lowers the cursor meanwhile: it raises nothing.
            let at_ms = moment.at_ms();
            push(&mut shared.pending(), device, CursorChange::Use { at_ms });
        }
        done(Ok(Entered {
            cursor: known.value.id,
            stored_bytes: 0,
        }));
    }

    /// Raises a device's receipt cursor to `id`, at most to the newest message, and records that
    /// the device is in use: a session does so once a day even without news. Stored with a later
    /// commit; never blocks on disk.
    pub fn confirm(&self, device: &Device, id: MsgId) {
        let shared = self.shared();
        let (id, in_memtables) = {
            let memtables = shared.memtables();
            // Nothing above the newest message can have been received.
            (id.min(memtables.active.last_id), memtables.cursor(device))
        };
        let moment = shared.moment(&device.mailbox.domain);
        // From before the domain's removal.
        if id < moment.low_watermark {
            return;
        }
        let known = in_memtables.and_then(|change| change.apply(None));
        if known.is_some_and(|value| value.id >= id && !moment.is_news(&value)) {
            return;
        }
        let at_ms = moment.at_ms();
        push(
            &mut shared.pending(),
            device,
            CursorChange::Raise { id, at_ms },
        );
    }

    /// The device's receipt cursor; `None` if the device is unknown: never seen, dropped, or unused
    /// for 30 days. Blocks on disk.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn cursor(&self, device: &Device) -> Result<Option<MsgId>, ReadError> {
        let shared = self.shared();
        let known = shared.known(device)?;
        let moment = shared.moment(&device.mailbox.domain);
        let value = known.map(|known| known.value);
        Ok(value.filter(|value| moment.counts(value)).map(|v| v.id))
    }

    /// Records the end of a session of this device. Stored with a later commit; never blocks on
    /// disk.
    pub fn leave(&self, device: &Device) {
        let shared = self.shared();
        if shared.domains().is_removed(&device.mailbox.domain) {
            return;
        }
        let at_ms = shared.ages().stamp_ms();
        // Makes no device known: one that was dropped meanwhile, or its domain, stays gone.
        push(&mut shared.pending(), device, CursorChange::Use { at_ms });
    }

    /// When the user was last here, in milliseconds since the Unix epoch: at the end of its last
    /// session or, after a crash, at the last recorded login or receipt, at most about a day
    /// before. `None` if never, or not within 30 days. Blocks on disk.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn last_seen(&self, mailbox: &Mailbox) -> Result<Option<u64>, ReadError> {
        let shared = self.shared();
        let moment = shared.moment(&mailbox.domain);
        let used = shared.devices(mailbox)?.last_used(&moment);
        // In terms of the reader's clock.
        Ok(used.map(|at_ms| moment.ages.wall_ms(at_ms)))
    }
}
