//! The devices of one user, and what a login or a message to one of them changes.
//!
//! Pure. Only the committer asks for decisions, so nothing happens between what it saw and what it
//! changes.
//!
//! Invariants: a decision leaves at most [`DEVICES_MAX`] devices known, always including the one it
//! is about; it never raises the cursor of a known device; what a user has confirmed outlives the
//! cursor that recorded it.

use super::cursor::{CursorChange, CursorValue, UserChanges};
use crate::model::{MsgId, Resource};
use crate::store::age::Ages;

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1_000;
/// A cursor that was not used for so long is gone. A device that was away for longer gets
/// what none of the user's devices has confirmed, and finds the rest in the history.
const UNUSED_MAX_MS: u64 = 30 * MS_PER_DAY;
/// Use is noted again after this: often enough to tell months, rarely enough to cost nothing.
const USE_NOTED_MS: u64 = MS_PER_DAY;
/// Most devices of a user. More than anybody has; what takes a new name for each tab costs
/// no more than this.
pub(super) const DEVICES_MAX: usize = 32;

/// When a device is looked at, and from where on its domain's messages count.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    pub(crate) ages: Ages,
    pub(crate) low_watermark: MsgId,
}

impl Moment {
    /// The stamp of a use now.
    pub(crate) fn at_ms(&self) -> u64 {
        self.ages.stamp_ms()
    }

    /// Whether a cursor counts: it is neither from before the removal of its domain, nor
    /// was it unused for too long.
    pub(crate) fn counts(&self, value: &CursorValue) -> bool {
        value.id >= self.low_watermark && self.ages.age_ms(value.at_ms) < UNUSED_MAX_MS
    }

    /// Whether it should be noted that the device is used now.
    pub(crate) fn is_news(&self, value: &CursorValue) -> bool {
        !value.used || self.ages.ago_ms(value.at_ms) >= USE_NOTED_MS
    }

    /// The cursor that a login with this `after` finds.
    pub(crate) fn lowered(&self, id: MsgId, after: Option<MsgId>) -> MsgId {
        after.map_or(id, |after| id.min(after.max(self.low_watermark)))
    }
}

/// A device's cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// With what waits to be written.
    pub(crate) value: CursorValue,
    /// As a restart would find it.
    pub(crate) durable: Option<CursorValue>,
}

impl Known {
    /// Whether the device is known now and would be after a restart.
    pub(crate) fn counts(&self, moment: &Moment) -> bool {
        let durable = self.durable.as_ref();
        moment.counts(&self.value) && durable.is_some_and(|value| moment.counts(value))
    }

    /// What was confirmed and waits to be written: it goes ahead of a decision that overrules it,
    /// since the user has confirmed it all the same.
    fn unwritten(&self, resource: &Resource) -> Option<(Resource, CursorChange)> {
        let CursorValue { id, at_ms, .. } = self.value;
        let written = self.durable.map_or(MsgId::ZERO, |durable| durable.id);
        let raise = CursorChange::Raise { id, at_ms };
        (id > written).then(|| (resource.clone(), raise))
    }
}

/// The cursors of one user, as they are stored.
#[derive(Debug, Default)]
pub(crate) struct UserCursors {
    pub(crate) devices: Vec<(Resource, CursorValue)>,
    /// What the user has confirmed, where none of the cursors says as much; else perhaps less.
    pub(crate) confirmed: MsgId,
}

/// All devices of one user.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    known: Vec<(Resource, Known)>,
    /// The highest id that any device of the user has ever confirmed, as far as messages of
    /// before it are still there.
    confirmed: MsgId,
}

/// What a decision changes.
pub(crate) type Decision = Vec<(Resource, CursorChange)>;

impl Devices {
    /// Those that the index knows, and how much it knows to be confirmed beside their cursors.
    pub(crate) fn new(stored: UserCursors) -> Self {
        let UserCursors { devices, confirmed } = stored;
        let highest = devices.iter().map(|(_, value)| value.id).max();
        let known = devices.into_iter().map(|(resource, value)| {
            let durable = Some(value);
            (resource, Known { value, durable })
        });
        Self {
            known: known.collect(),
            confirmed: confirmed.max(highest.unwrap_or_default()),
        }
    }

    /// Adds what happened later, and whether that is durable.
    pub(crate) fn overlay(&mut self, changes: &UserChanges, durable: bool) {
        self.confirmed = self.confirmed.max(changes.confirmed());
        let dropped = changes.dropped();
        self.known
            .retain(|(resource, _)| !dropped.contains(resource));
        for (resource, change) in changes.kept() {
            let old = self.take(resource);
            if let Some(value) = change.apply(old.map(|known| known.value)) {
                let durable = match durable {
                    true => Some(value),
                    false => old.and_then(|known| known.durable),
                };
                self.known
                    .push((resource.clone(), Known { value, durable }));
            }
        }
    }

    fn take(&mut self, resource: &Resource) -> Option<Known> {
        let at = self
            .known
            .iter()
            .position(|(theirs, _)| theirs == resource)?;
        Some(self.known.swap_remove(at).1)
    }

    /// Whether the device is known.
    pub(crate) fn counts(&self, resource: &Resource, moment: &Moment) -> bool {
        let mut devices = self.known.iter();
        devices.any(|(theirs, known)| theirs == resource && known.counts(moment))
    }

    /// The stamp of the last time that any of them was known to be in use, if that is not too long
    /// ago; those that were only written to were not.
    pub(crate) fn last_used(&self, moment: &Moment) -> Option<u64> {
        let values = self.known.iter().map(|(_, known)| known.value);
        let was_here = |value: &CursorValue| {
            let is_long_ago = moment.ages.ago_ms(value.at_ms) >= UNUSED_MAX_MS;
            value.used && moment.counts(value) && !is_long_ago
        };
        let used = values.filter(was_here);
        used.map(|value| value.at_ms).max()
    }

    /// A device logs in; the answer is its cursor, too.
    pub(crate) fn enter(
        &mut self,
        resource: &Resource,
        after: Option<MsgId>,
        moment: &Moment,
    ) -> (MsgId, Decision) {
        self.decide(resource, true, after, moment)
    }

    /// A device is written to.
    pub(crate) fn make_known(&mut self, resource: &Resource, moment: &Moment) -> Decision {
        self.decide(resource, false, None, moment).1
    }

    fn decide(
        &mut self,
        resource: &Resource,
        login: bool,
        after: Option<MsgId>,
        moment: &Moment,
    ) -> (MsgId, Decision) {
        let own = self.take(resource);
        let own = own.filter(|known| moment.counts(&known.value));
        let mut decision = self.drop_gone(moment);
        let start = own.map_or(self.confirmed, |known| known.value.id);
        let start = start.max(moment.low_watermark);
        let id = moment.lowered(start, after);
        let value = CursorValue {
            id,
            at_ms: moment.at_ms(),
            used: login || own.is_some_and(|known| known.value.used),
        };
        let known = match own {
            Some(known) if known.counts(moment) && id == start => {
                if login && moment.is_news(&known.value) {
                    let at_ms = moment.at_ms();
                    let change = CursorChange::Use { at_ms };
                    decision.push((resource.clone(), change));
                    let durable = change.apply(known.durable);
                    Known { value, durable }
                } else {
                    known
                }
            }
            _ => {
                let lowered = own.filter(|_| id < start);
                decision.extend(lowered.and_then(|known| known.unwritten(resource)));
                decision.push((resource.clone(), CursorChange::Set(value)));
                Known {
                    value,
                    durable: Some(value),
                }
            }
        };
        self.drop_longest_unused(&mut decision);
        self.known.push((resource.clone(), known));
        (id, decision)
    }

    fn drop_gone(&mut self, moment: &Moment) -> Decision {
        let mut decision = Decision::new();
        self.known.retain(|(resource, known)| {
            let counts = moment.counts(&known.value);
            if !counts {
                decision.push((resource.clone(), CursorChange::Drop));
            }
            counts
        });
        decision
    }

    /// Makes room for one device. Those that were only written to go first: whoever writes
    /// to ever new resources of a user must not push out the devices that the user has.
    fn drop_longest_unused(&mut self, decision: &mut Decision) {
        let excess = (self.known.len() + 1).saturating_sub(DEVICES_MAX);
        if excess == 0 {
            return;
        }
        self.known.sort_unstable_by_key(|(_, known)| {
            let value = known.value;
            (value.used, value.at_ms, value.id)
        });
        for (resource, known) in self.known.drain(..excess) {
            decision.extend(known.unwritten(&resource));
            decision.push((resource, CursorChange::Drop));
        }
    }
}
