//! The world of a case: devices, their sessions, the hub and the store between them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use super::case::{Checked, Facts, Settings, WALL_MS};
use super::client::{Amount, Client};
use super::desk::{Desk, Shared};
use super::known::{FUTURE, Known};
use super::session::{Login, Session};
use super::steps::{After, Reach};
use super::store::{DEVICES, device};
use super::wire::Wire;
use crate::auth::Validity;
use crate::hub::{Arrival, Hub, HubLimits, Outbox};
use crate::model::{Message, MsgId};
use crate::store::CommitSink;
use crate::websocket::{Connection, ConnectionOptions, MessageBudget};

pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) shared: Rc<RefCell<Shared>>,
    pub(super) hub: Arc<Hub>,
    pub(super) sessions: Vec<Session>,
    pub(super) devices: [Known; DEVICES.len()],
    /// Committed, but not yet in the hub.
    committed: VecDeque<Message>,
    /// In the hub, but not yet published.
    in_hub: Option<MsgId>,
    /// Only woken sessions run. Otherwise all do, and those not woken must have nothing to do.
    pub(super) draining: bool,
}

fn hub() -> Arc<Hub> {
    Arc::new(Hub::new(
        HubLimits {
            sessions_max: usize::MAX,
            sessions_per_user_max: usize::MAX,
        },
        Arc::default(),
    ))
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            shared: Rc::default(),
            hub: hub(),
            sessions: Vec::new(),
            devices: Default::default(),
            committed: VecDeque::new(),
            in_hub: None,
            draining: false,
        }
    }

    pub(super) fn session(&mut self, device: usize) -> Option<&mut Session> {
        let of_device = |session: &&mut Session| session.desk.device == device;
        self.sessions.iter_mut().rev().find(of_device)
    }

    /// Runs all sessions; reads the remaining output of those that ended.
    pub(super) fn run(&mut self) -> Checked {
        for session in &mut self.sessions {
            if self.draining && !session.is_woken() {
                continue;
            }
            let known = &mut self.devices[session.desk.device];
            session.run(&known.received)?;
            if session.is_gone() {
                let received = &mut known.received;
                session.read(Amount::ALL, |id| {
                    received.insert(id);
                })?;
            }
        }
        self.sessions.retain(|session| !session.is_gone());
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        self.shared.borrow().now_ms
    }

    pub(super) fn pass(&mut self, ms: u64) -> Checked {
        self.run()?;
        let until_ms = self.now_ms() + ms;
        while self.now_ms() < until_ms {
            let due = self.sessions.iter().filter_map(Session::due_ms).min();
            let due = due.unwrap_or(until_ms).clamp(self.now_ms() + 1, until_ms);
            self.shared.borrow_mut().now_ms = due;
            self.run()?;
        }
        Ok(())
    }

    pub(super) fn commit(
        &mut self,
        mailbox: usize,
        only: Option<usize>,
        count: usize,
        bytes: usize,
        reach: Reach,
    ) {
        for _ in 0..count {
            let message = self.shared.borrow_mut().store.commit(mailbox, only, bytes);
            self.committed.push_back(message);
        }
        match reach {
            Reach::Store => {}
            Reach::Hub => self.hand_on(),
            Reach::Published => self.publish(),
        }
    }

    pub(super) fn erase(&mut self, mailbox: usize, kept: u64) {
        let store = &mut self.shared.borrow_mut().store;
        store.erase(mailbox, MsgId(store.last.0.saturating_sub(kept)));
        for session in &mut self.sessions {
            session.watch.erased(store);
        }
    }

    /// Passes one batch through the hub; the one before it is published by then.
    fn hand_on(&mut self) {
        if let Some(id) = self.in_hub.take() {
            self.shared.borrow_mut().store.published = id;
        }
        let batch: Vec<Message> = self.committed.drain(..).collect();
        if let Some(last) = batch.last() {
            self.hub.committed(&batch);
            self.in_hub = Some(last.id);
        }
    }

    pub(super) fn publish(&mut self) {
        self.hand_on();
        self.hand_on();
    }

    pub(super) fn login(
        &mut self,
        id: usize,
        manual: bool,
        after: After,
        lifetime_ms: Option<u64>,
    ) {
        let settings = self.settings;
        let wire = Wire::new(settings.to_client_bytes, settings.to_server_bytes);
        let options = ConnectionOptions {
            message_bytes_max: 1000,
            binary: false,
            budget: MessageBudget::default(),
        };
        let connection = Connection::new(wire.server_end(), options);
        let outbox = Arc::new(Outbox::new(settings.outbox_bytes_max));
        let arrival = Arrival {
            at_ms: 0,
            from: std::net::Ipv4Addr::LOCALHOST.into(),
        };
        let registration = self.hub.register(device(id), Arc::clone(&outbox), arrival);
        let registration = registration.expect("the hub has no limits here");
        for older in self
            .sessions
            .iter_mut()
            .filter(|session| session.desk.device == id)
        {
            older.causes.replaced = true;
        }
        let store = &self.shared.borrow().store;
        let after = match after {
            After::Cursor => None,
            After::LastReceived => self.devices[id].received.last().copied(),
            After::Beginning => Some(MsgId::ZERO),
            After::Below(below) => Some(MsgId(store.last.0.saturating_sub(below))),
            After::Future => Some(MsgId(FUTURE)),
        };
        let facts = Facts {
            device: id,
            manual,
            began_ms: 0,
            cursor: MsgId::ZERO,
            after: MsgId::ZERO,
            published: store.published,
            committed: store.last,
            settings,
        };
        let desk = Desk::new(Rc::clone(&self.shared), settings, id);
        let expires_ms = lifetime_ms.map(|ms| WALL_MS + desk.began_ms + ms);
        *desk.validity.borrow_mut() = expires_ms.map_or(Validity::Forever, Validity::Until);
        let login = Login {
            connection,
            registration,
            outbox,
            after,
            facts,
        };
        let mut session = Session::new(desk, Client::new(wire), login);
        session.causes.expires_ms = expires_ms;
        self.sessions.push(session);
    }

    /// The store finds the cursors of pending logins.
    pub(super) fn begin(&mut self) -> Checked {
        for session in &mut self.sessions {
            let Some(facts) = session.begin() else {
                continue;
            };
            let known = &mut self.devices[facts.device];
            let base = known.base.unwrap_or(facts.cursor);
            known.base = Some(base.min(facts.cursor));
            let had = facts.after.max(session.client.claimed);
            known.waive(facts.device, had, &self.shared);
        }
        Ok(())
    }

    pub(super) fn recheck(&mut self, id: usize, lifetime_ms: Option<u64>) {
        let domain = device(id).mailbox.domain;
        let now_ms = self.now_ms();
        for session in &mut self.sessions {
            let in_domain = device(session.desk.device).mailbox.domain == domain;
            // A revoked token stays revoked.
            if !in_domain || session.causes.replaced || session.causes.revoked {
                continue;
            }
            let expires_ms = lifetime_ms.map(|ms| WALL_MS + now_ms + ms);
            *session.desk.validity.borrow_mut() =
                expires_ms.map_or(Validity::Ended, Validity::Until);
            session.causes.revoked |= expires_ms.is_none();
            session.causes.expires_ms = expires_ms;
        }
        self.hub.recheck(&domain);
    }

    pub(super) fn store_answers(&mut self) -> Checked {
        self.begin()?;
        self.sessions
            .iter()
            .for_each(|session| session.desk.answer());
        Ok(())
    }

    pub(super) fn busy(&mut self, busy: bool) {
        let mut shared = self.shared.borrow_mut();
        shared.busy = busy;
        if !busy {
            shared
                .busy_wakers
                .drain(..)
                .for_each(std::task::Waker::wake);
        }
    }

    pub(super) fn restart(&mut self, lost: u64) -> Checked {
        for session in &mut self.sessions {
            session.kill();
        }
        self.run()?;
        self.hub = hub();
        self.committed.clear();
        self.in_hub = None;
        self.shared.borrow_mut().store.restart(lost);
        Ok(())
    }
}
