//! The directory a server lives in, and the command line run on it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::server::Options;
use super::{DEMO, PROJECT_TOKEN, soon};

/// A temporary directory with a place for data and one for certificates.
pub struct Home {
    // Dropped with the home; the root may be a mount below it.
    _temporary: tempfile::TempDir,
    root: PathBuf,
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The standard output of a command that must succeed, trimmed.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout.trim().to_owned()
    }

    /// Asserts the exit code and that a sentence on standard error holds `words`; no backtrace.
    #[track_caller]
    pub fn failure(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        assert!(!self.stderr.contains("stack backtrace"), "{self:?}");
    }
}

impl Home {
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().to_owned();
        Self {
            _temporary: temporary,
            root,
        }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn certs(&self) -> PathBuf {
        self.path("certs")
    }

    pub fn ca(&self) -> PathBuf {
        self.certs().join("ca.pem")
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The binary, with no setting from outside and the home as working directory.
    pub fn bare_command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relaybox"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RELAYBOX_") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The same command, none of whose files may have more bytes (a multiple of 512).
    pub fn limited(&self, command: &Command, file_bytes: u64) -> Command {
        let limit = format!("ulimit -f {} && exec \"$0\" \"$@\"", file_bytes / 512);
        let mut limited = Command::new("sh");
        limited.args(["-c", &limit]).arg(command.get_program());
        limited.args(command.get_args()).current_dir(&self.root);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        limited.stdin(Stdio::null());
        limited.stdout(Stdio::piped()).stderr(Stdio::piped());
        limited
    }

    /// `relaybox serve` as the options say.
    pub fn serve_command(&self, options: &Options) -> Command {
        let mut args: Vec<String> = vec!["serve".into()];
        if options.defaults {
            if !options.args.iter().any(|arg| arg == "--listen") {
                args.extend(["--listen".into(), "127.0.0.1:0".into()]);
            }
            args.extend(["--data".into(), self.data().display().to_string()]);
            args.extend(["--certs".into(), self.certs().display().to_string()]);
        }
        if options.declare {
            args.extend(["--token".into(), format!("{DEMO}={PROJECT_TOKEN}")]);
        }
        args.extend(options.args.iter().cloned());
        if let Some(text) = &options.file {
            self.write("data/relaybox.toml", text);
        }
        let mut command = self.bare_command(args);
        // The most that an operator would ever log: it must not hold a token either.
        command.env("RELAYBOX_LOG", "debug");
        command.envs(options.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, command: Command) -> Outcome {
        let mut command = tokio::process::Command::from(command);
        let output = soon("the end of a command", command.kill_on_drop(true).output())
            .await
            .unwrap();
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a subcommand on this home's data.
    pub async fn cli(&self, args: &[&str]) -> Outcome {
        let mut command = self.bare_command(args);
        command.arg("--data").arg(self.data());
        self.run(command).await
    }

    /// Runs a subcommand that is told all it needs.
    pub async fn cli_bare(&self, args: &[&str]) -> Outcome {
        self.run(self.bare_command(args)).await
    }
}
