//! Changes of receipt cursors, and how they combine.
//!
//! Pure. Journal, pending changes, memtables and index all hold changes or their results; only this
//! file knows how they add up.
//!
//! Invariants: `newer.after(older)` does to any cursor what `older` and then `newer` do. Changes
//! that were applied in part may be applied again from the first one, with the same result: a raise
//! only raises, and no other change depends on the previous value. (`confirmed` does: it is written
//! first.)

use std::collections::{HashMap, HashSet};

use bincode::{Decode, Encode};

use crate::model::{Device, Mailbox, MsgId, Resource};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct CursorValue {
    pub(crate) id: MsgId,
    /// The last known use of its device.
    pub(crate) at_ms: u64,
    /// Whether its device ever logged in. Otherwise it was only written to.
    pub(crate) used: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CursorChange {
    /// A session confirmed everything up to `id`. Makes the device known.
    Raise { id: MsgId, at_ms: u64 },
    /// The device was made known, or the cursor lowered.
    Set(CursorValue),
    /// A known device logged in or left.
    Use { at_ms: u64 },
    /// The device is no longer known.
    Drop,
}

impl CursorChange {
    /// The cursor after this change. `None`: the device is unknown.
    pub(crate) fn apply(self, old: Option<CursorValue>) -> Option<CursorValue> {
        match (self, old) {
            (Self::Raise { id, at_ms }, None) => Some(CursorValue {
                id,
                at_ms,
                used: true,
            }),
            (Self::Raise { id, at_ms }, Some(old)) => Some(CursorValue {
                id: id.max(old.id),
                at_ms: at_ms.max(old.at_ms),
                used: true,
            }),
            (Self::Use { at_ms }, Some(old)) => Some(CursorValue {
                id: old.id,
                at_ms: at_ms.max(old.at_ms),
                used: true,
            }),
            (Self::Set(value), _) => Some(value),
            (Self::Use { .. }, None) | (Self::Drop, _) => None,
        }
    }

    /// No cursor is set above what its user has confirmed.
    fn id(self) -> MsgId {
        match self {
            Self::Raise { id, .. } | Self::Set(CursorValue { id, .. }) => id,
            Self::Use { .. } | Self::Drop => MsgId::ZERO,
        }
    }

    /// Both changes as one.
    pub(crate) fn after(self, older: Self) -> Self {
        match (self, older) {
            (Self::Set(_) | Self::Drop, _) => self,
            (Self::Raise { id, at_ms }, Self::Raise { id: i, at_ms: at }) => Self::Raise {
                id: id.max(i),
                at_ms: at_ms.max(at),
            },
            (Self::Raise { id, at_ms }, Self::Use { at_ms: at })
            | (Self::Use { at_ms: at }, Self::Raise { id, at_ms }) => Self::Raise {
                id,
                at_ms: at_ms.max(at),
            },
            (Self::Use { at_ms }, Self::Use { at_ms: at }) => Self::Use {
                at_ms: at_ms.max(at),
            },
            (_, Self::Set(value)) => self.apply(Some(value)).map_or(Self::Drop, Self::Set),
            (_, Self::Drop) => self.apply(None).map_or(Self::Drop, Self::Set),
        }
    }
}

/// Changes of the cursors of one user.
#[derive(Debug, Clone, Default)]
pub(crate) struct UserChanges {
    /// A list, since devices are few. Holds no `Drop`.
    kept: Vec<(Resource, CursorChange)>,
    /// A set, since a sender that writes to ever new resources drops many.
    dropped: HashSet<Resource>,
    /// The highest id in any of these changes: the user has confirmed it.
    confirmed: MsgId,
}

impl UserChanges {
    /// Adds a newer change. True if the device had none.
    fn push(&mut self, resource: &Resource, change: CursorChange) -> bool {
        let at = self.kept.iter().position(|(theirs, _)| theirs == resource);
        let old = match at {
            Some(at) => Some(self.kept[at].1),
            None => self.dropped.take(resource).map(|_| CursorChange::Drop),
        };
        self.note_confirmed(change.id());
        let new = old.map_or(change, |old| change.after(old));
        match (new, at) {
            (CursorChange::Drop, at) => {
                if let Some(at) = at {
                    self.kept.swap_remove(at);
                }
                self.dropped.insert(resource.clone());
            }
            (_, Some(at)) => self.kept[at].1 = new,
            (_, None) => self.kept.push((resource.clone(), new)),
        }
        old.is_none()
    }

    fn note_confirmed(&mut self, id: MsgId) {
        self.confirmed = self.confirmed.max(id);
    }

    /// The highest id that these changes confirm.
    pub(crate) fn confirmed(&self) -> MsgId {
        self.confirmed
    }

    pub(crate) fn get(&self, resource: &Resource) -> Option<CursorChange> {
        let mut kept = self.kept.iter();
        let found = kept.find_map(|(theirs, change)| (theirs == resource).then_some(*change));
        found.or_else(|| {
            self.dropped
                .contains(resource)
                .then_some(CursorChange::Drop)
        })
    }

    /// All changes but drops, one a device.
    pub(crate) fn kept(&self) -> &[(Resource, CursorChange)] {
        &self.kept
    }

    pub(crate) fn dropped(&self) -> &HashSet<Resource> {
        &self.dropped
    }

    /// All changes, one a device.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Resource, CursorChange)> {
        let kept = self
            .kept
            .iter()
            .map(|(resource, change)| (resource, *change));
        let dropped = self.dropped.iter();
        kept.chain(dropped.map(|resource| (resource, CursorChange::Drop)))
    }

    /// The number of devices.
    pub(crate) fn len(&self) -> usize {
        self.kept.len() + self.dropped.len()
    }
}

pub(crate) type Changes = HashMap<Mailbox, UserChanges>;

/// Adds a change behind those that are here. Whether its device had none.
pub(crate) fn push(changes: &mut Changes, device: &Device, change: CursorChange) -> bool {
    match changes.get_mut(&device.mailbox) {
        Some(user) => user.push(&device.resource, change),
        None => {
            let user = changes.entry(device.mailbox.clone()).or_default();
            user.push(&device.resource, change)
        }
    }
}

pub(crate) fn push_confirmed(changes: &mut Changes, mailbox: &Mailbox, id: MsgId) {
    let user = changes.entry(mailbox.clone()).or_default();
    user.note_confirmed(id);
}

/// Drops a pending change of a device, unless it changed after `written`.
pub(crate) fn forget(changes: &mut Changes, device: &Device, written: CursorChange) {
    let Some(user) = changes.get_mut(&device.mailbox) else {
        return;
    };
    // What is pending behind a decision is older than it: nobody was told of it.
    let decided = matches!(written, CursorChange::Set(_) | CursorChange::Drop);
    user.kept
        .retain(|(theirs, change)| *theirs != device.resource || !decided && *change != written);
    if user.kept.is_empty() {
        changes.remove(&device.mailbox);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(id: u64, at_ms: u64, used: bool) -> CursorValue {
        let id = MsgId(id);
        CursorValue { id, at_ms, used }
    }

    /// Of every kind, at this time.
    fn changes(at_ms: u64) -> Vec<CursorChange> {
        let mut changes = vec![CursorChange::Drop, CursorChange::Use { at_ms }];
        for id in [3, 5, 8] {
            changes.push(CursorChange::Raise {
                id: MsgId(id),
                at_ms,
            });
            changes.push(CursorChange::Set(value(id, at_ms, true)));
            changes.push(CursorChange::Set(value(id, at_ms, false)));
        }
        changes
    }

    fn cursors() -> Vec<Option<CursorValue>> {
        let used = [true, false];
        let known = used.map(|used| [4, 6].map(|id| Some(value(id, 9, used))));
        known.into_iter().flatten().chain([None]).collect()
    }

    #[test]
    fn each_change_does_what_it_says() {
        let raise = |id| CursorChange::Raise {
            id: MsgId(id),
            at_ms: 20,
        };
        let use_ = CursorChange::Use { at_ms: 20 };
        let set = CursorChange::Set(value(1, 20, false));
        let old = Some(value(4, 9, false));
        for (change, on_known, on_unknown) in [
            (raise(6), Some(value(6, 20, true)), Some(value(6, 20, true))),
            (raise(2), Some(value(4, 20, true)), Some(value(2, 20, true))),
            (use_, Some(value(4, 20, true)), None),
            (set, Some(value(1, 20, false)), Some(value(1, 20, false))),
            (CursorChange::Drop, None, None),
        ] {
            assert_eq!(change.apply(old), on_known, "{change:?}");
            assert_eq!(change.apply(None), on_unknown, "{change:?}");
        }
    }

    #[test]
    fn two_changes_as_one_do_what_they_do_one_by_one() {
        for older in changes(10) {
            for newer in changes(20) {
                for cursor in cursors() {
                    let one_by_one = newer.apply(older.apply(cursor));
                    let as_one = newer.after(older).apply(cursor);
                    assert_eq!(as_one, one_by_one, "{older:?}, {newer:?}, {cursor:?}");
                }
            }
        }
    }

    #[test]
    fn changes_made_in_part_and_then_again_from_the_first_end_the_same() {
        for first in changes(10) {
            for second in changes(20) {
                for third in changes(30) {
                    let all = [first, second, third];
                    let make = |changes: &[CursorChange], cursor| {
                        changes.iter().fold(cursor, |old, change| change.apply(old))
                    };
                    for cursor in cursors() {
                        for part in 0..=all.len() {
                            let again = make(&all, make(&all[..part], cursor));
                            assert_eq!(again, make(&all, cursor), "{all:?} after {part}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_changes_of_a_user_come_to_what_they_come_to_one_by_one() {
        let resource = Resource::parse("web").expect("valid");
        let other = Resource::parse("phone").expect("valid");
        for older in changes(10) {
            for newer in changes(20) {
                let mut user = UserChanges::default();
                assert!(user.push(&other, CursorChange::Drop));
                assert!(user.push(&resource, older));
                assert!(!user.push(&resource, newer));
                assert_eq!(user.get(&resource), Some(newer.after(older)));
                assert_eq!(user.get(&other), Some(CursorChange::Drop));
                assert_eq!((user.len(), user.iter().count()), (2, 2));
            }
        }
    }
}
