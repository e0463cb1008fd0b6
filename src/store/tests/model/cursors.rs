//! The model's receipt cursors: for each device, between which ids its cursor must be.

use super::super::support::*;
use std::collections::BTreeMap;

pub(super) const USERS: [&str; 3] = ["u0", "u1", "u2"];
pub(super) const RESOURCES: [&str; 2] = ["web", "phone"];

/// What is expected of a device that may be known.
#[derive(Debug, Clone, Copy)]
struct Expected {
    /// It must be known.
    known: bool,
    least: MsgId,
    most: MsgId,
}

/// All cursors.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    /// A device that is not in here must not be known.
    expected: BTreeMap<(String, String), Expected>,
    /// By user: between which ids the highest is that was ever confirmed.
    confirmed: BTreeMap<String, (MsgId, MsgId)>,
    /// Between which ids the domain's low watermark is.
    low_watermark: (MsgId, MsgId),
}

impl Cursors {
    /// The domain was removed (or perhaps was); ids up to `last` were given before.
    pub(super) fn removed(&mut self, last: MsgId, surely: bool) {
        self.low_watermark.1 = MsgId::MAX;
        if surely {
            self.low_watermark.0 = last;
        }
    }

    /// A message with this id was accepted.
    pub(super) fn accepted(&mut self, id: MsgId) {
        self.low_watermark.1 = self.low_watermark.1.min(id);
    }

    /// No device is known any more; where a crash may come before that is noted, perhaps some are.
    pub(super) fn unused_for_long(&mut self, surely: bool) {
        for expected in self.expected.values_mut() {
            expected.known = false;
        }
        if surely {
            self.expected.clear();
        }
    }

    /// Nor is anything that was confirmed.
    pub(super) fn forget(&mut self) {
        self.expected.clear();
        self.confirmed.clear();
    }

    /// A user has messages from `oldest` on: where there is none that was confirmed, nobody has to
    /// know that it was.
    pub(super) fn begins_at(&mut self, user: &str, oldest: Option<MsgId>) {
        if let Some((least, _)) = self.confirmed.get_mut(user)
            && oldest.is_none_or(|oldest| oldest > *least)
        {
            *least = MsgId::ZERO;
        }
    }

    fn note(&mut self, user: &str, least: MsgId, most: MsgId) {
        let noted = self.confirmed.entry(user.to_owned()).or_default();
        *noted = (noted.0.max(least), noted.1.max(most));
    }

    /// A cursor was raised, with a later commit.
    pub(super) fn confirmed(&mut self, user: &str, resource: &str, id: MsgId) {
        self.note(user, MsgId::ZERO, id);
        let key = (user.to_owned(), resource.to_owned());
        let unknown = Expected {
            known: false,
            least: MsgId::ZERO,
            most: id,
        };
        let expected = self.expected.entry(key).or_insert(unknown);
        expected.most = expected.most.max(id);
    }

    /// Between which ids a login with this `after` finds its cursor.
    fn start(&self, user: &str, resource: &str, after: Option<MsgId>) -> (MsgId, MsgId) {
        let own = self.expected.get(&(user.to_owned(), resource.to_owned()));
        let (least, most) = self.confirmed.get(user).copied().unwrap_or_default();
        let (least, most) = (
            least.max(self.low_watermark.0),
            most.max(self.low_watermark.1),
        );
        let (least, most) = match own {
            Some(own) if own.known => (own.least, own.most),
            Some(own) => (own.least.min(least), own.most.max(most)),
            None => (least, most),
        };
        let lowered =
            |id: MsgId, low_watermark| after.map_or(id, |after| id.min(after.max(low_watermark)));
        (
            lowered(least, self.low_watermark.0),
            lowered(most, self.low_watermark.1),
        )
    }

    /// A device was answered that this is its cursor.
    pub(super) fn entered(&mut self, user: &str, resource: &str, after: Option<MsgId>, id: MsgId) {
        let (least, most) = self.start(user, resource, after);
        assert!(least <= id && id <= most, "{least} {id} {most}");
        let key = (user.to_owned(), resource.to_owned());
        let own = self.expected.get(&key);
        // What was confirmed before may not be written yet.
        let least = own.map_or(id, |own| own.least.min(id));
        self.note(user, least, id);
        let known = Expected {
            known: true,
            least,
            most: id,
        };
        self.expected.insert(key, known);
    }

    /// A device was written to, or it was tried to make it known, or to lower its cursor.
    pub(super) fn touched(&mut self, user: &str, resource: &str, after: Option<MsgId>, done: bool) {
        let (least, most) = self.start(user, resource, after);
        let key = (user.to_owned(), resource.to_owned());
        let unknown = Expected {
            known: false,
            least,
            most,
        };
        let expected = self.expected.entry(key).or_insert(unknown);
        if !(expected.known && done) {
            expected.least = expected.least.min(least);
            expected.most = expected.most.max(most);
        }
        expected.known |= done;
    }

    /// Holds the store against it.
    pub(super) fn check(&self, store: &Store) {
        for user in USERS {
            for resource in RESOURCES {
                let key = (user.to_owned(), resource.to_owned());
                let found = store.cursor(&device("d", user, resource)).unwrap();
                match (found, self.expected.get(&key)) {
                    (Some(id), Some(expected)) => {
                        let fits = expected.least <= id && id <= expected.most;
                        assert!(fits, "{user} {resource} {id} {expected:?}");
                    }
                    (found, expected) => {
                        let known = expected.is_some_and(|expected| expected.known);
                        assert!(found.is_none() && !known, "{key:?} {found:?} {expected:?}");
                    }
                }
            }
        }
    }

    /// After a start: all that is found is durable.
    pub(super) fn settle(&mut self, store: &Store) {
        self.check(store);
        self.expected.clear();
        for user in USERS {
            for resource in RESOURCES {
                if let Some(id) = store.cursor(&device("d", user, resource)).unwrap() {
                    let key = (user.to_owned(), resource.to_owned());
                    let exactly = Expected {
                        known: true,
                        least: id,
                        most: id,
                    };
                    self.expected.insert(key, exactly);
                    self.note(user, id, id);
                }
            }
        }
    }
}
