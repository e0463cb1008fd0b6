//! The most recently ended sessions, for an operator who asks why a user was away.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};

use super::arrival::Arrival;
use crate::model::{Device, Mailbox};

/// Most ended sessions that are remembered: a few megabytes.
const ENDED_MAX: usize = 20_000;

/// Most of these per user, so that a user who keeps reconnecting pushes out nobody else.
const ENDED_PER_USER_MAX: usize = 200;

/// An ended session, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSession {
    /// User and device of the session.
    pub device: Device,
    /// Login time and address.
    pub arrival: Arrival,
    /// Time of the end in milliseconds since the Unix epoch.
    pub ended_at_ms: u64,
    /// The close code; 1006 if there was none.
    pub code: u16,
    /// The side that ended it: `server` or `client`.
    pub by: &'static str,
    /// The reason, as a sentence.
    pub reason: Cow<'static, str>,
}

/// The most recently ended sessions since the server started.
#[derive(Debug, Default)]
pub(super) struct EndedSessions {
    next: u64,
    by_number: BTreeMap<u64, EndedSession>,
    of_user: HashMap<Mailbox, VecDeque<u64>>,
}

impl EndedSessions {
    pub(super) fn push(&mut self, session: EndedSession) {
        let mailbox = session.device.mailbox.clone();
        let of_user = self.of_user.entry(mailbox).or_default();
        of_user.push_back(self.next);
        let is_full = of_user.len() > ENDED_PER_USER_MAX;
        let oldest = is_full.then(|| of_user.pop_front()).flatten();
        self.by_number.insert(self.next, session);
        self.next += 1;
        if let Some(oldest) = oldest {
            self.by_number.remove(&oldest);
        }
        if self.by_number.len() > ENDED_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, session)) = self.by_number.pop_first() else {
            return;
        };
        let mailbox = session.device.mailbox;
        if let Some(of_user) = self.of_user.get_mut(&mailbox) {
            // The overall oldest is the user's oldest, too.
            of_user.pop_front();
            if of_user.is_empty() {
                self.of_user.remove(&mailbox);
            }
        }
    }

    /// Oldest first.
    pub(super) fn list(&self, is_wanted: impl Fn(&Mailbox) -> bool) -> Vec<EndedSession> {
        let all = self.by_number.values();
        let wanted = all.filter(|session| is_wanted(&session.device.mailbox));
        wanted.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::{Domain, Resource, UserId};

    fn end(user: &str, at_ms: u64) -> EndedSession {
        EndedSession {
            device: Device {
                mailbox: Mailbox {
                    domain: Domain::parse("demo").expect("valid"),
                    user: UserId::parse(user).expect("valid"),
                },
                resource: Resource::parse("web").expect("valid"),
            },
            arrival: Arrival {
                at_ms,
                from: Ipv4Addr::LOCALHOST.into(),
            },
            ended_at_ms: at_ms,
            code: 1000,
            by: "client",
            reason: "".into(),
        }
    }

    fn times(ended: &[EndedSession]) -> (usize, Option<u64>, Option<u64>) {
        let at_ms = |session: &EndedSession| session.ended_at_ms;
        (
            ended.len(),
            ended.first().map(at_ms),
            ended.last().map(at_ms),
        )
    }

    #[test]
    fn the_oldest_makes_room_and_of_one_user_first_his_own() {
        let mut ended = EndedSessions::default();
        ended.push(end("quiet", 0));
        let many = ENDED_MAX as u64 + 1000;
        for at_ms in 1..many {
            ended.push(end("busy", at_ms));
        }
        let (all, per_user) = (ended.list(|_| true), ENDED_PER_USER_MAX);
        assert_eq!(times(&all), (1 + per_user, Some(0), Some(many - 1)));

        for at_ms in 0..ENDED_MAX as u64 {
            ended.push(end(&format!("u{at_ms}"), many + at_ms));
        }
        let last = many + ENDED_MAX as u64 - 1;
        let all = times(&ended.list(|_| true));
        assert_eq!(all, (ENDED_MAX, Some(many), Some(last)));
        let one = ended.list(|mailbox| mailbox.user.as_str() == "u1");
        assert_eq!(times(&one), (1, Some(many + 1), Some(many + 1)));
        assert_eq!(ended.of_user.len(), ENDED_MAX, "nobody else is remembered");
    }
}
