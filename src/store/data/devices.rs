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
/// An unused cursor is dropped after this. Its device then starts with what no device of the user
/// has confirmed, and finds the rest in the history.
const UNUSED_MAX_MS: u64 = 30 * MS_PER_DAY;
/// Interval between records of use: short enough to tell months apart, long enough to cost nothing.
const USE_NOTED_MS: u64 = MS_PER_DAY;
/// More devices than anybody has; it bounds clients that use a new name for each tab.
pub(super) const DEVICES_MAX: usize = 32;

/// The time of a decision, and the low watermark of the domain.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    pub(crate) ages: Ages,
    pub(crate) low_watermark: MsgId,
}

impl Moment {
    pub(crate) fn at_ms(&self) -> u64 {
        self.ages.stamp_ms()
    }

    /// Whether a cursor is neither older than the removal of its domain nor unused for too long.
    pub(crate) fn counts(&self, value: &CursorValue) -> bool {
        value.id >= self.low_watermark && self.ages.age_ms(value.at_ms) < UNUSED_MAX_MS
    }

    /// Whether a use now is to be recorded.
    pub(crate) fn is_news(&self, value: &CursorValue) -> bool {
        !value.used || self.ages.ago_ms(value.at_ms) >= USE_NOTED_MS
    }

    /// The cursor after a login with this `after`.
    pub(crate) fn lowered(&self, id: MsgId, after: Option<MsgId>) -> MsgId {
        after.map_or(id, |after| id.min(after.max(self.low_watermark)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// Including pending changes.
    pub(crate) value: CursorValue,
    /// As after a restart.
    pub(crate) durable: Option<CursorValue>,
}

impl Known {
    /// Whether the device is known now and would be after a restart.
    pub(crate) fn counts(&self, moment: &Moment) -> bool {
        let durable = self.durable.as_ref();
        moment.counts(&self.value) && durable.is_some_and(|value| moment.counts(value))
    }

    /// A pending raise. It is written before a decision that overrules it, since the user has
    /// confirmed that id.
    fn unwritten(&self, resource: &Resource) -> Option<(Resource, CursorChange)> {
        let CursorValue { id, at_ms, .. } = self.value;
        let written = self.durable.map_or(MsgId::ZERO, |durable| durable.id);
        let raise = CursorChange::Raise { id, at_ms };
        (id > written).then(|| (resource.clone(), raise))
    }
}

/// The stored cursors of one user.
#[derive(Debug, Default)]
pub(crate) struct UserCursors {
    pub(crate) devices: Vec<(Resource, CursorValue)>,
    /// The confirmed id if it is above all cursors; otherwise possibly less.
    pub(crate) confirmed: MsgId,
}

#[derive(Debug, Default)]
pub(crate) struct Devices {
    known: Vec<(Resource, Known)>,
    /// The highest id that any device of the user has confirmed, as long as older messages remain.
    confirmed: MsgId,
}

/// The changes that a decision makes.
pub(crate) type Decision = Vec<(Resource, CursorChange)>;

impl Devices {
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

    /// Applies later changes. `durable`: they are.
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

    pub(crate) fn counts(&self, resource: &Resource, moment: &Moment) -> bool {
        let mut devices = self.known.iter();
        devices.any(|(theirs, known)| theirs == resource && known.counts(moment))
    }

    /// The last recorded use of any device, if recent enough. Devices that were only written to
    /// have none.
    pub(crate) fn last_used(&self, moment: &Moment) -> Option<u64> {
        let values = self.known.iter().map(|(_, known)| known.value);
        let was_here = |value: &CursorValue| {
            let is_long_ago = moment.ages.ago_ms(value.at_ms) >= UNUSED_MAX_MS;
            value.used && moment.counts(value) && !is_long_ago
        };
        let used = values.filter(was_here);
        used.map(|value| value.at_ms).max()
    }

    /// A login; also returns the cursor.
    pub(crate) fn enter(
        &mut self,
        resource: &Resource,
        after: Option<MsgId>,
        moment: &Moment,
    ) -> (MsgId, Decision) {
        self.decide(resource, true, after, moment)
    }

    /// A message to a device.
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

    /// Makes room for one device. Those that were only written to go first: a sender that writes to
    /// ever new resources must not displace real devices.
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
