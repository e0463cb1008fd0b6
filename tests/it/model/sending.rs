//! Steps that send: what is acknowledged is in the model's list, under the ids that were told.

use serde_json::{Value, json};

use super::session::{Outcome, fail};
use super::state::{Id, Message, Presence};
use super::step::{Device, Pick, Recipients, STRANGER, To};
use super::world::{PLAIN, World};
use proptest::test_runner::TestCaseError;

/// A send, which is repeated until it is acknowledged.
#[derive(Debug, Clone)]
pub struct Sent {
    key: String,
    from: Device,
    to: To,
    kind: u32,
    content: Value,
    to_nobody: Vec<Option<bool>>,
    /// As acknowledged.
    ids: Vec<Id>,
}

impl Sent {
    fn text(&self, names: &[String]) -> String {
        let mut frame = json!({
            "type": self.kind,
            "content": self.content,
            "clientMsgId": self.key,
        });
        let users = self.to.users.users();
        frame["toId"] = match self.to.users {
            Recipients::One(user) => json!(names[user]),
            _ => users.iter().map(|user| json!(names[*user])).collect(),
        };
        if let Some(resource) = self.to.resource {
            frame["toResource"] = json!(super::state::Names::resource(resource));
        }
        frame.to_string()
    }

    /// Who was online when it is stored is not known.
    pub fn forget_presence(&mut self) {
        self.to_nobody.fill(None);
    }

    /// The ids of an acknowledgement, and whether it says that it was a repeat.
    fn read_ack(&self, ack: &Value) -> Outcome<(Vec<Id>, bool)> {
        let ids = match self.to.users {
            Recipients::One(_) => json!([ack["msgId"]]),
            _ => ack["msgIds"].clone(),
        };
        let ids: Vec<Id> = serde_json::from_value(ids).unwrap_or_default();
        let Some(duplicate) = ack["duplicate"].as_bool() else {
            fail!("no `duplicate`: {ack}");
        };
        let complete = ids.len() == self.to.users.users().len();
        if !complete || ack["sendAt"] != ids[0] / 1000 {
            fail!("an acknowledgement that is wrong: {ack}");
        }
        Ok((ids, duplicate))
    }
}

impl World<'_> {
    /// Drafts of these sizes.
    pub fn drafts(&mut self, from: Device, to: To, sizes: &[u16]) -> Vec<Sent> {
        let draft = |size: &u16| {
            self.numbers += 1;
            let number = self.numbers;
            let is_offline = |user: usize| self.model.is_offline(user);
            Sent {
                key: format!("c-{number}"),
                from,
                to,
                kind: [10, 20, 30, 40][sizes.len() % 4],
                content: json!({"n": number, "padding": "x".repeat(usize::from(*size))}),
                to_nobody: to.users.users().into_iter().map(is_offline).collect(),
                ids: Vec::new(),
            }
        };
        sizes.iter().map(draft).collect()
    }

    pub fn texts(&self, drafts: &[Sent]) -> Vec<String> {
        let names = &self.model.names.users;
        drafts.iter().map(|draft| draft.text(names)).collect()
    }

    /// Sends at once, and waits for all acknowledgements.
    pub async fn send(&mut self, sender: Device, to: To, sizes: &[u16]) -> Outcome {
        let drafts = self.drafts(sender, to, sizes);
        self.carry_out(drafts, false).await
    }

    /// Has the drafts acknowledged, by their sender's session; `doubtful` ones are perhaps stored.
    pub async fn carry_out(&mut self, drafts: Vec<Sent>, doubtful: bool) -> Outcome {
        let Some(sender) = drafts.first().map(|draft| draft.from) else {
            return Ok(());
        };
        if !self.sessions.contains_key(&sender) {
            // Logging in sends nothing: this ends.
            Box::pin(self.connect(sender, PLAIN)).await?;
        }
        let texts = self.texts(&drafts);
        self.session(sender).write_texts(&texts).await?;
        for mut draft in drafts {
            let ack = self.session(sender).ack(&draft.key).await?;
            let (ids, duplicate) = draft.read_ack(&ack)?;
            if duplicate && !doubtful {
                fail!("never sent before: {ack}");
            }
            draft.ids = ids;
            self.stored(&draft)?;
            self.sent.push(draft);
        }
        Ok(())
    }

    fn stored(&mut self, sent: &Sent) -> Outcome {
        let users = sent.to.users.users();
        for ((to, id), to_nobody) in users.into_iter().zip(&sent.ids).zip(&sent.to_nobody) {
            let stored = self.model.stored(Message {
                id: *id,
                to,
                resource: sent.to.resource,
                from: sent.from,
                kind: sent.kind,
                content: sent.content.clone(),
                to_nobody: *to_nobody,
            });
            stored.map_err(TestCaseError::fail)?;
        }
        Ok(())
    }

    /// The stranger sends this many messages to a user.
    pub async fn send_meanwhile(&mut self, user: usize, count: usize) -> Outcome {
        let to = To {
            users: Recipients::One(user),
            resource: None,
        };
        self.send(STRANGER, to, &vec![20; count]).await
    }

    /// Sends, is cut off before it knows what became of it, comes back and sends again.
    pub async fn interrupted(&mut self, sender: Device, to: To, sizes: &[u16]) -> Outcome {
        let mut drafts = self.drafts(sender, to, sizes);
        let texts = self.texts(&drafts);
        let mut session = self.sessions.remove(&sender).expect("it was picked");
        session.write_texts(&texts).await?;
        drop(session);
        self.model.set_presence(sender, Presence::Unclear);
        self.connect(sender, PLAIN).await?;
        for draft in &mut drafts {
            for (user, to_nobody) in to.users.users().into_iter().zip(&mut draft.to_nobody) {
                if user == sender.user {
                    *to_nobody = None;
                }
            }
        }
        self.carry_out(drafts, true).await?;
        let (session, model) = self.parts(sender);
        session.perhaps_began_now(model);
        Ok(())
    }

    /// Something is sent again, from any device of its sender: nothing new is stored, and the
    /// acknowledgement tells the same ids.
    pub async fn retry(&mut self, pick: Pick, altered: bool) -> Outcome {
        let Some(sent) = self.sent.get(usize::from(pick) % self.sent.len().max(1)) else {
            return Ok(());
        };
        let mut again = sent.clone();
        if altered {
            again.content = json!("the first one stands");
        }
        let user = again.from.user;
        let there = self.sessions.keys().find(|device| device.user == user);
        let device = there.copied().unwrap_or(again.from);
        if there.is_none() {
            self.connect(device, PLAIN).await?;
        }
        let text = self.texts(std::slice::from_ref(&again));
        self.session(device).write_texts(&text).await?;
        let ack = self.session(device).ack(&again.key).await?;
        let (ids, duplicate) = again.read_ack(&ack)?;
        if !duplicate || ids != again.ids {
            fail!("{again:?} was sent again: {ack}");
        }
        Ok(())
    }
}
