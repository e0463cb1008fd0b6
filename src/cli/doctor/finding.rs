//! Findings, for people and for scripts.
//!
//! Invariant: the names of checks never change; scripts rely on them.

use serde_json::{Value, json};

use super::super::output;
use super::super::progress::counted;

macro_rules! checks {
    ($($check:ident $name:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Check { $($check),* }

        impl Check {
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$check),*];

            /// Stable name: scripts rely on it.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$check => $name),* }
            }
        }
    };
}

checks! {
    Settings "settings";
    Server "server";
    Port "port";
    PlainPort "plain-port";
    MetricsPort "metrics-port";
    Listen "listen";
    Plain "plain";
    HostAddresses "host-addresses";
    HistoryOpen "history-open";
    Metrics "metrics";
    CertificateFiles "certificate-files";
    CertificateKey "certificate-key";
    CertificateNames "certificate-names";
    CertificateDates "certificate-dates";
    CertificateChain "certificate-chain";
    CertificateUse "certificate-use";
    CertificateServed "certificate-served";
    CertificateAuthority "certificate-authority";
    KeyRights "key-rights";
    Clock "clock";
    OpenFiles "open-files";
    FileSize "file-size";
    DataDirectory "data-directory";
    DataRights "data-rights";
    FileSystem "file-system";
    DiskSpace "disk-space";
    Retention "retention";
    Store "store";
    Domains "domains";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Ok,
    /// Works, but not for everybody or not for ever.
    Warning,
    /// Keeps clients out or messages unsafe.
    Problem,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) state: State,
    /// Problem and advice, in one sentence.
    pub(super) says: String,
}

/// All findings, in the order of the report.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    /// The report on one check.
    pub(super) fn on(&mut self, check: Check) -> Report<'_> {
        Report {
            check,
            findings: &mut self.0,
        }
    }

    pub(super) fn count(&self, state: State) -> u64 {
        let counted = self.0.iter().filter(|finding| finding.state == state);
        counted.count() as u64
    }

    pub(super) fn text(&self) -> String {
        let line = |finding: &Finding| {
            let (state, check) = (finding.state.name(), finding.check.name());
            output::plain(&format!("{state:<8} {check}: {}", finding.says))
        };
        let lines: Vec<_> = self.0.iter().map(line).collect();
        lines.join("\n")
    }

    /// Summary of all findings on one line.
    pub(super) fn summary(&self) -> String {
        let problems = counted(self.count(State::Problem), "problem");
        let warnings = counted(self.count(State::Warning), "warning");
        format!("{problems}, {warnings}")
    }

    pub(super) fn json(&self) -> Value {
        let check = |finding: &Finding| {
            let (state, check) = (finding.state.name(), finding.check.name());
            json!({"check": check, "state": state, "says": finding.says})
        };
        json!({
            "problems": self.count(State::Problem),
            "warnings": self.count(State::Warning),
            "checks": self.0.iter().map(check).collect::<Vec<_>>(),
        })
    }
}

/// The report on one check, to be added to.
pub(super) struct Report<'a> {
    check: Check,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    pub(super) fn ok(&mut self, says: impl Into<String>) {
        self.add(State::Ok, says);
    }

    pub(super) fn warning(&mut self, says: impl Into<String>) {
        self.add(State::Warning, says);
    }

    pub(super) fn problem(&mut self, says: impl Into<String>) {
        self.add(State::Problem, says);
    }

    pub(super) fn add(&mut self, state: State, says: impl Into<String>) {
        self.findings.push(Finding {
            check: self.check,
            state,
            says: says.into(),
        });
    }

    /// Whether nothing was found yet.
    pub(super) fn is_empty(&self) -> bool {
        !self
            .findings
            .iter()
            .any(|finding| finding.check == self.check)
    }
}
