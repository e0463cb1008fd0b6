//! Whether and when to reconnect (PROTOCOL.md section 2, "close codes").

use std::time::Duration;

use crate::auth::random_key;
use crate::client::connection::{Ended, OpenError};
use crate::net::client::ConnectError;

/// The shortest first pause is half of this.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// Longest pause, unless the server asks for more.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Longest pause that a server may ask for.
const SUGGESTED_MAX: Duration = Duration::from_secs(3600);
/// Prefix of a reason in which the server suggests a wait.
const SUGGESTION: &str = "retry in ";

/// Whether an ended session is worth a reconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same parameters would fail again.
    Stop,
    /// Reconnect after a pause.
    Again {
        /// Lower bound of the pause, if the server suggested one.
        wait: Option<Duration>,
    },
}

const AGAIN: Verdict = Verdict::Again { wait: None };

impl Ended {
    /// The verdict on this ending.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Closed {
                code: 4400..=4499, ..
            } => Verdict::Stop,
            Self::Closed { reason, .. } => Verdict::Again {
                wait: suggested_wait(reason),
            },
            Self::Lost(_) | Self::Silent => AGAIN,
        }
    }

    /// Whether the last frame sent was the cause: it must not be sent again, while the login may.
    pub fn is_for_a_frame(&self) -> bool {
        let codes = [1002, 1003, 1007, 1009];
        matches!(self, Self::Closed { code, .. } if codes.contains(code))
    }
}

impl OpenError {
    /// The verdict for a client that was never connected: a flaw of names, certificates or addresses persists.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Connect(ConnectError::Unreachable { .. })
            | Self::Slow
            | Self::Lost(_)
            | Self::Handshake => AGAIN,
            // Too early, too many, or a proxy whose server is down.
            Self::Refused {
                status: 408 | 425 | 429 | 500..,
            } => AGAIN,
            Self::Connect(_) | Self::Refused { .. } | Self::Unwritable => Verdict::Stop,
        }
    }
}

/// The pause in a reason such as `retry in 250 ms`.
fn suggested_wait(reason: &str) -> Option<Duration> {
    let rest = reason.strip_prefix(SUGGESTION)?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (digits, unit) = rest.split_at(digits);
    let unit = unit.trim_start();
    let ms = digits.parse().ok().filter(|_| unit.starts_with("ms"))?;
    Some(Duration::from_millis(ms).min(SUGGESTED_MAX))
}

/// Exponential pauses, jittered so that a crowd does not reconnect at once.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause; never shorter than the server suggested.
    pub fn pause(&mut self, wait: Option<Duration>) -> Duration {
        let most = PAUSE_FIRST * 2u32.pow(self.failures.min(6));
        let half = most.min(PAUSE_MAX) / 2;
        self.failures = self.failures.saturating_add(1);
        wait.unwrap_or(half) + half.mul_f64(random_fraction())
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random number from 0 to 1.
fn random_fraction() -> f64 {
    let [a, b, c, d, ..] = random_key();
    f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: u16, reason: &str) -> Verdict {
        let reason = reason.to_owned();
        Ended::Closed { code, reason }.verdict()
    }

    #[test]
    fn close_codes_say_whether_to_come_back() {
        for code in [4400, 4401, 4403, 4409, 4410, 4499] {
            assert_eq!(closed(code, "retry in 5 ms"), Verdict::Stop, "{code}");
        }
        for code in [1000, 1001, 1009, 1011, 1012, 1013, 4399, 4500, 4529, 4599] {
            assert_eq!(closed(code, ""), AGAIN, "{code}");
        }
        for (code, for_a_frame) in [
            (1001, false),
            (1002, true),
            (1003, true),
            (1005, false),
            (1007, true),
            (1009, true),
            (1011, false),
            (4400, false),
        ] {
            let reason = String::new();
            let ended = Ended::Closed { code, reason };
            assert_eq!(ended.is_for_a_frame(), for_a_frame, "{code}");
        }
        assert!(!Ended::Silent.is_for_a_frame());
    }

    #[test]
    fn the_server_s_pause_counts() {
        let ms = |ms| Verdict::Again {
            wait: Some(Duration::from_millis(ms)),
        };
        assert_eq!(closed(4529, "retry in 1500 ms: above the rate"), ms(1500));
        assert_eq!(closed(1013, "retry in 7ms"), ms(7));
        assert_eq!(closed(1013, "retry in 99999999999 ms"), ms(3_600_000));
        for other in ["retry in 5 s", "retry in ms", "retry soon", "busy"] {
            assert_eq!(closed(1013, other), AGAIN, "{other}");
        }
        let told = Duration::from_secs(60);
        assert!(Backoff::default().pause(Some(told)) >= told);
    }

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        for most_ms in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let most = Duration::from_millis(most_ms);
            let pause = backoff.pause(None);
            assert!(pause >= most / 2 && pause <= most, "{pause:?} of {most:?}");
        }
        backoff.reset();
        assert!(backoff.pause(None) <= PAUSE_FIRST);
    }

    #[test]
    fn what_stays_wrong_is_not_tried_again() {
        let refused = |status| OpenError::Refused { status }.verdict();
        for status in [400, 401, 404, 426] {
            assert_eq!(refused(status), Verdict::Stop, "{status}");
        }
        for status in [429, 502, 503] {
            assert_eq!(refused(status), AGAIN, "{status}");
        }
        let host = "a".to_owned();
        let untrusted = OpenError::Connect(ConnectError::Untrusted { host });
        assert_eq!(untrusted.verdict(), Verdict::Stop);
    }
}
