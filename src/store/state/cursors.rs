//! Receipt cursors of devices.
//!
//! A cursor is the value in the index, overlaid by the memtables, overlaid by pending changes. A
//! change moves from pending to the memtables to the index, and readers look in that order, so that
//! none misses it on its way. Receipts wait for a later commit; only the committer makes a device known or lowers a cursor,
//! durably before anybody is told.

use super::shared::Shared;
use super::view::View;
use crate::model::{Device, Domain, Mailbox};
use crate::store::data::{CursorChange, Devices, Known, Moment, cursor};
use crate::store::index::IndexError;

impl Shared {
    pub(crate) fn moment(&self, domain: &Domain) -> Moment {
        Moment {
            ages: self.ages(),
            low_watermark: self.domains().low_watermarks.of_domain(domain),
        }
    }

    /// A cursor, whether it counts or not.
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

    /// Drops pending changes that are durable now.
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
    /// The devices of a user without pending changes. Changes that a flush has written meanwhile
    /// are applied again, from the first one, with the same result.
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
