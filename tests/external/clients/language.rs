//! What runs a client, by the language that it is written in.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::program::Program;
use super::tools;

/// What runs programs of one language, and the probe in it.
pub(crate) enum Language {
    Python(PathBuf),
    Node(PathBuf, PathBuf),
    Java(PathBuf),
    /// An interpreter of Debian's, with what stands before the name of the file.
    Interpreted {
        by: &'static [&'static str],
        file: &'static str,
        probe: &'static str,
    },
    /// A compiler that makes `program` of the file, which is among its arguments.
    Compiled {
        by: &'static [&'static str],
        file: &'static str,
        probe: &'static str,
    },
}

impl Language {
    pub(crate) fn python() -> Option<Self> {
        Some(Self::Python(tools::python()?))
    }

    pub(crate) fn node() -> Option<Self> {
        tools::node().map(|(node, modules)| Self::Node(node, modules))
    }

    pub(crate) fn java() -> Option<Self> {
        Some(Self::Java(tools::optional("java")?))
    }

    /// The command for this program, once it lies in `dir`.
    pub(crate) fn command(&self, dir: &Path, text: &str) -> Command {
        match self {
            Self::Python(python) => interpreted(Command::new(python), dir, "client.py", text),
            Self::Node(node, modules) => {
                symlink(modules, dir.join("node_modules")).unwrap();
                interpreted(Command::new(node), dir, "client.mjs", text)
            }
            Self::Java(java) => interpreted(Command::new(java), dir, "Probe.java", text),
            Self::Interpreted { by, file, .. } => interpreted(words(by), dir, file, text),
            Self::Compiled { by, file, .. } => {
                compile(by, dir, file, text).unwrap();
                Command::new(dir.join("program"))
            }
        }
    }

    /// The probe for this library, which logs in at `url` and is busy in that way; its file lies in `dir`.
    pub(crate) fn probe(&self, dir: &Path, library: &str, url: &str, how: &str) -> Option<Program> {
        let mut command = match self {
            Self::Python(_) => self.command(dir, include_str!("probes/probe.py")),
            Self::Node(..) => self.command(dir, include_str!("probes/probe.mjs")),
            Self::Java(_) => self.command(dir, include_str!("probes/Probe.java")),
            Self::Interpreted { probe, .. } => self.command(dir, probe),
            Self::Compiled { by, file, probe } => {
                let dir = tools::prepared(library, probe, |dir| compile(by, dir, file, probe))?;
                Command::new(dir.join("program"))
            }
        };
        command.args([library, url, how]);
        Some(Program::start(command))
    }
}

fn words(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

fn interpreted(mut command: Command, dir: &Path, file: &str, text: &str) -> Command {
    let file = dir.join(file);
    fs::write(&file, text).unwrap();
    command.arg(file);
    command
}

fn compile(by: &[&str], dir: &Path, file: &str, text: &str) -> Result<(), String> {
    fs::write(dir.join(file), text).unwrap();
    tools::run(&mut words(by), dir)
}
