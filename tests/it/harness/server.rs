//! Servers without the usual settings, their memory, and what they print.

use crate::support::{Options, Server, until};

impl Options {
    pub fn undeclared(mut self) -> Self {
        self.declare = false;
        self
    }

    pub fn without_defaults(mut self) -> Self {
        self.defaults = false;
        self
    }
}

impl Server {
    /// From here on [`Self::peak_kib`] is of what comes.
    pub fn forget_peak(&self) {
        // proc_pid_clear_refs(5)
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").unwrap();
    }

    /// The most memory that it ever had resident, in KiB.
    pub fn peak_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kib.trim().parse().unwrap()
    }

    /// The options of the next start.
    pub fn change(&mut self, options: Options) {
        self.options = options;
    }

    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Waits until the log has these words: what writes it is a thread of its own.
    pub async fn says(&self, words: &str) {
        until(words, async || self.stderr().contains(words).then_some(())).await;
    }
}
