//! Generators and the sink as processes: this very program, told by an environment variable which of them
//! it is.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::generator::{self, Course, Order};
use crate::sink;

const PART: &str = "RELAYBOX_BENCH_PART";
const GENERATE: &str = "generate";
const SINK: &str = "sink";

/// Which of them this process is.
pub fn wanted() -> Option<String> {
    std::env::var(PART).ok()
}

/// Does what this process is for.
pub async fn run(part: &str) {
    match part {
        GENERATE => {
            let order = serde_json::from_reader(std::io::stdin()).unwrap();
            let course = generator::run(order).await;
            println!("{}", serde_json::to_string(&course).unwrap());
        }
        SINK => sink::run().await,
        other => panic!("no part is called {other}"),
    }
}

/// A process; killed on drop.
struct Part(Child);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Part {
    fn start(name: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .env(PART, name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// The next line that it says.
    fn line(&mut self) -> String {
        let mut line = String::new();
        let mut output = BufReader::new(self.0.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        line
    }
}

/// A flood that goes on.
pub struct Flooding(Part);

/// Begins a flood.
pub fn generate(order: &Order) -> Flooding {
    let mut part = Part::start(GENERATE);
    let mut input = part.0.stdin.take().unwrap();
    let order = serde_json::to_string(order).unwrap();
    input.write_all(order.as_bytes()).unwrap();
    Flooding(part)
}

impl Flooding {
    /// What it came to, once it is over.
    pub fn end(mut self) -> Course {
        let line = self.0.line();
        assert!(self.0.0.wait().unwrap().success(), "a generator failed");
        serde_json::from_str(&line).unwrap()
    }
}

/// The process that discards.
pub struct Sink {
    address: SocketAddr,
    _part: Part,
}

impl Sink {
    pub fn start() -> Self {
        let mut part = Part::start(SINK);
        let address = part.line().trim().parse().unwrap();
        Self {
            address,
            _part: part,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
