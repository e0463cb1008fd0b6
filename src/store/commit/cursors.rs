//! The cursor changes of a batch, on their way into its frame.
//!
//! Sees earlier decisions of the same batch. Nothing takes effect before the frame is durable: a
//! failed batch is dropped whole.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::model::{Device, Draft, Mailbox, MsgId};
use crate::store::api::{AppendError, Entered};
use crate::store::data::{CursorChange, Decision, Devices, quota, record};
use crate::store::index::IndexError;
use crate::store::journal::FrameBuffer;
use crate::store::state::Shared;

/// Most cursors that a frame takes along.
const CURSORS_MAX: usize = 8192;

/// The cursors of a batch.
#[derive(Debug, Default)]
pub(crate) struct StagedCursors {
    changes: Vec<(Device, CursorChange)>,
    /// The users on whose devices it has decided.
    users: HashMap<Mailbox, Devices>,
    /// The devices that it makes known, lowers or drops.
    decided: HashSet<Device>,
}

impl StagedCursors {
    /// What is in the frame, in its order.
    pub(crate) fn changes(&self) -> &[(Device, CursorChange)] {
        &self.changes
    }

    fn devices(&mut self, shared: &Shared, mailbox: &Mailbox) -> Result<&mut Devices, IndexError> {
        match self.users.entry(mailbox.clone()) {
            Entry::Occupied(slot) => Ok(slot.into_mut()),
            Entry::Vacant(slot) => Ok(slot.insert(shared.devices(mailbox)?)),
        }
    }

    /// A login. Answers the device's cursor.
    pub(crate) fn enter(
        &mut self,
        shared: &Shared,
        frame: &mut FrameBuffer,
        device: &Device,
        after: Option<MsgId>,
    ) -> Result<Entered, AppendError> {
        let domain = &device.mailbox.domain;
        if shared.domains().is_removed(domain) {
            return Err(AppendError::DomainRemoved);
        }
        let moment = shared.moment(domain);
        let devices = self.devices(shared, &device.mailbox)?;
        let is_known = devices.counts(&device.resource, &moment);
        let (cursor, decision) = devices.enter(&device.resource, after, &moment);
        self.stage_decision(frame, &device.mailbox, decision);
        Ok(Entered {
            cursor,
            stored_bytes: match is_known {
                true => 0,
                false => quota::cursor(&device.mailbox, &device.resource),
            },
        })
    }

    /// The devices that this draft makes known. Stages nothing: the draft may be refused yet.
    pub(crate) fn unknown(
        &mut self,
        shared: &Shared,
        draft: &Draft,
    ) -> Result<Vec<Device>, IndexError> {
        let Some(resource) = &draft.to_resource else {
            return Ok(Vec::new());
        };
        let moment = shared.moment(&draft.domain);
        let mut unknown = Vec::new();
        for recipient in &draft.recipients {
            let device = Device {
                mailbox: Mailbox {
                    domain: draft.domain.clone(),
                    user: recipient.user.clone(),
                },
                resource: resource.clone(),
            };
            let known = match self.users.get(&device.mailbox) {
                Some(devices) => devices.counts(resource, &moment),
                // Most are known: there is no need to read all of the user's.
                None => shared.known(&device)?.is_some_and(|k| k.counts(&moment)),
            };
            if !known {
                self.devices(shared, &device.mailbox)?;
                unknown.push(device);
            }
        }
        Ok(unknown)
    }

    /// Stages the devices that `unknown` has found.
    pub(crate) fn make_known(
        &mut self,
        shared: &Shared,
        frame: &mut FrameBuffer,
        unknown: &[Device],
    ) {
        for device in unknown {
            let moment = shared.moment(&device.mailbox.domain);
            let devices = self.users.get_mut(&device.mailbox);
            let devices = devices.expect("`unknown` has read them");
            let decision = devices.make_known(&device.resource, &moment);
            self.stage_decision(frame, &device.mailbox, decision);
        }
    }

    /// Takes along what waits.
    pub(crate) fn take_pending(&mut self, shared: &Shared, frame: &mut FrameBuffer) {
        let mut taken = Vec::new();
        for (mailbox, user) in shared.pending().iter() {
            for (resource, change) in user.iter() {
                let device = Device {
                    mailbox: mailbox.clone(),
                    resource: resource.clone(),
                };
                // It is in the decision, or was overruled by it.
                if !self.decided.contains(&device) {
                    taken.push((device, change));
                }
            }
            if taken.len() >= CURSORS_MAX {
                break;
            }
        }
        for (device, change) in taken {
            self.stage(frame, device, change);
        }
    }

    fn stage_decision(&mut self, frame: &mut FrameBuffer, mailbox: &Mailbox, decision: Decision) {
        for (resource, change) in decision {
            let device = Device {
                mailbox: mailbox.clone(),
                resource,
            };
            if matches!(change, CursorChange::Set(_) | CursorChange::Drop) {
                self.decided.insert(device.clone());
            }
            self.stage(frame, device, change);
        }
    }

    fn stage(&mut self, frame: &mut FrameBuffer, device: Device, change: CursorChange) {
        frame.push(|out| record::encode_cursor(&device, change, out));
        self.changes.push((device, change));
    }
}
