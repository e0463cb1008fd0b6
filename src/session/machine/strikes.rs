//! Abuse by a client: sends above its rate, and requests that cost an answer or work but store
//! nothing. A few are answered and forgotten; a session that keeps going is ended.

use std::time::Duration;

use crate::protocol::close::CloseReason;
use crate::protocol::error_code::ErrorCode;

/// Period over which strikes are counted.
const PERIOD: Duration = Duration::from_secs(60);
/// Most sends above the rate per period.
const LIMITED_MAX: u32 = 100;
/// Most requests per period: bad frames, repeats, pings, and unsolicited answers.
const REQUESTS_MAX: u32 = 6000;
/// Most deliveries that an earlier session left without a receipt; a returning device has yet to
/// confirm those it has processed.
const DELIVERED_BEFORE: u32 = 8192;

/// Recent strikes of one session.
#[derive(Debug)]
pub(super) struct Strikes {
    since: Duration,
    limited: u32,
    requests: u32,
    /// Pings sent, and deliveries: as many Pongs and receipts are not counted as requests.
    pongs_due: u32,
    receipts_due: u32,
}

impl Strikes {
    pub(super) fn new() -> Self {
        Self {
            since: Duration::ZERO,
            limited: 0,
            requests: 0,
            pongs_due: 0,
            receipts_due: DELIVERED_BEFORE,
        }
    }

    /// A frame was refused with this code.
    pub(super) fn refused(&mut self, code: ErrorCode, elapsed: Duration) {
        self.turn(elapsed);
        match code {
            ErrorCode::RateLimited => self.limited = self.limited.saturating_add(1),
            code if code.is_own_fault() => self.requested(1, elapsed),
            _ => {}
        }
    }

    /// Counts Pings, `ping` texts or repeats of sends.
    pub(super) fn requested(&mut self, times: u32, elapsed: Duration) {
        self.turn(elapsed);
        self.requests = self.requests.saturating_add(times);
    }

    pub(super) fn pinged(&mut self) {
        self.pongs_due = self.pongs_due.saturating_add(1);
    }

    /// A Pong counts as a request unless it answers a Ping.
    pub(super) fn pong(&mut self, elapsed: Duration) {
        match self.pongs_due.checked_sub(1) {
            Some(due) => self.pongs_due = due,
            None => self.requested(1, elapsed),
        }
    }

    pub(super) fn delivered(&mut self) {
        self.receipts_due = self.receipts_due.saturating_add(1);
    }

    /// A receipt counts as a request once there are more of them than deliveries.
    pub(super) fn receipt(&mut self, elapsed: Duration) {
        match self.receipts_due.checked_sub(1) {
            Some(due) => self.receipts_due = due,
            None => self.requested(1, elapsed),
        }
    }

    /// Why the session must end, if so.
    pub(super) fn verdict(&self) -> Option<CloseReason> {
        let sentence = if self.limited > LIMITED_MAX {
            "sends stay above the rate"
        } else if self.requests > REQUESTS_MAX {
            "too many bad frames, repeats, pings, or Pongs and receipts that nothing asked for"
        } else {
            return None;
        };
        Some(CloseReason::OverLimit {
            sentence: sentence.into(),
            retry_ms: PERIOD.as_millis() as u64,
        })
    }

    fn turn(&mut self, elapsed: Duration) {
        if elapsed >= self.since + PERIOD {
            (self.since, self.limited, self.requests) = (elapsed, 0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Act = fn(&mut Strikes, Duration);

    const ALL: [(Act, u32); 5] = [
        (
            |strikes, at| strikes.refused(ErrorCode::RateLimited, at),
            LIMITED_MAX,
        ),
        (
            |strikes, at| strikes.refused(ErrorCode::InvalidJson, at),
            REQUESTS_MAX,
        ),
        (|strikes, at| strikes.requested(1, at), REQUESTS_MAX),
        (Strikes::pong, REQUESTS_MAX),
        (Strikes::receipt, REQUESTS_MAX),
    ];

    #[test]
    fn only_who_goes_on_is_ended() {
        for (number, (act, max)) in ALL.into_iter().enumerate() {
            let mut strikes = Strikes::new();
            (0..DELIVERED_BEFORE).for_each(|_| strikes.receipt(Duration::ZERO));
            for second in 0..10_000 {
                act(&mut strikes, Duration::from_secs(second));
                assert_eq!(strikes.verdict(), None, "{number}: one a second");
            }
            let at = Duration::from_secs(20_000);
            for _ in 0..max {
                act(&mut strikes, at);
                assert_eq!(strikes.verdict(), None, "{number}");
            }
            act(&mut strikes, at);
            assert!(strikes.verdict().is_some(), "{number}");
        }
    }

    #[test]
    fn what_answers_the_server_is_no_request() {
        let mut strikes = Strikes::new();
        for _ in 0..10 * REQUESTS_MAX {
            strikes.pinged();
            strikes.delivered();
        }
        for _ in 0..10 * REQUESTS_MAX {
            strikes.pong(Duration::ZERO);
            strikes.receipt(Duration::ZERO);
        }
        (0..DELIVERED_BEFORE).for_each(|_| strikes.receipt(Duration::ZERO));
        assert_eq!(strikes.verdict(), None);
    }
}
