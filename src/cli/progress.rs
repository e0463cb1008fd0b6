//! Progress bar on standard error, if that is a terminal.

use std::time::{Duration, UNIX_EPOCH};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::model::MsgId;

/// Tick interval of the spinner.
const TICK: Duration = Duration::from_millis(120);

/// A bar that disappears on drop.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn of_bytes(what: &'static str) -> Self {
        Self::new(
            what,
            "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        )
    }

    /// A spinner for work of unknown length.
    pub(super) fn open_end(what: &'static str) -> Self {
        let bar = Self::new(what, "{spinner} {msg} {elapsed}");
        bar.0.enable_steady_tick(TICK);
        bar
    }

    fn new(what: &'static str, template: &str) -> Self {
        let style = ProgressStyle::with_template(template);
        let bar = ProgressBar::new(0).with_message(what);
        bar.set_style(style.expect("the templates are right"));
        Self(bar)
    }

    pub(super) fn set(&self, done: u64, all: u64) {
        self.0.set_length(all);
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Formats a number for people.
pub(super) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A number with a noun, such as `1 segment` or `2 segments`.
pub(super) fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", count(number))
}

/// Formats a size for people.
pub(super) fn bytes(number: u64) -> String {
    HumanBytes(number).to_string()
}

/// A duration in whole seconds.
pub(super) fn duration(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

/// A time in milliseconds since the Unix epoch, in whole seconds.
pub(super) fn second(ms: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(ms);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The time at which a message was sent.
pub(super) fn time(id: MsgId) -> String {
    let time = UNIX_EPOCH + Duration::from_micros(id.0);
    humantime::format_rfc3339_millis(time).to_string()
}

/// Number of messages, and the time of the newest.
pub(super) fn messages(number: u64, newest: MsgId) -> String {
    match number {
        0 => "no messages".to_owned(),
        _ => format!(
            "{}, the newest of {}",
            counted(number, "message"),
            time(newest)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        let newest = MsgId(1_764_000_000_123_456);
        assert_eq!(
            messages(1_234_567, newest),
            "1,234,567 messages, the newest of 2025-11-24T16:00:00.123Z"
        );
        assert_eq!(messages(0, MsgId::ZERO), "no messages");
        assert_eq!(counted(1, "segment"), "1 segment");
        assert_eq!(bytes(5 << 20), "5.00 MiB");
        drop((Bar::of_bytes("x"), Bar::open_end("y")));
    }
}
