//! A client that is a process: what it prints, and what it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::until_within;

/// How long a client may take for anything, on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A running program; killed on drop.
pub(crate) struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: Arc<Mutex<Vec<String>>>,
    stderr: Arc<Mutex<Vec<String>>>,
}

impl Program {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            stdout: lines(child.stdout.take().unwrap()),
            stderr: lines(child.stderr.take().unwrap()),
            child,
        }
    }

    /// Writes a line to its standard input.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// The lines that it has printed.
    pub(crate) fn stdout(&self) -> Vec<String> {
        self.stdout.lock().unwrap().clone()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().join("\n")
    }

    /// Waits for this line.
    pub(crate) async fn prints(&self, line: &str) {
        let what = format!("{line:?} is printed");
        until_within(PATIENCE, &what, async || {
            self.stdout()
                .iter()
                .any(|printed| printed == line)
                .then_some(())
        })
        .await;
    }

    /// Waits for its end; whether it was a success.
    pub(crate) async fn ended(&mut self) -> bool {
        let mut status = None;
        until_within(PATIENCE, "its end", || {
            status = self.child.try_wait().unwrap();
            let ended = status;
            async move { ended }
        })
        .await
        .success()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (printed, said) = (self.stdout(), self.stderr());
            let tail = &printed[printed.len().saturating_sub(20)..];
            eprintln!("--- the program's output ends {tail:?}; it says:\n{said}");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let filled = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            filled.lock().unwrap().push(line);
        }
    });
    lines
}
