//! The sessions that ended last, for the operator who asks why a user was away.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::Arrival;
use crate::model::{Device, Mailbox};

/// Most ends that are remembered: a few megabytes.
const ENDED_MAX: usize = 20_000;

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSession {
    /// Whose it was.
    pub device: Device,
    /// When and from where it came.
    pub arrival: Arrival,
    /// Milliseconds since the Unix epoch at which it ended.
    pub ended_at_ms: u64,
    /// The close code; 1006 where there was none.
    pub code: u16,
    /// Who ended it: `server` or `client`.
    pub by: &'static str,
    /// Why, as a sentence.
    pub reason: Cow<'static, str>,
}

/// The last ends since the server's start, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Ended(Mutex<VecDeque<EndedSession>>);

impl Ended {
    pub(super) fn push(&self, session: EndedSession) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.len() >= ENDED_MAX {
            ended.pop_front();
        }
        ended.push_back(session);
    }

    pub(super) fn list(&self, is_wanted: impl Fn(&Mailbox) -> bool) -> Vec<EndedSession> {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = ended
            .iter()
            .filter(|session| is_wanted(&session.device.mailbox));
        wanted.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::{Domain, Resource, UserId};

    #[test]
    fn the_oldest_makes_room() {
        let ended = Ended::default();
        let count = ENDED_MAX as u64 + 3;
        for at_ms in 0..count {
            ended.push(EndedSession {
                device: Device {
                    mailbox: Mailbox {
                        domain: Domain::parse("demo").expect("valid"),
                        user: UserId::parse(&format!("u{}", at_ms % 2)).expect("valid"),
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
            });
        }
        let times = |ended: Vec<EndedSession>| {
            let mut times = ended.iter().map(|session| session.ended_at_ms);
            (times.len(), times.next(), times.next_back())
        };
        let all = times(ended.list(|_| true));
        assert_eq!(all, (ENDED_MAX, Some(3), Some(count - 1)));
        let one = times(ended.list(|mailbox| mailbox.user.as_str() == "u1"));
        assert_eq!(one, (ENDED_MAX / 2, Some(3), Some(count - 2)));
    }
}
