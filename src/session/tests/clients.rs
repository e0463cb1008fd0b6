//! Client behaviour.

use std::rc::Rc;

use super::case::Checked;
use super::client::Amount;
use super::known::FUTURE;
use super::steps::{Pong, Receipt};
use super::world::World;
use crate::model::MsgId;

/// Rounds of reading for an honest client.
const HONEST_ROUNDS: usize = 8;

impl World {
    /// The session about to be replaced receives a receipt, and has not yet acted on it.
    pub(super) fn race(&mut self, device: usize) -> Checked {
        self.run()?;
        let Some(session) = self
            .sessions
            .iter_mut()
            .rev()
            .find(|s| s.desk.device == device)
        else {
            return Ok(());
        };
        match session.client.ids.last().copied() {
            Some(last) if session.watch.facts.manual => session.client.received(last),
            _ => session.client.pong_latest(),
        }
        session
            .next_input(&self.devices[device].received)
            .map(|_| ())
    }

    pub(super) fn read(&mut self, device: usize, amount: Amount) -> Checked {
        let found = self
            .sessions
            .iter_mut()
            .rev()
            .find(|session| session.desk.device == device);
        let received = &mut self.devices[device].received;
        found.map_or(Ok(()), |session| {
            session.read(amount, |id| {
                received.insert(id);
            })
        })
    }

    /// The client takes one message after another, and works on each.
    pub(super) fn take(&mut self, device: usize, count: usize, work_ms: u64) -> Checked {
        for _ in 0..count {
            self.store_answers()?;
            self.run()?;
            self.read(device, Amount::Message)?;
            self.pass(work_ms)?;
        }
        Ok(())
    }

    /// For a while the client reads and confirms everything, and the store answers.
    pub(super) fn honest(&mut self, device: usize) -> Checked {
        for _ in 0..HONEST_ROUNDS {
            self.store_answers()?;
            self.run()?;
            self.read(device, Amount::ALL)?;
            if let Some(session) = self.session(device) {
                session.client.answer(session.watch.facts.manual);
            }
        }
        Ok(())
    }

    pub(super) fn pong(&mut self, device: usize, which: Pong) {
        let future = FUTURE.to_string();
        let Some(session) = self.session(device) else {
            return;
        };
        let client = &mut session.client;
        match which {
            Pong::Latest => client.pong_latest(),
            Pong::Next => client.pong_next(),
            Pong::First => client.pong_first(),
            Pong::All => {
                while client.owes_pong() {
                    client.pong_next();
                }
            }
            Pong::Delivery(back) => {
                if let Some(id) = client.ids.iter().rev().nth(back) {
                    client.pong(id.to_string().as_bytes());
                }
            }
            Pong::Junk(which) => {
                let newest = client.ids.last().copied().unwrap_or_default();
                let (odd, zeros) = (format!("{}", newest.0 | 1), format!("0{newest}"));
                let plus = format!("+{newest}");
                let junk = [
                    "",
                    "x",
                    "18446744073709551616",
                    &odd,
                    &zeros,
                    &plus,
                    &future,
                ];
                client.pong(junk[which].as_bytes());
            }
        }
    }

    pub(super) fn received(&mut self, device: usize, which: Receipt) {
        let shared = Rc::clone(&self.shared);
        let last_ever = self.devices[device].received.last().copied();
        let Some(session) = self
            .sessions
            .iter_mut()
            .rev()
            .find(|s| s.desk.device == device)
        else {
            return;
        };
        let client = &mut session.client;
        let id = match which {
            Receipt::Back(back) => client.ids.iter().rev().nth(back).copied(),
            Receipt::LastEver => last_ever,
            Receipt::Foreign(below) => {
                let store = &shared.borrow().store;
                let id = MsgId(store.last.0.saturating_sub(below));
                let theirs = store.is_due(device, id);
                Some(if theirs { MsgId(id.0 | 1) } else { id })
            }
            Receipt::Future => Some(MsgId(FUTURE)),
            Receipt::Malformed(which) => {
                let junk = [
                    "-1",
                    "1.5",
                    "\"2.0\"",
                    "[2]",
                    "9007199254740992",
                    "true",
                    "2,\"toId\":1",
                ];
                let junk = junk.get(which).copied().unwrap_or("{}");
                return client.text(&format!("{{\"received\":{junk}}}"));
            }
        };
        let Some(id) = id else {
            return;
        };
        client.received(id);
        // A receipt covers everything before it, including what a pending login makes due again.
        if shared.borrow().store.is_due(device, id) {
            client.claimed = client.claimed.max(id);
            self.devices[device].waive(device, id, &shared);
        }
    }
}
