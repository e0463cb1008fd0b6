//! What strangers may do at most, and that nobody else feels it.

mod addresses;
mod bytes;
mod disk;
mod proxy_protocol;
mod quota;
mod requests;
mod sends;
mod storm;
mod strangers;

use crate::support::tls::Stream;
use crate::support::{Client, Login, Options, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tokio::net::TcpStream;

/// A server that believes what its proxy, this test, says of who it speaks for.
pub(crate) async fn behind_proxy(args: &[&str]) -> Server {
    let proxied = ["--plain", "127.0.0.1:0", "--trusted-proxies", "127.0.0.1"];
    Server::with(Options::new().args(&proxied).args(args)).await
}

/// As many as the machine allows this process.
pub(crate) fn may_open_many_files() {
    let files = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: files,
        maximum: files,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

pub(crate) async fn plain(server: &Server) -> Stream {
    let stream = TcpStream::connect(server.plain.as_ref().unwrap());
    Box::new(stream.await.unwrap())
}

/// A WebSocket of somebody at `address`, as a proxy brings it.
pub(crate) async fn from(server: &Server, address: &str, login: &Login) -> Client {
    let mut request = login.request();
    let value = address.parse().unwrap();
    request.headers_mut().insert("x-forwarded-for", value);
    Client::open(plain(server).await, request).await
}

/// The number that a refusal names: `retry in N ms: …`.
#[track_caller]
pub(crate) fn retry_ms(reason: &str) -> u64 {
    let rest = reason
        .strip_prefix("retry in ")
        .unwrap_or_else(|| panic!("{reason}"));
    let (number, _) = rest.split_once(" ms").unwrap_or_else(|| panic!("{reason}"));
    number.parse().unwrap()
}

/// The sum of all lines of a metric whose labels contain `label`.
pub(crate) async fn metric(server: &Server, name: &str, label: &str) -> u64 {
    metric_in(&server.get("/metrics", None).await.body, name, label)
}

/// The same, of the text of an answer.
pub(crate) fn metric_in(text: &str, name: &str, label: &str) -> u64 {
    let lines = text.lines().filter(|line| {
        let rest = line.strip_prefix(name).unwrap_or_default();
        rest.starts_with(['{', ' ']) && rest.contains(label)
    });
    let values = lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    values.sum::<f64>() as u64
}

/// What `relaybox stats` says.
pub(crate) async fn stats(server: &Server) -> Value {
    serde_json::from_str(&server.cli(&["stats", "--json"]).await).unwrap()
}
