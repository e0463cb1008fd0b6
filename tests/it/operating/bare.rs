//! A server whose standard output and error are the test's business.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

use crate::support::http::Answer;
use crate::support::{Home, Options, until};

/// A server whose outputs are the test's business; killed on drop.
pub(crate) struct Bare {
    pub(crate) child: Child,
    plain: String,
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

impl Bare {
    /// Starts one that is to listen there.
    pub(crate) fn spawn(command: &mut Command, plain: String) -> Self {
        let child = command.spawn().unwrap();
        Self { child, plain }
    }

    /// Starts, and answers once it is ready.
    pub(crate) async fn start(home: &Home, stdout: Stdio, stderr: Stdio) -> Self {
        let plain = free_port();
        let options = Options::new().args(&["--plain", &plain, "--log", "trace"]);
        let mut command = home.serve_command(&options);
        let bare = Self::spawn(command.stdout(stdout).stderr(stderr), plain);
        bare.says_yes("/readyz").await;
        bare
    }

    /// Waits until this is answered with 200.
    pub(crate) async fn says_yes(&self, target: &str) {
        until(target, || async {
            let stream = TcpStream::connect(&self.plain).await.ok()?;
            let answer = Answer::try_of(Box::new(stream), "GET", target, &[]).await;
            (answer.ok()?.status == 200).then_some(())
        })
        .await;
    }

    pub(crate) async fn stream(&self) -> TcpStream {
        TcpStream::connect(&self.plain).await.unwrap()
    }

    pub(crate) async fn ask(&self, method: &str, target: &str) -> Answer {
        Answer::of(Box::new(self.stream().await), method, target, &[]).await
    }

    pub(crate) async fn get(&self, target: &str) -> String {
        let answer = self.ask("GET", target).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The exit code, once it has ended.
    pub(crate) async fn code(mut self) -> Option<i32> {
        let status = until("the end of the server", || {
            let status = self.child.try_wait().unwrap();
            async move { status }
        });
        status.await.code()
    }

    /// SIGTERM has to end it, with the exit code 0.
    pub(crate) async fn ends(self) {
        self.signal(Signal::TERM);
        assert_eq!(self.code().await, Some(0));
    }
}
