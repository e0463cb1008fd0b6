//! The end of a case: no due message may be missing.

use proptest::{prop_assert, prop_assert_eq};

use super::case::{Checked, fail};
use super::client::Amount;
use super::session::Session;
use super::steps::After;
use super::store::DEVICES;
use super::world::World;

impl World {
    /// Runs every session, first with a client that only reads, then with one that confirms what it
    /// reads, until nothing is left to do.
    fn drain(&mut self) -> Checked {
        self.busy(false);
        self.publish();
        self.draining = true;
        for session in &mut self.sessions {
            session.client.wire.widen();
        }
        // Each round reads at least one chunk of the store.
        let rounds = 10 + 4 * self.sessions.iter().map(Session::left).sum::<usize>();
        for _ in 0..rounds {
            self.read_all(false)?;
            if !self.sessions.iter().any(Session::is_busy) {
                break;
            }
        }
        self.sessions.iter().try_for_each(Session::check_quiet)?;
        for round in 0..rounds {
            self.read_all(true)?;
            if self.sessions.iter().any(Session::is_busy) {
                continue;
            }
            if self.sessions.iter().all(Session::is_level) {
                break;
            }
            // A skipped Ping is repeated after an interval.
            let pause_ms = [100, self.settings.interval_ms];
            self.pass(pause_ms[round % 2])?;
        }
        self.draining = false;
        self.run()?;
        self.sessions.iter().try_for_each(Session::check_level)
    }

    fn read_all(&mut self, confirming: bool) -> Checked {
        self.store_answers()?;
        self.run()?;
        for session in &mut self.sessions {
            let received = &mut self.devices[session.desk.device].received;
            session.read(Amount::ALL, |id| {
                received.insert(id);
            })?;
            if confirming {
                session.client.answer(session.watch.facts.manual);
            }
        }
        Ok(())
    }

    /// The end of a case: everything drains, then every device logs in once more, and drains again.
    pub(super) fn finish(&mut self) -> Checked {
        self.run()?;
        self.drain()?;
        if self.settings.ends_with_restart {
            self.restart(u64::MAX)?;
        }
        for device in 0..DEVICES.len() {
            self.login(device, self.settings.ends_manual, After::Cursor, None);
        }
        self.begin()?;
        self.drain()?;
        for id in 0..DEVICES.len() {
            let store = &self.shared.borrow().store;
            let known = &self.devices[id];
            let base = known
                .base
                .ok_or_else(|| fail("a device that never logged in".into()))?;
            let missing = store.due(id, base).find(|message| !known.has(message.id));
            prop_assert_eq!(
                missing.map(|message| message.id),
                None,
                "device {} misses this",
                id
            );
            let last = store
                .due(id, base)
                .last()
                .map_or(base, |message| message.id);
            prop_assert!(
                store.cursor(id) >= last,
                "device {}'s cursor stays behind",
                id
            );
        }
        let open = self
            .sessions
            .iter()
            .filter(|session| session.is_open())
            .count();
        prop_assert_eq!(open, DEVICES.len(), "sessions that lived");
        prop_assert_eq!(self.hub.sessions(), DEVICES.len());
        Ok(())
    }
}
