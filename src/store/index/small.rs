//! The small trees: cursors, sends, domains, erasures.

use super::apply::Pace;
use super::database::{Index, SENDS_PREFIX};
use super::engine::Tree;
use super::error::IndexError;
use super::manifest::{Manifest, SmallCounts};
use super::{fixed, key};
use crate::model::{Device, Domain, Mailbox, MsgId, Resource};
use crate::store::age::AgeState;
use crate::store::data::{
    CursorValue, DomainState, Domains, Record, SendIds, SendKey, UserCursors, day, record,
};
use crate::store::memtable::Memtable;

const VERSION: u8 = 1;
/// Version 1 lacks `used`.
const CURSOR_VERSION: u8 = 2;
/// The only key of its tree.
const AGE_KEY: &[u8] = b"age";

impl Index {
    /// Writes cursors, sends, domains, erasures and age time of a memtable, counts new entries in
    /// `state`, and drops sends of days before `day_min`.
    pub(crate) fn apply_small(
        &self,
        memtable: &Memtable,
        day_min: u64,
        state: &mut Manifest,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        // Sorted as the trees are, so that neighbours are written together.
        let mut cursors: Vec<_> = memtable.cursors.iter().collect();
        cursors.sort_unstable_by_key(|(mailbox, _)| *mailbox);
        for (mailbox, devices) in cursors {
            let prefix = key::prefix(mailbox);
            memtable.note_written(devices.len());
            let (mut confirmed, mut said) = (devices.confirmed(), MsgId::ZERO);
            let mut changed = Vec::new();
            for (resource, change) in devices.iter() {
                let key = [&prefix, resource.as_str().as_bytes()].concat();
                let stored = self.cursors.get(&key)?;
                let old = stored.map(|stored| cursor_value(&stored)).transpose()?;
                let new = change.apply(old);
                confirmed = old.map_or(confirmed, |old| confirmed.max(old.id));
                said = new.map_or(said, |new| said.max(new.id));
                if new != old {
                    changed.push((key, new, old.is_none()));
                }
            }
            // The cursor that held this id is lowered or dropped. The id is written first: once the
            // change is durable, a repeated flush cannot find the old cursor.
            if confirmed > said && confirmed > self.confirmed(&prefix)? {
                let old = self.cursors.insert(&prefix, encode_confirmed(confirmed))?;
                state.small.cursors += u64::from(old.is_none());
                pace(self, prefix.len())?;
            }
            for (key, new, is_new) in changed {
                match new {
                    Some(value) => {
                        self.cursors.insert(&key, encode_cursor(value))?;
                        state.small.cursors += u64::from(is_new);
                    }
                    None => {
                        self.cursors.remove(&key)?;
                        state.small.cursors = state.small.cursors.saturating_sub(1);
                    }
                }
                pace(self, key.len())?;
            }
        }
        let mut sends: Vec<_> = memtable.sends.iter().collect();
        sends.sort_unstable_by_key(|(key, _)| *key);
        for (key, ids) in sends {
            memtable.note_written(1);
            let day = day(ids.first.0);
            if day < day_min {
                continue;
            }
            let tree = self.sends_tree_of(day)?;
            let key = key::send(&key.domain, &key.from_id, key.client_msg_id.as_str());
            let old = tree.insert(&key, encode_send(*ids))?;
            *state.small.sends.entry(day).or_default() += u64::from(old.is_none());
            pace(self, key.len())?;
        }
        for (domain, domain_state) in &memtable.domains {
            let value = encode_domain(domain_state);
            let old = self.domains.insert(domain.as_str(), value)?;
            state.small.domains += u64::from(old.is_none());
        }
        for (mailbox, upto) in &memtable.erased {
            let value = encode_erased(*upto);
            let old = self.erased.insert(key::prefix(mailbox), value)?;
            state.small.erased += u64::from(old.is_none());
        }
        if let Some(age) = &memtable.age {
            self.set_age(age)?;
        }
        self.drop_sends_before(day_min, state)
    }

    /// Created if missing.
    pub(super) fn sends_tree_of(&self, day: u64) -> Result<Tree, IndexError> {
        if let Some(tree) = self.sends_tree(day) {
            return Ok(tree);
        }
        let tree = self.engine.tree(&format!("{SENDS_PREFIX}{day}"))?;
        let mut sends = self.sends.lock();
        sends.insert(day, tree.clone());
        Ok(tree)
    }

    fn drop_sends_before(&self, day_min: u64, state: &mut Manifest) -> Result<(), IndexError> {
        let old: Vec<u64> = {
            let mut sends = self.sends.lock();
            let kept = sends.split_off(&day_min);
            std::mem::replace(&mut *sends, kept).into_keys().collect()
        };
        for day in old {
            self.engine.drop_tree(&format!("{SENDS_PREFIX}{day}"))?;
        }
        state.small.sends = state.small.sends.split_off(&day_min);
        Ok(())
    }

    /// The newest first.
    pub(super) fn sends_trees(&self) -> Vec<Tree> {
        let sends = self.sends.lock();
        sends.values().rev().cloned().collect()
    }

    pub(crate) fn send(&self, key: &SendKey) -> Result<Option<SendIds>, IndexError> {
        // Two, or three after a step of the clock: older ones are dropped.
        let trees = self.sends_trees();
        let bytes = key::send(&key.domain, &key.from_id, key.client_msg_id.as_str());
        for tree in trees {
            if let Some(value) = tree.get(&bytes)? {
                return Ok(Some(decode_send(&value).ok_or("the ids of a send")?));
            }
        }
        Ok(None)
    }

    pub(crate) fn cursor(&self, device: &Device) -> Result<Option<CursorValue>, IndexError> {
        let prefix = key::prefix(&device.mailbox);
        let key = [&prefix, device.resource.as_str().as_bytes()].concat();
        let stored = self.cursors.get(key)?;
        stored.map(|stored| cursor_value(&stored)).transpose()
    }

    pub(crate) fn count_cursors(&self) -> Result<u64, IndexError> {
        self.cursors.count()
    }

    /// The confirmed id outside the cursors, by the prefix of the mailbox.
    fn confirmed(&self, prefix: &[u8]) -> Result<MsgId, IndexError> {
        let stored = self.cursors.get(prefix)?;
        let stored = stored.map(|stored| cursor_value(&stored)).transpose()?;
        Ok(stored.map_or(MsgId::ZERO, |value| value.id))
    }

    /// As [`UserCursors::confirmed`].
    pub(crate) fn confirmed_of(&self, mailbox: &Mailbox) -> Result<MsgId, IndexError> {
        self.confirmed(&key::prefix(mailbox))
    }

    pub(crate) fn cursors(&self, mailbox: &Mailbox) -> Result<UserCursors, IndexError> {
        let prefix = key::prefix(mailbox);
        let mut cursors = UserCursors::default();
        for entry in self.cursors.scan_prefix(&prefix) {
            let (key, value) = entry?;
            if key == prefix {
                continue;
            }
            let name = key.get(prefix.len()..).map(std::str::from_utf8);
            let name = name.and_then(Result::ok).map(Resource::parse);
            let resource = name.and_then(Result::ok);
            let resource = resource.ok_or("a cursor's key")?;
            cursors.devices.push((resource, cursor_value(&value)?));
        }
        // Last: a flush that lowers a cursor writes it first.
        cursors.confirmed = self.confirmed(&prefix)?;
        Ok(cursors)
    }

    /// All domains and low watermarks.
    pub(crate) fn domains(&self) -> Result<Domains, IndexError> {
        let mut domains = Domains::default();
        for entry in self.domains.iter() {
            let (key, value) = entry?;
            let name = std::str::from_utf8(&key).ok().map(Domain::parse);
            let decoded = name.and_then(Result::ok).zip(decode_domain(&value));
            let (name, state) = decoded.ok_or("a domain")?;
            domains.set(&name, state);
        }
        for entry in self.erased.iter() {
            let (key, value) = entry?;
            let (mailbox, upto) = erasure(&key, &value)?;
            domains.low_watermarks.raise(&mailbox, upto);
        }
        Ok(domains)
    }

    pub(super) fn set_age(&self, age: &AgeState) -> Result<(), IndexError> {
        let mut value = Vec::new();
        record::encode_age(age, &mut value);
        self.age.insert(AGE_KEY, value)?;
        Ok(())
    }

    /// The last recorded age time.
    pub(crate) fn age(&self) -> Result<Option<AgeState>, IndexError> {
        let Some(stored) = self.age.get(AGE_KEY)? else {
            return Ok(None);
        };
        match record::decode(&stored) {
            Ok(Record::Age(age)) => Ok(Some(age)),
            _ => Err("the age time".into()),
        }
    }

    /// Reads the small trees and refuses fewer entries than `state` counts; then `state` counts
    /// them all.
    pub(super) fn verify_small(&self, state: &mut Manifest) -> Result<(), IndexError> {
        let mut found = SmallCounts {
            domains: self.domains.count()?,
            erased: self.erased.count()?,
            ..SmallCounts::default()
        };
        for entry in self.cursors.iter() {
            cursor_value(&entry?.1)?;
            found.cursors += 1;
        }
        self.domains()?;
        self.age()?;
        for (day, tree) in self.sends.lock().iter() {
            let count = found.sends.entry(*day).or_default();
            for entry in tree.iter() {
                decode_send(&entry?.1).ok_or("a send")?;
                *count += 1;
            }
        }
        found.check(&state.small)?;
        state.small = found;
        Ok(())
    }
}

fn encode_cursor(value: CursorValue) -> Vec<u8> {
    fixed::encode((CURSOR_VERSION, value))
}

fn decode_cursor(mut value: &[u8]) -> Option<CursorValue> {
    match fixed::take(&mut value)? {
        CURSOR_VERSION => fixed::decode(value),
        1_u8 => {
            let (id, at_ms) = fixed::decode(value)?;
            // Version 1 did not distinguish.
            let used = true;
            Some(CursorValue { id, at_ms, used })
        }
        _ => None,
    }
}

/// A user's confirmed id is the cursor of no resource.
fn encode_confirmed(id: MsgId) -> Vec<u8> {
    let (at_ms, used) = (0, false);
    encode_cursor(CursorValue { id, at_ms, used })
}

pub(super) fn erasure(key: &[u8], value: &[u8]) -> Result<(Mailbox, MsgId), IndexError> {
    let decoded = key::mailbox(key).zip(decode_erased(value));
    decoded.ok_or_else(|| "an erasure".into())
}

pub(super) fn first_of_send(value: &[u8]) -> Result<MsgId, IndexError> {
    let ids = decode_send(value);
    Ok(ids.ok_or("a send")?.first)
}

pub(super) fn cursor_value(stored: &[u8]) -> Result<CursorValue, IndexError> {
    decode_cursor(stored).ok_or_else(|| "a cursor".into())
}

fn encode_send(ids: SendIds) -> Vec<u8> {
    fixed::encode((VERSION, ids))
}

fn decode_send(value: &[u8]) -> Option<SendIds> {
    fixed::decode(value.strip_prefix(&[VERSION])?)
}

fn encode_erased(upto: MsgId) -> Vec<u8> {
    fixed::encode((VERSION, upto))
}

fn decode_erased(value: &[u8]) -> Option<MsgId> {
    fixed::decode(value.strip_prefix(&[VERSION])?)
}

fn encode_domain(state: &DomainState) -> Vec<u8> {
    let mut value = fixed::encode((VERSION, state.low_watermark));
    if let Some(record) = &state.record {
        record::encode_domain(record, &mut value);
    }
    value
}

fn decode_domain(value: &[u8]) -> Option<DomainState> {
    let mut stored = value.strip_prefix(&[VERSION])?;
    let low_watermark = fixed::take(&mut stored)?;
    let record = match stored {
        [] => None,
        stored => match record::decode(stored).ok()? {
            Record::Domain(record) => Some(record),
            _ => return None,
        },
    };
    Some(DomainState {
        record,
        low_watermark,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn golden_values() {
        for used in [true, false] {
            let cursor = CursorValue {
                id: MsgId(258),
                at_ms: 3,
                used,
            };
            let numbers = [2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
            let golden = [&[2], numbers.as_slice(), &[u8::from(used)]].concat();
            assert_eq!(encode_cursor(cursor), golden);
            assert_eq!(decode_cursor(&golden), Some(cursor));
            let first_version = [&[1], numbers.as_slice()].concat();
            let decoded = decode_cursor(&first_version);
            assert_eq!(
                decoded,
                Some(CursorValue {
                    used: true,
                    ..cursor
                })
            );
            for bad in [&golden[..17], &[golden.as_slice(), &[0]].concat(), b"\x03"] {
                assert_eq!(decode_cursor(bad), None);
            }
        }
        let ids = SendIds {
            first: MsgId(258),
            count: 2,
        };
        let golden = [1, 2, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
        assert_eq!(encode_send(ids), golden);
        assert_eq!(decode_send(&golden), Some(ids));
        let golden = [1, 2, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(encode_erased(MsgId(258)), golden);
        assert_eq!(decode_erased(&golden), Some(MsgId(258)));
        assert_eq!(decode_erased(&golden[..8]), None);
        let removed = DomainState {
            record: None,
            low_watermark: MsgId(7),
        };
        assert_eq!(encode_domain(&removed), [1, 7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(decode_domain(&encode_domain(&removed)), Some(removed));
        assert_eq!(decode_domain(b"\x02"), None);
    }
}
