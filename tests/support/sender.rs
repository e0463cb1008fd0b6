//! A sender of a fleet: sends numbered messages and tries each again, on as many connections as
//! it takes, until it is acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::Login;
use super::checker::Sent;
use super::link::{Dialer, Heard, Link};
use super::random::Random;
use super::wire::{self, Ack};

const WINDOW_MAX: usize = 12;
const PATIENCE: Duration = Duration::from_millis(1500);
const LIFE_MS_MAX: usize = 3000;

/// To whom and how much a sender sends.
#[derive(Clone)]
pub struct Task {
    pub name: String,
    pub users: Vec<String>,
    /// Resources that may be written to alone.
    pub resources: Vec<(String, String)>,
    /// Sends at most so many,
    pub sends: usize,
    /// so long after one another at most,
    pub pace_ms_max: usize,
    /// of a hundred so many large ones,
    pub large: usize,
    /// and no new ones once this is set.
    pub stop: Arc<AtomicBool>,
}

/// A sender and what it remembers, connections apart.
pub struct Sender {
    task: Task,
    dialer: Dialer,
    random: Random,
    login: Login,
    from: String,
    sent: Vec<Sent>,
    /// Those not yet acknowledged, oldest first: their number and frame.
    waiting: VecDeque<(usize, String)>,
    wrong: Vec<String>,
}

impl Sender {
    pub fn new(task: Task, dialer: Dialer, random: Random) -> Self {
        Self {
            login: Login::new(&task.name),
            from: format!("{}/web", task.name),
            task,
            dialer,
            random,
            sent: Vec::new(),
            waiting: VecDeque::new(),
            wrong: Vec::new(),
        }
    }

    /// Sends until all is acknowledged: what it sent, and what it met that should not be.
    pub async fn run(mut self) -> (Vec<Sent>, Vec<String>) {
        while !self.waiting.is_empty() || self.has_more() {
            let encrypted = self.random.once_in(2);
            match self.dialer.dial(&self.login, encrypted, PATIENCE).await {
                Ok(link) => self.connection(link).await,
                Err(heard) => self.note(heard),
            }
            sleep(self.random.millis(50)).await;
        }
        (self.sent, self.wrong)
    }

    fn has_more(&self) -> bool {
        self.sent.len() < self.task.sends && !self.task.stop.load(Ordering::Relaxed)
    }

    fn note(&mut self, heard: Heard) {
        if let Heard::Wrong(what) = heard {
            self.wrong.push(format!("{}: {what}", self.task.name));
        }
    }

    async fn connection(&mut self, mut link: Link) {
        // What is in doubt first, in its order.
        for at in 0..self.waiting.len() {
            let (number, frame) = &self.waiting[at];
            self.sent[*number].attempts += 1;
            if !link.send(frame).await {
                return;
            }
        }
        let leave_at = Instant::now() + self.random.millis(LIFE_MS_MAX);
        let mut heard_at = Instant::now();
        let mut next_at = heard_at;
        while !self.waiting.is_empty() || self.has_more() {
            let may_send = self.has_more() && self.waiting.len() < WINDOW_MAX;
            let give_up_at = (heard_at + PATIENCE).min(leave_at);
            tokio::select! {
                heard = link.next() => {
                    heard_at = Instant::now();
                    let Heard::Text(text) = heard else {
                        if matches!(heard, Heard::Ping(_)) {
                            continue;
                        }
                        return self.note(heard);
                    };
                    match wire::answer(&text) {
                        Ok(Some(ack)) => self.acknowledged(ack),
                        // Refused for now: again, on another connection.
                        Ok(None) => return,
                        Err(what) => return self.note(Heard::Wrong(what)),
                    }
                }
                () = sleep_until(next_at.min(give_up_at)), if may_send => {
                    if Instant::now() >= give_up_at || !self.send_next(&mut link).await {
                        return;
                    }
                    next_at = Instant::now() + self.random.millis(self.task.pace_ms_max);
                }
                () = sleep_until(give_up_at), if !may_send => return,
            }
        }
        link.close().await;
    }

    async fn send_next(&mut self, link: &mut Link) -> bool {
        let number = self.sent.len();
        let key = format!("{}-{number}", self.task.name);
        let content = wire::content(&key, self.task.large, &mut self.random);
        let (to, to_resource) = self.recipients();
        let named = match &to[..] {
            // An array of one is answered as an array, too.
            [one] if !self.random.once_in(20) => json!(one),
            many => json!(many),
        };
        let resource = to_resource.as_ref().map_or(Value::Null, |one| json!(one));
        // Written by hand, so that the content's text stays as it is.
        let frame = format!(
            r#"{{"toId":{named},"toResource":{resource},"type":10,"content":{content},"clientMsgId":"{key}"}}"#
        );
        self.sent.push(Sent {
            key,
            from: self.from.clone(),
            to,
            to_resource,
            content: wire::hash(&content),
            attempts: 1,
            ids: None,
        });
        self.waiting.push_back((number, frame.clone()));
        link.send(&frame).await && (!self.random.once_in(30) || self.repeat(link).await)
    }

    /// Sends one again that may be acknowledged already, with another content: the first stands.
    async fn repeat(&mut self, link: &mut Link) -> bool {
        let number = self.random.below(self.sent.len());
        let sent = &mut self.sent[number];
        if sent.ids.is_none() {
            return true;
        }
        let (to, key) = (json!(sent.to), &sent.key);
        let content = json!({"key": key, "again": true});
        let frame =
            format!(r#"{{"toId":{to},"type":10,"content":{content},"clientMsgId":"{key}"}}"#);
        link.send(&frame).await
    }

    fn recipients(&mut self) -> (Vec<String>, Option<String>) {
        let random = &mut self.random;
        if random.once_in(10) {
            let (user, resource) = &self.task.resources[random.below(self.task.resources.len())];
            return (vec![user.clone()], Some(resource.clone()));
        }
        let users = &self.task.users;
        let first = random.below(users.len());
        let count = if random.once_in(8) { 3 } else { 1 };
        let to = (0..count.min(users.len())).map(|n| users[(first + n) % users.len()].clone());
        (to.collect(), None)
    }

    fn acknowledged(&mut self, ack: Ack) {
        let known = self.sent.iter_mut().rev().find(|sent| sent.key == ack.key);
        let Some(sent) = known.filter(|sent| sent.to.len() == ack.ids.len()) else {
            return self.note(Heard::Wrong(format!("nobody sent that: {ack:?}")));
        };
        match &sent.ids {
            None if ack.duplicate && sent.attempts == 1 => {
                self.note(Heard::Wrong(format!("sent once only: {ack:?}")));
            }
            None => {
                sent.ids = Some(ack.ids);
                let sent = &self.sent;
                self.waiting
                    .retain(|(number, _)| sent[*number].ids.is_none());
            }
            Some(ids) if *ids == ack.ids && ack.duplicate => {}
            Some(ids) => {
                let what = format!("acknowledged with {ids:?} before: {ack:?}");
                self.note(Heard::Wrong(what));
            }
        }
    }
}
