//! Prints messages to standard output on a thread of its own: a reader that has stopped reading
//! holds up neither signals nor the connection.
//!
//! Never lets a message's characters reach a terminal if they would move its cursor or reorder its
//! rows. Invariants: the queue is bounded; a message is reported as written only once flushed.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::{output, progress};
use crate::client::frame::Delivery;
use crate::model::MsgId;

/// Most messages in the queue, and most per flush.
const WAITING_MAX: usize = 64;

/// Longest wait for the queue to be written at the end.
const END_DEADLINE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One line for people.
    Human,
    /// The delivered JSON, on one line.
    Json {
        /// Whether standard output is a terminal.
        terminal: bool,
    },
}

impl Format {
    /// JSON, with escapes if standard output is a terminal.
    pub(super) fn json() -> Self {
        Self::Json {
            terminal: io::stdout().is_terminal(),
        }
    }

    fn line(self, text: &str, delivery: &Delivery) -> String {
        match self {
            Self::Human => human(delivery),
            Self::Json { terminal } => json(text, terminal),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Written {
    upto: MsgId,
    failed: Option<String>,
}

/// Handle to the writing thread.
pub(super) struct Printer {
    format: Format,
    lines: mpsc::Sender<(MsgId, String)>,
    written: watch::Receiver<Written>,
}

impl Printer {
    pub(super) fn start(format: Format, out: impl Write + Send + 'static) -> anyhow::Result<Self> {
        let (lines, from_listener) = mpsc::channel(WAITING_MAX);
        let (report, written) = watch::channel(Written::default());
        std::thread::Builder::new()
            .name("relaybox-printer".to_owned())
            .spawn(move || write_all(from_listener, &report, out))
            .map_err(|error| anyhow!("no thread can be started: {error}"))?;
        Ok(Self {
            format,
            lines,
            written,
        })
    }

    /// Whether the queue has room.
    pub(super) fn has_room(&self) -> bool {
        self.lines.capacity() > 0
    }

    /// Queues a message; there must be room.
    ///
    /// # Errors
    /// Standard output can no longer be written.
    pub(super) fn print(&self, text: &str, delivery: &Delivery) -> anyhow::Result<()> {
        let line = self.format.line(text, delivery);
        let waiting = self.lines.try_send((delivery.id, line));
        waiting.map_err(|_| self.failure())
    }

    /// The last message written and flushed.
    pub(super) fn written(&self) -> MsgId {
        self.written.borrow().upto
    }

    /// Waits until more is written. Cancel-safe.
    ///
    /// # Errors
    /// Standard output can no longer be written.
    pub(super) async fn progress(&mut self) -> anyhow::Result<()> {
        match self.written.changed().await {
            Ok(()) if self.written.borrow().failed.is_none() => Ok(()),
            _ => Err(self.failure()),
        }
    }

    /// Lets the queue drain for a limited time; returns the last message written.
    pub(super) async fn end(self) -> MsgId {
        let Self {
            lines, mut written, ..
        } = self;
        drop(lines);
        let ending = async { while written.changed().await.is_ok() {} };
        // The reader is stuck: messages it has not received stay unconfirmed.
        let _ = timeout(END_DEADLINE, ending).await;
        written.borrow().upto
    }

    fn failure(&self) -> anyhow::Error {
        let written = self.written.borrow();
        let why = written.failed.as_deref().unwrap_or("it has ended");
        anyhow!("standard output cannot be written: {why}")
    }
}

fn write_all(
    mut lines: mpsc::Receiver<(MsgId, String)>,
    report: &watch::Sender<Written>,
    out: impl Write,
) {
    let mut out = io::BufWriter::new(out);
    while let Some(first) = lines.blocking_recv() {
        match write_waiting(first, &mut lines, &mut out) {
            Ok(upto) => report.send_modify(|written| written.upto = upto),
            Err(error) => {
                report.send_modify(|written| written.failed = Some(error.to_string()));
                break;
            }
        }
    }
    // Failed output is not retried.
    drop(out.into_parts());
}

/// Writes the queued lines with one flush, since each flush costs a system call.
fn write_waiting(
    first: (MsgId, String),
    lines: &mut mpsc::Receiver<(MsgId, String)>,
    out: &mut impl Write,
) -> io::Result<MsgId> {
    let (mut upto, line) = first;
    writeln!(out, "{line}")?;
    for _ in 1..WAITING_MAX {
        let Ok((id, line)) = lines.try_recv() else {
            break;
        };
        writeln!(out, "{line}")?;
        upto = id;
    }
    out.flush()?;
    Ok(upto)
}

/// Formats a message on one line: `2025-11-24T16:00:00.123Z u1/web (Alice): hello`.
fn human(delivery: &Delivery) -> String {
    const TEXT: u32 = 10;
    let content = delivery.content.get();
    // A JSON string is shown as plain text.
    let content = match serde_json::from_str::<String>(content) {
        Ok(text) => text,
        Err(_) => json(content, false),
    };
    let kind = match delivery.kind {
        TEXT => String::new(),
        kind => format!("[{kind}] "),
    };
    let name = match delivery.from_name == delivery.from_id {
        true => String::new(),
        false => format!(" ({})", delivery.from_name),
    };
    let (id, resource) = (&delivery.from_id, &delivery.from_resource);
    let time = progress::time(delivery.id);
    output::plain(&format!("{time} {id}/{resource}{name}: {kind}{content}"))
}

/// JSON on one line. Between tokens, a line end is mere whitespace, and strings contain none; other
/// characters that could move the cursor occur only within strings, where they can be escaped.
fn json(text: &str, terminal: bool) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => line.push(' '),
            c if terminal && (matches!(c, '\u{7f}'..='\u{9f}') || output::is_invisible(c)) => {
                // As in JSON: a surrogate pair beyond 16 bits.
                for unit in c.encode_utf16(&mut [0; 2]) {
                    line.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::client::frame::ServerFrame;

    fn delivery(text: &str) -> Delivery {
        match ServerFrame::parse(text) {
            Ok(ServerFrame::Message(delivery)) => delivery,
            other => panic!("{other:?}"),
        }
    }

    fn message(name: &str, kind: u32, content: &str) -> String {
        format!(
            r#"{{"fromId":"u1","fromName":"{name}","fromResource":"web","type":{kind},"content":{content},"msgId":1764000000123456}}"#
        )
    }

    #[test]
    fn lines_are_for_people_and_hold_no_control_characters() {
        for (name, kind, content, line) in [
            ("Alice", 10, r#""hello""#, "u1/web (Alice): hello"),
            ("u1", 10, r#""hello""#, "u1/web: hello"),
            ("u1", 20, "{\"n\":\n1.0}", r#"u1/web: [20] {"n": 1.0}"#),
            (
                "u1",
                10,
                r#""a\nb\u001b[2J\u009bx""#,
                r"u1/web: a\nb\u{1b}[2J\u{9b}x",
            ),
            (
                "\u{202e}ecilA",
                10,
                "\"\u{2066}a\u{2028}\"",
                r"u1/web (\u{202e}ecilA): \u{2066}a\u{2028}",
            ),
        ] {
            let shown = human(&delivery(&message(name, kind, content)));
            assert_eq!(shown, format!("2025-11-24T16:00:00.123Z {line}"));
        }
    }

    #[test]
    fn json_stays_what_it_is_on_one_line() {
        let text = "{\"a\":\r\n [1.0 ,\"\u{9b}2J\u{7f}é\u{202e}\u{e0041}\"]}";
        assert_eq!(json(text, false), text.replace(['\r', '\n'], " "));
        let shown = json(text, true);
        assert_eq!(
            shown,
            r#"{"a":   [1.0 ,"\u009b2J\u007fé\u202e\udb40\udc41"]}"#
        );
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(value(text), value(&shown));
    }

    /// A standard output that fails, or waits for its reader.
    #[derive(Clone, Default)]
    struct Out(Arc<Mutex<(Vec<u8>, bool)>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (text, broken) = &mut *self.0.lock().expect("not poisoned");
            if *broken {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            text.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_was_not_written_is_not_reported_as_written() {
        let out = Out::default();
        let format = Format::Json { terminal: false };
        let mut printer = Printer::start(format, out.clone()).expect("starts");
        let text = message("u1", 10, "1");
        printer.print(&text, &delivery(&text)).expect("room");
        printer.progress().await.expect("written");
        assert_eq!(printer.written(), MsgId(1_764_000_000_123_456));
        assert_eq!(
            out.0.lock().expect("whole").0,
            format!("{text}\n").as_bytes()
        );

        out.0.lock().expect("whole").1 = true;
        let next = text.replace("123456}", "123457}");
        printer.print(&next, &delivery(&next)).expect("room");
        let error = printer.progress().await.expect_err("broken").to_string();
        assert!(error.starts_with("standard output cannot be written: "));
        assert_eq!(printer.end().await, MsgId(1_764_000_000_123_456));
    }
}
