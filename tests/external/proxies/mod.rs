//! The server behind real proxies, each configured as docs/PROXIES.md says. What is missing is skipped; `make proxies`
//! installs it.

mod bodies;
mod configured;
mod http2;
mod logs;
mod program;
mod sessions;
mod timeouts;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::http::Answer;
use crate::support::tls::{self, Stream};
use crate::support::{Client, Home, Login, Options, PROJECT_TOKEN, Server, Way, soon, until};
use configured::{Change, Proxy};
use program::{Adapted as _, Program, block, open_dir};
use relaybox::net::Tls;

/// Where clients come from: not from where the proxies do.
const CLIENT: &str = "127.0.0.9";

/// Where they say that they come from.
pub(crate) const CLAIMED: &str = "198.51.100.6";

/// What an upgrade asks for beside its target.
pub(crate) const UPGRADE: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// The server, and where its proxy is.
pub(crate) struct Setup {
    pub(crate) server: Server,
    pub(crate) dir: TempDir,
    /// `127.0.0.1:PORT` of the proxy.
    pub(crate) front: String,
    pub(crate) port: String,
    /// Where Caddy is told of a new configuration.
    pub(crate) admin: String,
    /// Whether it speaks TLS there.
    over_tls: bool,
    /// What comes before the server's own paths.
    path: &'static str,
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

impl Setup {
    /// For this proxy, with these further settings of the server.
    pub(crate) async fn new(proxy: Proxy, settings: &[&str]) -> Self {
        let printed = block("sh").with("127.0.0.1:8080", "127.0.0.1:0");
        let args = match proxy.leaves_tls() {
            true => vec!["--trusted-proxies", "127.0.0.1"],
            false => {
                let words: Vec<_> = printed.split_whitespace().collect();
                assert_eq!(words[..2], ["relaybox", "serve"]);
                words[2..].to_vec()
            }
        };
        let home = Home::new();
        Tls::open(&home.certs(), &[]).unwrap();
        let port = free_port();
        let setup = Self {
            server: Server::at(home.into(), Options::new().args(&args).args(settings)).await,
            dir: open_dir(),
            front: format!("127.0.0.1:{port}"),
            port,
            admin: format!("127.0.0.1:{}", free_port()),
            over_tls: proxy.is_over_tls(),
            path: "",
        };
        // What a server makes for itself serves a proxy as well.
        let read = |name| std::fs::read_to_string(setup.server.home.path("certs").join(name));
        let (chain, key) = (read("cert.pem").unwrap(), read("key.pem").unwrap());
        setup.write("fullchain.pem", &chain);
        setup.write("privkey.pem", &key);
        setup.write("both.pem", &(key + &chain));
        setup
    }

    /// A proxy with these changes of its configuration, and a server behind it. `None`: it is not installed.
    pub(crate) async fn behind(proxy: Proxy, changes: &[Change<'_>]) -> Option<(Self, Program)> {
        Self::behind_with(proxy, changes, &[]).await
    }

    /// The same with these settings of the server.
    pub(crate) async fn behind_with(
        proxy: Proxy,
        changes: &[Change<'_>],
        settings: &[&str],
    ) -> Option<(Self, Program)> {
        let program = proxy.installed()?;
        let setup = Self::new(proxy, settings).await;
        let running = setup.start(proxy, &program, changes);
        setup.answers().await;
        Some((setup, running))
    }

    pub(crate) fn below(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    pub(crate) fn plain(&self) -> &str {
        self.server.plain.as_ref().unwrap()
    }

    pub(crate) fn plain_port(&self) -> &str {
        self.plain().rsplit(':').next().unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> String {
        let path: PathBuf = self.dir.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.file(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A connection to the proxy from the client's address; `None` while it does not listen.
    pub(crate) async fn stream(&self) -> Option<Stream> {
        let tcp = self.tcp().await?;
        if !self.over_tls {
            return Some(Box::new(tcp));
        }
        let roots = tls::roots(&self.server.home.ca());
        let tls = soon("a TLS handshake", tls::over(tcp, "localhost", &roots, None)).await;
        tls.ok().map(|stream| Box::new(stream) as Stream)
    }

    pub(crate) async fn tcp(&self) -> Option<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{CLIENT}:0").parse().unwrap()).unwrap();
        let front: SocketAddr = self.front.parse().unwrap();
        socket.connect(front).await.ok()
    }

    pub(crate) async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Option<Answer> {
        let target = format!("{}{target}", self.path);
        let stream = self.stream().await?;
        Answer::try_of(stream, "GET", &target, headers).await.ok()
    }

    /// A WebSocket over the proxy, of a client that claims to be somebody else.
    pub(crate) async fn open(&self, user: &str, way: Way) -> Client {
        self.open_with(user, way, &[]).await
    }

    /// The same with these headers beside.
    pub(crate) async fn open_with(
        &self,
        user: &str,
        way: Way,
        headers: &[(&'static str, &str)],
    ) -> Client {
        let login = Login::new(user).way(way);
        let mut request = login.request();
        let uri = format!("wss://localhost{}/ws?{}", self.path, login.query());
        *request.uri_mut() = uri.parse().unwrap();
        for (name, value) in [("x-forwarded-for", CLAIMED)].iter().chain(headers) {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = self.stream().await.expect("the proxy listens");
        Client::open(stream, request).await
    }

    /// Where the session of this user is from, as the server sees it.
    pub(crate) async fn address_of(&self, user: &str) -> String {
        let listed = self.server.cli(&["sessions", "--json"]).await;
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let mut listed = listed["list"].as_array().unwrap().iter();
        let session = listed.find(|session| session["id"] == user).unwrap();
        session["address"].as_str().unwrap().to_owned()
    }

    /// A session over the proxy.
    pub(crate) async fn login(&self, user: &str, way: Way) -> Client {
        let mut client = self.open(user, way).await;
        client.ready().await;
        client
    }

    pub(crate) async fn user(&self, id: &str) -> Client {
        self.login(id, Way::Query).await
    }

    /// Sends from a backend over the proxy.
    pub(crate) async fn post(&self, to: &str, content: &str) -> Answer {
        let bearer = format!("Bearer {PROJECT_TOKEN}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let message = json!({"domain": "demo", "fromId": "shop", "fromName": "Shop", "toId": to, "type": 10, "content": content});
        let stream = self.stream().await.unwrap();
        let target = format!("{}/messages", self.path);
        Answer::to(stream, "POST", &target, &headers, message.to_string()).await
    }

    /// Waits for the proxy to listen: some stop for a moment when they read their configuration again.
    pub(crate) async fn answers(&self) {
        until("an answer through the proxy", || async {
            let answer = self.get("/healthz", &[]).await?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// What users do, once the proxy is up; two sessions over it.
    pub(crate) async fn holds(&self) -> [Client; 2] {
        self.answers().await;
        let ways = [
            ("ann", Way::Query),
            ("bob", Way::Header),
            ("cy", Way::Subprotocol),
        ];
        let mut sessions = Vec::new();
        for (user, way) in ways {
            sessions.push(self.login(user, way).await);
            assert_eq!(self.address_of(user).await, CLIENT);
        }
        let [mut ann, mut bob, cy]: [Client; 3] = sessions.try_into().ok().unwrap();
        cy.close().await;
        talk(&mut ann, &mut bob).await;

        // Longer than any buffer on the way.
        let content = "x".repeat(200_000);
        let posted = self.post("bob", &content).await;
        assert_eq!(posted.status, 201, "{}", posted.body);
        assert_eq!(bob.message().await["content"], content);
        let target = "/message-log?domain=demo&toId=bob&size=1";
        let bearer = format!("Bearer {PROJECT_TOKEN}");
        let history = self
            .get(target, &[("authorization", &bearer)])
            .await
            .unwrap();
        assert_eq!(history.status, 200, "{}", history.body);
        assert_eq!(history.json()["list"][0]["content"], content);
        [ann, bob]
    }

    /// The configuration hides what is for who is inside.
    pub(crate) async fn hides_metrics(&self) {
        let status = self.get("/metrics", &[]).await.unwrap().status;
        assert!([403, 404].contains(&status), "{status}");
    }

    /// The sessions of before go on, and others log in.
    pub(crate) async fn goes_on(&self, [ann, bob]: &mut [Client; 2]) {
        self.answers().await;
        let mut dan = self.login("dan", Way::Query).await;
        dan.say("ann", "after the reload").await;
        assert_eq!(ann.message().await["content"], "after the reload");
        talk(ann, bob).await;
    }
}

async fn talk(ann: &mut Client, bob: &mut Client) {
    ann.say_acked("bob", "hello").await;
    assert_eq!(bob.message().await["content"], "hello");
    bob.say_acked("ann", "hello yourself").await;
    assert_eq!(ann.message().await["content"], "hello yourself");
}
