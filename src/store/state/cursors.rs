//! Receipt cursors of devices: reads, receipts, and logins.
//!
//! A cursor is the value in the index, overlaid by the memtables, overlaid by what is pending. A
//! change moves from the last of these to the first, so they are looked at in the opposite order.
//! Receipts wait for a later commit; only the committer makes a device known or lowers a cursor,
//! durably before anybody is told.

use super::queue::Job;
use super::shared::Shared;
use super::view::View;
use crate::model::{Device, Domain, Mailbox, MsgId};
use crate::store::api::{AppendError, EnterDone, Entered};
use crate::store::data::{CursorChange, Devices, Known, Moment, cursor, push};
use crate::store::index::IndexError;

impl Shared {
    /// Now.
    pub(crate) fn moment(&self, domain: &Domain) -> Moment {
        Moment {
            ages: self.ages(),
            low_watermark: self.domains().low_watermark(domain),
        }
    }

    /// As [`crate::store::Store::cursor`], `IndexError` for those inside.
    pub(crate) fn cursor(&self, device: &Device) -> Result<Option<MsgId>, IndexError> {
        let known = self.known(device)?;
        let moment = self.moment(&device.mailbox.domain);
        let value = known.map(|known| known.value);
        Ok(value.filter(|value| moment.counts(value)).map(|v| v.id))
    }

    /// A device's cursor, whether it counts or not.
    pub(crate) fn known(&self, device: &Device) -> Result<Option<Known>, IndexError> {
        let (waiting, committed) = {
            let pending = self.pending();
            let user = pending.get(&device.mailbox);
            let waiting = user.and_then(|user| user.get(&device.resource));
            (waiting, self.memtables().cursor(device))
        };
        let stored = self.with_index(|index| index.cursor(device))?;
        let durable = committed.map_or(stored, |change| change.apply(stored));
        let value = waiting.map_or(durable, |change| change.apply(durable));
        Ok(value.map(|value| Known { value, durable }))
    }

    /// All devices of a user, whether they count or not.
    pub(crate) fn devices(&self, mailbox: &Mailbox) -> Result<Devices, IndexError> {
        let (waiting, view) = {
            let pending = self.pending();
            (pending.get(mailbox).cloned(), self.view())
        };
        let mut devices = view.devices(mailbox)?;
        if let Some(changes) = &waiting {
            devices.overlay(changes, false);
        }
        Ok(devices)
    }

    /// As [`crate::store::Store::enter`].
    pub(crate) fn enter(&self, device: &Device, after: Option<MsgId>, done: EnterDone) {
        let domain = &device.mailbox.domain;
        if !self.queue.is_open() {
            return done(Err(AppendError::Closed));
        }
        if self.domains().is_removed(domain) {
            return done(Err(AppendError::DomainRemoved));
        }
        let known = match self.known(device) {
            Ok(known) => known,
            Err(error) => return done(Err(error.into())),
        };
        let moment = self.moment(domain);
        let fit = known.filter(|known| {
            let id = known.value.id;
            known.counts(&moment) && moment.lowered(id, after) == id
        });
        let Some(known) = fit else {
            let device = Box::new(device.clone());
            return self.queue.push(Job::Enter {
                device,
                after,
                done,
            });
        };
        if moment.is_news(&known.value) {
            // Raises nothing, so it does no harm if the committer lowers the cursor meanwhile.
            let at_ms = moment.at_ms();
            push(&mut self.pending(), device, CursorChange::Use { at_ms });
        }
        done(Ok(Entered {
            cursor: known.value.id,
            stored_bytes: 0,
        }));
    }

    /// Notes a cursor that is to be written with a later commit.
    pub(crate) fn confirm(&self, device: &Device, id: MsgId) {
        let (id, in_memtables) = {
            let memtables = self.memtables();
            // Nothing above the newest message can have been received.
            (id.min(memtables.active.last_id), memtables.cursor(device))
        };
        let moment = self.moment(&device.mailbox.domain);
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
            &mut self.pending(),
            device,
            CursorChange::Raise { id, at_ms },
        );
    }

    /// As [`crate::store::Store::leave`].
    pub(crate) fn leave(&self, device: &Device) {
        if self.domains().is_removed(&device.mailbox.domain) {
            return;
        }
        let at_ms = self.ages().stamp_ms();
        // Makes nobody known: a device that was dropped meanwhile, or its domain, stays gone.
        push(&mut self.pending(), device, CursorChange::Use { at_ms });
    }

    /// As [`crate::store::Store::last_seen`].
    pub(crate) fn last_seen(&self, mailbox: &Mailbox) -> Result<Option<u64>, IndexError> {
        let moment = self.moment(&mailbox.domain);
        let used = self.devices(mailbox)?.last_used(&moment);
        // By the clock that the answer is read with.
        Ok(used.map(|at_ms| moment.ages.wall_ms(at_ms)))
    }

    /// Drops what waited and is durable now.
    pub(crate) fn forget_pending(&self, durable: &[(Device, CursorChange)]) {
        if durable.is_empty() {
            return;
        }
        let mut pending = self.pending();
        for (device, written) in durable {
            cursor::forget(&mut pending, device, *written);
        }
    }
}

impl View<'_> {
    /// The devices of a user without what waits. A change that a flush has made by now is made
    /// again, from the first one on, with the same result.
    ///
    /// For the committer this is exact: no change comes while it asks. For others it may be a mix of
    /// the view and of later changes, in which no device was last in use before the view's time.
    pub(crate) fn devices(&self, mailbox: &Mailbox) -> Result<Devices, IndexError> {
        let mut devices = Devices::new(self.read(|index| index.cursors(mailbox))?);
        let now = self.shared.memtables();
        let committed = self.memtables.tables(&now);
        for changes in committed.filter_map(|memtable| memtable.cursors.get(mailbox)) {
            devices.overlay(changes, true);
        }
        Ok(devices)
    }
}
