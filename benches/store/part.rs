//! Parts of the benchmark in processes of their own: this very program, told by an environment
//! variable which part it is, tells its figures by lines `name=number`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const PART: &str = "RELAYBOX_BENCH_PART";

/// Which part this process is.
pub fn wanted() -> Option<String> {
    std::env::var(PART).ok()
}

/// Tells a figure to the process that started this one.
pub fn tell(name: &str, figure: f64) {
    println!("{name}={figure}");
}

/// The figures of a part.
#[derive(Debug, Default)]
pub struct Figures(HashMap<String, f64>);

impl Figures {
    /// One of them.
    #[track_caller]
    pub fn of(&self, name: &str) -> f64 {
        let figure = self.0.get(name);
        *figure.unwrap_or_else(|| panic!("no figure {name} in {self:?}"))
    }
}

/// A part under way; killed on drop.
pub struct Part {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Part {
    /// Starts one.
    pub fn start(name: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(PART, name)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for a figure.
    pub fn wait_for(&mut self, name: &str) -> f64 {
        let lines = self.lines.by_ref().map_while(Result::ok);
        let mut figures = lines.filter_map(|line| figure(&line));
        let found = figures.find(|(found, _)| found == name);
        found.unwrap_or_else(|| panic!("no figure {name} came")).1
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// All figures, once it has ended well.
    fn end(mut self) -> Figures {
        let lines = self.lines.by_ref().map_while(Result::ok);
        let figures = Figures(lines.filter_map(|line| figure(&line)).collect());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "a part failed: {status}");
        figures
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a part to its end.
pub fn run(name: &str) -> Figures {
    Part::start(name).end()
}

fn figure(line: &str) -> Option<(String, f64)> {
    let (name, figure) = line.split_once('=')?;
    Some((name.to_owned(), figure.parse().ok()?))
}
