//! The step that erases a mailbox.

use super::session::{Outcome, fail};
use super::step::{Device, Pick};
use super::world::World;
use crate::support::encode;
use crate::support::http::Answer;

impl World<'_> {
    /// Erases what a mailbox has below one of its messages, or all. What was on its way might still
    /// come, so that is read before.
    pub async fn erase(&mut self, user: usize, before: Option<Pick>) -> Outcome {
        let devices = self.sessions.keys().filter(|device| device.user == user);
        let devices: Vec<Device> = devices.copied().collect();
        for device in devices {
            self.settle(device).await?;
        }
        let mailbox = self.model.mailbox(user);
        let pick = before.map(|pick| usize::from(pick) % mailbox.len().max(1));
        let before = pick.and_then(|pick| mailbox.get(pick)).map(|m| m.id);
        let upto = before.map_or(self.model.newest(user), |before| before - 1);
        let names = &self.model.names;
        let (domain, to) = (encode(&names.domain), encode(&names.users[user]));
        let mut target = format!("/message-log?domain={domain}&toId={to}");
        if let Some(before) = before {
            target += &format!("&before={before}");
        }
        let stream = self.door.stream(false).await;
        let bearer = format!("Bearer {}", self.token);
        let headers = [("authorization", bearer.as_str())];
        let answer = Answer::of(stream, "DELETE", &target, &headers).await;
        if answer.status != 204 {
            fail!("{target}: {answer:?}");
        }
        self.model.erased(user, upto);
        self.tell(format!("  erased up to {upto}"));
        Ok(())
    }
}
