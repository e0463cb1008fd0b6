//! Steps that confirm, or pretend to.

use super::session::{Outcome, fail};
use super::state::Id;
use super::step::{Device, Forged, Pick, Receipt, Receipts};
use super::world::World;

/// Microseconds that no case takes: an id so far above the newest one is not there yet.
const FAR_AHEAD: Id = 1_000_000_000;

/// What must come of `received`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Taken,
    Refused,
    /// The contract does not say.
    Either,
}

fn nth(ids: &[Id], pick: Pick) -> Option<Id> {
    ids.get(usize::from(pick) % ids.len().max(1)).copied()
}

impl World<'_> {
    /// Says something about what a session was given; if `wait`, until the server has taken it.
    pub async fn receipt(&mut self, device: Device, receipt: Receipt, wait: bool) -> Outcome {
        if matches!(receipt, Receipt::All) {
            self.settle(device).await?;
        }
        let (session, model) = self.parts(device);
        let auto = session.receipts == Receipts::Auto;
        let last = session.given.last().copied();
        let confirmed = match receipt {
            Receipt::All => {
                // Nothing asks for the receipt of what was confirmed before its Ping was due.
                let pong = auto && last > session.confirmed;
                if pong {
                    session.read_last_ping(model).await?;
                }
                last.map(|last| (last, pong))
            }
            Receipt::Latest if auto => session.pings.last().map(|id| (*id, true)),
            Receipt::Earlier(pick) if auto => nth(&session.pings, pick).map(|id| (id, true)),
            Receipt::Latest => return self.forge(device, Forged::Given(0)).await,
            Receipt::Earlier(pick) => return self.forge(device, Forged::Given(pick)).await,
            Receipt::Forged(forged) => return self.forge(device, forged).await,
            Receipt::Received(pick) => nth(&session.given, pick).map(|id| (id, false)),
            Receipt::Stray(pick) => return self.stray(device, device.user, pick, wait).await,
            Receipt::Foreign(pick) => return self.stray(device, 1 - device.user, pick, wait).await,
            Receipt::Ahead => {
                let ahead = self.model.newest(device.user) + FAR_AHEAD;
                return self.received(device, ahead, Wanted::Refused).await;
            }
        };
        if let Some((id, pong)) = confirmed {
            self.tell(format!("  {device:?} confirms {id}"));
            let (session, model) = self.parts(device);
            session.confirm(model, id, pong).await?;
            if wait {
                session.barrier(model).await?;
            }
        }
        Ok(())
    }

    /// A Pong that must move nothing.
    async fn forge(&mut self, device: Device, forged: Forged) -> Outcome {
        let newest = self.model.newest(device.user);
        let (session, model) = self.parts(device);
        let payload = match forged {
            Forged::Empty => Vec::new(),
            Forged::Junk => b"\xff 1".to_vec(),
            Forged::Ahead => (newest + FAR_AHEAD).to_string().into_bytes(),
            Forged::Given(pick) => {
                let id = nth(&session.given, pick);
                // Its Ping would have come before the next delivery.
                let asked = id == session.given.last().copied()
                    || id.is_some_and(|id| session.pings.contains(&id));
                if asked && session.receipts == Receipts::Auto {
                    return Ok(());
                }
                id.unwrap_or_default().to_string().into_bytes()
            }
        };
        session.pong(&payload).await?;
        session.barrier(model).await
    }

    /// `received` of any message of this mailbox, the session's own or another.
    async fn stray(&mut self, device: Device, mailbox: usize, pick: Pick, wait: bool) -> Outcome {
        let all: Vec<_> = self.model.mailbox(mailbox).iter().map(|m| m.id).collect();
        let Some(id) = nth(&all, pick) else {
            return Ok(());
        };
        let session = &self.sessions[&device];
        let Some(track) = &session.track else {
            fail!("{device:?} has no login");
        };
        let wanted = match self.model.is_for(device, id) {
            true if session.given.contains(&id) || track.is_awaited(id) => Wanted::Taken,
            true if self.model.is_confirmed(device, id) => Wanted::Taken,
            // It may be a message of another mailbox, which lies above all of this one.
            _ if track.was_named(id) => Wanted::Either,
            false if track.is_after_start(id) && self.model.lacks_before(device, id) => {
                Wanted::Refused
            }
            _ => Wanted::Either,
        };
        if wanted == Wanted::Taken && !wait {
            self.tell(format!("  {device:?} sends received {id}"));
            let (session, model) = self.parts(device);
            return session.confirm(model, id, false).await;
        }
        self.received(device, id, wanted).await
    }

    /// `received` with an id that is perhaps none of this session.
    async fn received(&mut self, device: Device, id: Id, wanted: Wanted) -> Outcome {
        self.tell(format!("  {device:?} sends received {id}: {wanted:?}"));
        let (session, model) = self.parts(device);
        let counts = model.is_for(device, id)
            && session
                .track
                .as_ref()
                .is_some_and(|track| track.is_after_start(id));
        session.received(id).await?;
        // A receipt for what a session has yet to catch up with is answered when it has.
        self.send_meanwhile(device.user, 1).await?;
        self.read_due(device).await?;
        let (session, model) = self.parts(device);
        session.handled().await?;
        match session.take_error()? {
            Some(error) => {
                let fields = (&error["error"]["code"], &error["error"]["field"]);
                if wanted == Wanted::Taken
                    || fields != (&"invalid_field".into(), &"received".into())
                {
                    fail!("received {id} of {device:?}, {wanted:?}: {error}");
                }
            }
            None if wanted == Wanted::Refused => {
                fail!("received {id} of {device:?} is not refused");
            }
            None => session.was_received(model, id, counts),
        }
        session.barrier(model).await
    }
}
