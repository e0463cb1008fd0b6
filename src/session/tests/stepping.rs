//! Carries out the steps of a case.

use super::case::Checked;
use super::client::Amount;
use super::session::Session;
use super::steps::{Receipt, Step};
use super::world::World;
use crate::protocol::close::CloseReason;

impl World {
    pub(super) fn step(&mut self, step: &Step, runs: bool) -> Checked {
        match *step {
            Step::Login {
                device,
                manual,
                after,
                lifetime_ms,
                racing,
                claiming,
                late,
            } => {
                if racing {
                    self.race(device)?;
                }
                self.login(device, manual, after, lifetime_ms);
                if claiming {
                    self.received(device, Receipt::LastEver);
                }
                if !late {
                    self.begin()?;
                }
            }
            Step::Commit {
                mailbox,
                only,
                count,
                bytes,
                reach,
            } => {
                self.commit(mailbox, only, count, bytes, reach);
            }
            Step::Publish => self.publish(),
            Step::Erase { mailbox, kept } => self.erase(mailbox, kept),
            Step::Read { device, bytes } => self.read(device, Amount::Bytes(bytes))?,
            Step::Take {
                device,
                count,
                work_ms,
            } => self.take(device, count, work_ms)?,
            Step::Honest { device } => self.honest(device)?,
            Step::Pong { device, which } => self.pong(device, which),
            Step::Received { device, which } => self.received(device, which),
            Step::Pass { ms } => self.pass(ms)?,
            Step::Recheck {
                device,
                lifetime_ms,
            } => self.recheck(device, lifetime_ms),
            Step::StoreLooks => self.sessions.iter().for_each(|session| session.desk.look()),
            Step::StoreAnswers => self.store_answers()?,
            Step::Busy(busy) => self.busy(busy),
            Step::Persist => self.shared.borrow_mut().store.persist(),
            Step::Restart { lost } => self.restart(lost)?,
            Step::Stop => {
                self.hub.close_all(&CloseReason::ShuttingDown);
                self.sessions
                    .iter_mut()
                    .for_each(|session| session.causes.stopped = true);
            }
            Step::Stall { device, .. }
            | Step::Say { device }
            | Step::Cut { device, .. }
            | Step::CutAfter { device, .. }
            | Step::Close { device, .. }
            | Step::StoreFails { device } => {
                if let Some(session) = self.session(device) {
                    disturb(session, step);
                }
            }
        }
        if runs { self.run() } else { Ok(()) }
    }
}

/// A disturbance of one session.
fn disturb(session: &mut Session, step: &Step) {
    let client = &mut session.client;
    match *step {
        Step::Stall { on, .. } => client.wire.stall(on),
        Step::Say { .. } => client.text("ping"),
        Step::Cut {
            to_server,
            to_client,
            ..
        } => client.wire.cut(to_server, to_client),
        Step::CutAfter { bytes, .. } => client.wire.cut_after(bytes),
        Step::Close { code, .. } => {
            client.close(code);
            session.causes.closed_by_client.get_or_insert(code);
        }
        Step::StoreFails { .. } => session.causes.read_failed |= session.desk.fail(),
        _ => {}
    }
}
